#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <vector>

#include "alias_arrays.hpp"
#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/multinomial.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

void register_multinomial(py::module_& module) {
    module.def(
        "multinomial",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<std::uint64_t>& threshold, const Array<std::int32_t>& other,
           const Array<double>& sizes, bool poisson_total, double concentration, std::uint64_t key,
           const std::array<std::uint32_t, 2>& purposes, std::uint64_t first_cell) {
            const SparseRows rows = checked_rows(indptr, columns, values);
            const MultinomialPlan plan{checked_alias(threshold, other), checked_sizes(sizes), poisson_total,
                                       concentration};
            require(concentration > 0.0, "concentration must be above zero");
            const CellPurposes checked{checked_purpose(purposes[0]), checked_purpose(purposes[1])};
            py::gil_scoped_release release;
            RowCountsMemory counts(plan.profile.threshold.size());
            std::vector<std::int32_t> urn;
            if (std::isfinite(concentration)) urn.resize(urn_size(largest_size(plan.sizes)));
            return at_level(chosen_level, [&](auto level) {
                return multinomial<level.level>(rows, plan, key, checked, first_cell, counts.view(), urn);
            });
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("threshold").noconvert(), py::arg("other").noconvert(), py::arg("sizes").noconvert(),
        py::kw_only(), py::arg("poisson_total"), py::arg("concentration"), py::arg("key"),
        py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
