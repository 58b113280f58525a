#include "arrays.hpp"
#include "bulkgen/checked/poisson_log_normal.hpp"

namespace bulkgen::bindings {

void register_poisson_log_normal(py::module_& module) {
    module.def(
        "poisson_log_normal",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<double>& scale, const Array<double>& sigma, const Array<double>& sizes,
           std::uint64_t key, const std::array<std::uint32_t, 2>& purposes, std::uint64_t first_cell) {
            return unlocked(checked::poisson_log_normal, rows_of(indptr, columns, values),
                            PoissonLogNormalPlan{input(scale), input(sigma), input(sizes)}, key,
                            CellPurposes{purposes[0], purposes[1]}, first_cell);
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("scale").noconvert(), py::arg("sigma").noconvert(), py::arg("sizes").noconvert(),
        py::kw_only(), py::arg("key"), py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
