#include <algorithm>
#include <string>

#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/instantiate.hpp"
#include "bulkgen/rank_tokens.hpp"
#include "bulkgen/row_scratch.hpp"
#include "column_tokens.hpp"

namespace bulkgen::bindings {

namespace {

/// The longest row of a range whose pointers are checked: no row of it reads outside the arrays.
template <typename Value, typename Index>
std::size_t checked_longest_row(const Csr<Value, Index>& matrix, std::size_t first_row,
                                std::size_t last_row) {
    std::int64_t longest = 0;
    bool ordered = matrix.indptr[first_row] >= 0 &&
                   matrix.indptr[last_row] <= static_cast<std::int64_t>(matrix.data.size());
    for (std::size_t row = first_row; row < last_row; ++row) {
        ordered = ordered && matrix.indptr[row] <= matrix.indptr[row + 1];
        longest = std::max(longest, ordered ? matrix.indptr[row + 1] - matrix.indptr[row] : 0);
    }
    require(ordered, "indptr must not decrease, from 0 to the number of stored entries");
    return static_cast<std::size_t>(longest);
}

template <typename Value, typename Index, typename Token>
void bind(py::module_& module) {
    module.def(
        "rank_tokens",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int32_t>& token, const Array<double>& median,
           const Array<std::int32_t>& first_column, Array<Token>& out, Array<float>& out_counts,
           Array<std::int64_t>& lengths, Array<std::int64_t>& genes, std::size_t most_genes, std::int32_t cls,
           std::int32_t eos, std::size_t first_row, std::size_t last_row) {
            const Csr<Value, Index> matrix{input(indptr), input(indices), input(data)};
            require(!matrix.indptr.empty(), "indptr must have at least one element");
            require(matrix.indices.size() == matrix.data.size(), "indices and data must have equal length");
            require_range(first_row, last_row, matrix.rows(), "row");
            const std::size_t longest = checked_longest_row(matrix, first_row, last_row);
            const ColumnTokens columns = checked_column_tokens(token, median, first_column);
            const RankLimits limits{most_genes, cls, eos};
            const auto tokens = output(out);
            const auto counts = output(out_counts);
            const auto row_lengths = output(lengths);
            const auto row_genes = output(genes);
            require(counts.empty() || counts.size() == tokens.size(),
                    "out_counts must be empty or as long as out");
            require(row_lengths.size() == matrix.rows() && row_genes.size() == matrix.rows(),
                    "lengths and genes must have one element per row");
            std::int64_t row = -1;
            {
                py::gil_scoped_release release;
                RowScratchMemory<Value> scratch(columns, longest);
                row = at_level(chosen_level, [&](auto level) {
                    return rank_tokens<level.level>(matrix, columns, limits, first_row, last_row,
                                                    scratch.view(), tokens, counts, row_lengths, row_genes);
                });
            }
            if (row >= 0) {
                throw py::value_error("out has no room for the tokens of row " + std::to_string(row));
            }
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("token").noconvert(), py::arg("median").noconvert(), py::arg("first_column").noconvert(),
        py::arg("out").noconvert(), py::arg("out_counts").noconvert(), py::arg("lengths").noconvert(),
        py::arg("genes").noconvert(), py::kw_only(), py::arg("most_genes"), py::arg("cls"), py::arg("eos"),
        py::arg("first_row"), py::arg("last_row"));
}

}  // namespace

void register_rank_tokens(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX)            \
    bind<VALUE, INDEX, std::int16_t>(module); \
    bind<VALUE, INDEX, std::int32_t>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
