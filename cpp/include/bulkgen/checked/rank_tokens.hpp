#pragma once

#include <string>

#include "bulkgen/checked/columns.hpp"
#include "bulkgen/checked/matrix.hpp"
#include "bulkgen/encode_rows.hpp"
#include "bulkgen/rank_tokens.hpp"
#include "bulkgen/row_scratch.hpp"

namespace bulkgen::checked {

template <typename Value, typename Index, typename Token>
void rank_tokens(Level level, const Csr<Value, Index>& matrix, const ColumnTokens& columns,
                 const RankLimits& limits, std::size_t first_row, std::size_t last_row,
                 const TokenOutput<Token>& out) {
    require_lengths(matrix);
    require_range(first_row, last_row, matrix.rows(), "row");
    const std::size_t longest = require_rows(matrix, first_row, last_row);
    require_columns(columns);
    require(out.counts.empty() || out.counts.size() == out.tokens.size(),
            "out_counts must be empty or as long as out");
    require(out.lengths.size() == matrix.rows() && out.genes.size() == matrix.rows(),
            "lengths and genes must have one element per row");
    RowScratchMemory<Value> scratch(columns, longest);
    const std::int64_t row = at_level(level, [&](auto at) {
        return bulkgen::rank_tokens<at.level>(matrix, columns, limits, first_row, last_row, scratch.view(),
                                              out.tokens, out.counts, out.lengths, out.genes);
    });
    if (row >= 0) {
        throw std::invalid_argument("out has no room for the tokens of row " + std::to_string(row));
    }
}

}  // namespace bulkgen::checked
