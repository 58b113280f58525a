#include "arrays.hpp"
#include "truncated_gaussian_plan.hpp"

namespace bulkgen::bindings {

void register_truncated_gaussian(py::module_& module) {
    module.def(
        "truncated_gaussian",
        [](Array<float>& out, const Array<float>& common, const Array<std::uint32_t>& keep,
           const Array<std::uint32_t>& odd_gene, const Array<std::uint8_t>& odd_proposal,
           const Array<double>& odd, bool inverse, bool round, std::uint64_t key,
           const std::array<std::uint32_t, 3>& purposes, std::uint64_t first_cell) {
            const std::size_t n_genes = row_length(out, "out must have two dimensions: cells x genes");
            unlocked(checked::truncated_gaussian,
                     plan_of(common, keep, odd_gene, odd_proposal, odd, inverse, round), key,
                     TruncatedGaussianPurposes{purposes[0], purposes[1], purposes[2]}, first_cell, n_genes,
                     output(out));
        },
        py::arg("out").noconvert(), py::arg("common").noconvert(), py::arg("keep").noconvert(),
        py::arg("odd_gene").noconvert(), py::arg("odd_proposal").noconvert(), py::arg("odd").noconvert(),
        py::kw_only(), py::arg("inverse"), py::arg("round"), py::arg("key"), py::arg("purposes"),
        py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
