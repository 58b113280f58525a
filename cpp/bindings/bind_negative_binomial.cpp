#include <array>

#include "bindings.hpp"
#include "bulkgen/negative_binomial.hpp"
#include "negative_binomial_plan.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

void register_negative_binomial(py::module_& module) {
    module.def(
        "negative_binomial",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<double>& sizes, const Array<std::uint64_t>& threshold,
           const Array<std::int32_t>& other, const Array<double>& overdispersion,
           const Array<double>& inflation, double total_rate, std::uint64_t key,
           const std::array<std::uint32_t, 3>& purposes, std::uint64_t first_cell) {
            const SparseRows rows = checked_rows(indptr, columns, values);
            const NegativeBinomialPlan plan =
                checked_negative_binomial(sizes, threshold, other, overdispersion, inflation, total_rate);
            for (const std::uint32_t purpose : purposes) checked_purpose(purpose);
            py::gil_scoped_release release;
            RowCountsMemory memory(plan.table.other.size());
            return at_level(chosen_level, [&](auto level) {
                return negative_binomial<level.level>(
                    rows, plan, key, {purposes[0], purposes[1], purposes[2]}, first_cell, memory.view());
            });
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("sizes").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert(),
        py::arg("overdispersion").noconvert(), py::arg("inflation").noconvert(), py::kw_only(),
        py::arg("total_rate"), py::arg("key"), py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
