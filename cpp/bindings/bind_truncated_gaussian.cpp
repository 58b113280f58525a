#include <array>

#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/philox.hpp"
#include "bulkgen/truncated_gaussian.hpp"
#include "truncated_gaussian_plan.hpp"

namespace bulkgen::bindings {

void register_truncated_gaussian(py::module_& module) {
    module.def(
        "truncated_gaussian",
        [](Array<float>& out, const Array<float>& common, const Array<std::uint32_t>& keep,
           const Array<std::uint32_t>& odd_gene, const Array<std::uint8_t>& odd_proposal,
           const Array<double>& odd, bool inverse, bool round, std::uint64_t key,
           const std::array<std::uint32_t, 3>& purposes, std::uint64_t first_cell) {
            require(out.ndim() == 2, "out must have two dimensions: cells x genes");
            const auto n_genes = static_cast<std::size_t>(out.shape(1));
            const TruncatedGaussianPlan plan =
                checked_plan(common, keep, odd_gene, odd_proposal, odd, inverse, round, n_genes);
            const TruncatedGaussianPurposes checked = checked_purposes(purposes);
            const auto cells = output(out);
            if (n_genes == 0) return;
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                truncated_gaussian<level.level>(key, checked, first_cell, plan, n_genes, cells);
            });
        },
        py::arg("out").noconvert(), py::arg("common").noconvert(), py::arg("keep").noconvert(),
        py::arg("odd_gene").noconvert(), py::arg("odd_proposal").noconvert(), py::arg("odd").noconvert(),
        py::kw_only(), py::arg("inverse"), py::arg("round"), py::arg("key"), py::arg("purposes"),
        py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
