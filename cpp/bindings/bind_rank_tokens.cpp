#include <algorithm>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/instantiate.hpp"
#include "bulkgen/rank_tokens.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Value, typename Index, typename Token>
void bind_rank(py::module_& module) {
    module.def(
        "rank_tokens",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int32_t>& token, const Array<double>& median,
           const Array<std::int64_t>& out_offsets, Array<Token>& out, Array<float>& out_counts,
           std::size_t most_genes, std::int32_t cls, std::int32_t eos, std::size_t first_row,
           std::size_t last_row) {
            const auto matrix = checked_csr(indptr, indices, data);
            const ColumnTokens columns{input(token), input(median)};
            require(columns.token.size() == columns.median.size(), "token and median must have equal length");
            require_range(first_row, last_row, matrix.rows(), "row");
            const RankLimits limits{most_genes, cls, eos};
            const auto offsets = input(out_offsets);
            const auto tokens = output(out);
            const auto counts = output(out_counts);
            require(offsets.size() == matrix.rows() + 1, "out_offsets must have one element more than rows");
            require(counts.empty() || counts.size() == tokens.size(),
                    "out_counts must be empty or as long as out");
            py::gil_scoped_release release;
            std::vector<std::int64_t> genes(matrix.rows());
            at_level(chosen_level, [&](auto level) {
                count_tokens<level.level>(matrix, columns.token, first_row, last_row, std::span(genes));
            });
            const std::int64_t special = (cls >= 0) + (eos >= 0);
            std::size_t longest = 0;
            for (std::size_t row = first_row; row < last_row; ++row) {
                const auto n = static_cast<std::size_t>(genes[row]);
                longest = std::max(longest, n);
                const auto length = static_cast<std::int64_t>(std::min(n, most_genes)) + special;
                // a wrong offset must not write outside the output
                if (offsets[row] < 0 || offsets[row + 1] - offsets[row] != length ||
                    static_cast<std::size_t>(offsets[row + 1]) > tokens.size()) {
                    py::gil_scoped_acquire acquire;
                    throw py::value_error("out_offsets does not match the number of tokens of each row");
                }
            }
            std::vector<RankedGene> scratch(longest);
            at_level(chosen_level, [&](auto level) {
                rank_tokens<level.level>(matrix, columns, limits, first_row, last_row, offsets,
                                         std::span(scratch), tokens, counts);
            });
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("token").noconvert(), py::arg("median").noconvert(), py::arg("out_offsets").noconvert(),
        py::arg("out").noconvert(), py::arg("out_counts").noconvert(), py::kw_only(), py::arg("most_genes"),
        py::arg("cls"), py::arg("eos"), py::arg("first_row"), py::arg("last_row"));
}

template <typename Value, typename Index>
void bind(py::module_& module) {
    module.def(
        "count_tokens",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int32_t>& token, Array<std::int64_t>& out, std::size_t first_row,
           std::size_t last_row) {
            const auto matrix = checked_csr(indptr, indices, data);
            require_range(first_row, last_row, matrix.rows(), "row");
            const auto columns = input(token);
            const auto counts = output(out);
            require(counts.size() == matrix.rows(), "out must have one element per row");
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                count_tokens<level.level>(matrix, columns, first_row, last_row, counts);
            });
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("token").noconvert(), py::arg("out").noconvert(), py::kw_only(), py::arg("first_row"),
        py::arg("last_row"));
    bind_rank<Value, Index, std::int16_t>(module);
    bind_rank<Value, Index, std::int32_t>(module);
}

}  // namespace

void register_rank_tokens(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
