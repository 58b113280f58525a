#include "arrays.hpp"
#include "bulkgen/checked/multinomial.hpp"

namespace bulkgen::bindings {

void register_multinomial(py::module_& module) {
    module.def(
        "multinomial",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<std::uint64_t>& threshold, const Array<std::int32_t>& other,
           const Array<double>& sizes, bool poisson_total, double concentration, std::uint64_t key,
           const std::array<std::uint32_t, 2>& purposes, std::uint64_t first_cell) {
            const AliasTable profile{input(threshold), input(other)};
            return unlocked(checked::multinomial, rows_of(indptr, columns, values),
                            MultinomialPlan{profile, input(sizes), poisson_total, concentration}, key,
                            CellPurposes{purposes[0], purposes[1]}, first_cell);
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("threshold").noconvert(), py::arg("other").noconvert(), py::arg("sizes").noconvert(),
        py::kw_only(), py::arg("poisson_total"), py::arg("concentration"), py::arg("key"),
        py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
