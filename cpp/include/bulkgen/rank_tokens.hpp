// Rank-value encoding of a sparse matrix: a cell becomes the tokens of its genes in descending order of count
// / median.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/row_encoder.hpp"

namespace bulkgen {

/// The tokens of rows [first_row, last_row), end to end from out[0] on; row r's genes before the cut in
/// genes[r], its tokens in lengths[r]. Returns the first row that out has no room for, where the work stops,
/// or -1.
///
/// Pre:  columns strictly ascending in each row (those outside token are skipped), counts finite and >= 0,
///       medians > 0; first_column[c] <= c and is its own first column;
///       scratch as RowScratch says, its divisors filled; out_counts is empty or as long as out.
/// Law:  that of encode_row.
/// Pure: a row's tokens depend on that row alone.
/// Cost: that of encode_row.
template <Level level, typename Value, typename Index, typename Token>
std::int64_t rank_tokens(const Csr<Value, Index>& matrix, const ColumnTokens& columns,
                         const RankLimits& limits, std::size_t first_row, std::size_t last_row,
                         const RowScratch<Value>& scratch, std::span<Token> out, std::span<float> out_counts,
                         std::span<std::int64_t> lengths, std::span<std::int64_t> genes) noexcept;

}  // namespace bulkgen
