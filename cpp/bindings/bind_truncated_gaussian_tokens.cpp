#include "arrays.hpp"
#include "bulkgen/checked/truncated_gaussian_tokens.hpp"
#include "truncated_gaussian_plan.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Token>
void bind(py::module_& module) {
    module.def(
        "truncated_gaussian_tokens",
        [](Array<Token>& out, Array<std::int64_t>& lengths, Array<std::int64_t>& genes,
           const Array<std::int32_t>& token, const Array<double>& median,
           const Array<std::int32_t>& first_column, const Array<float>& common,
           const Array<std::uint32_t>& keep, const Array<std::uint32_t>& odd_gene,
           const Array<std::uint8_t>& odd_proposal, const Array<double>& odd, std::size_t most_genes,
           std::int32_t cls, std::int32_t eos, bool inverse, bool round, std::uint64_t key,
           const std::array<std::uint32_t, 3>& purposes, std::uint64_t first_cell) {
            unlocked(checked::truncated_gaussian_tokens<Token>,
                     plan_of(common, keep, odd_gene, odd_proposal, odd, inverse, round),
                     columns_of(token, median, first_column), RankLimits{most_genes, cls, eos}, key,
                     TruncatedGaussianPurposes{purposes[0], purposes[1], purposes[2]}, first_cell,
                     TokenOutput<Token>{output(out), {}, output(lengths), output(genes)});
        },
        py::arg("out").noconvert(), py::arg("lengths").noconvert(), py::arg("genes").noconvert(),
        py::arg("token").noconvert(), py::arg("median").noconvert(), py::arg("first_column").noconvert(),
        py::arg("common").noconvert(), py::arg("keep").noconvert(), py::arg("odd_gene").noconvert(),
        py::arg("odd_proposal").noconvert(), py::arg("odd").noconvert(), py::kw_only(), py::arg("most_genes"),
        py::arg("cls"), py::arg("eos"), py::arg("inverse"), py::arg("round"), py::arg("key"),
        py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace

void register_truncated_gaussian_tokens(py::module_& module) {
    bind<std::int16_t>(module);
    bind<std::int32_t>(module);
}

}  // namespace bulkgen::bindings
