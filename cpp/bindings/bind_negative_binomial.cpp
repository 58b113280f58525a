#include "arrays.hpp"
#include "bulkgen/checked/negative_binomial.hpp"

namespace bulkgen::bindings {

void register_negative_binomial(py::module_& module) {
    module.def(
        "negative_binomial",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<double>& sizes, const Array<std::uint64_t>& threshold,
           const Array<std::int32_t>& other, const Array<double>& overdispersion,
           const Array<double>& inflation, double total_rate, std::uint64_t key,
           const std::array<std::uint32_t, 3>& purposes, std::uint64_t first_cell) {
            const AliasTable table{input(threshold), input(other)};
            return unlocked(checked::negative_binomial, rows_of(indptr, columns, values),
                            NegativeBinomialPlan{input(sizes), table, total_rate, input(overdispersion),
                                                 input(inflation)},
                            key, NegativeBinomialPurposes{purposes[0], purposes[1], purposes[2]}, first_cell);
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("sizes").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert(),
        py::arg("overdispersion").noconvert(), py::arg("inflation").noconvert(), py::kw_only(),
        py::arg("total_rate"), py::arg("key"), py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
