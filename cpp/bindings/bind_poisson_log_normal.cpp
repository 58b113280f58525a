#include <pybind11/stl.h>

#include <array>

#include "alias_arrays.hpp"
#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/poisson_log_normal.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

void register_poisson_log_normal(py::module_& module) {
    module.def(
        "poisson_log_normal",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<double>& scale, const Array<double>& sigma, const Array<double>& sizes,
           std::uint64_t key, const std::array<std::uint32_t, 2>& purposes, std::uint64_t first_cell) {
            const SparseRows rows = checked_rows(indptr, columns, values);
            const PoissonLogNormalPlan plan{input(scale), input(sigma), checked_sizes(sizes)};
            require_gene_number(plan.scale.size());
            require(plan.sigma.size() == plan.scale.size(), "scale and sigma must have equal length");
            const CellPurposes checked{checked_purpose(purposes[0]), checked_purpose(purposes[1])};
            py::gil_scoped_release release;
            return at_level(chosen_level, [&](auto level) {
                return poisson_log_normal<level.level>(rows, plan, key, checked, first_cell);
            });
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("scale").noconvert(), py::arg("sigma").noconvert(), py::arg("sizes").noconvert(),
        py::kw_only(), py::arg("key"), py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
