// Truncated Gaussian cells straight to tokens: each cell is drawn into one row, encoded, and forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/encode_rows.hpp"
#include "bulkgen/truncated_gaussian.hpp"

namespace bulkgen {

/// The tokens of cells first_cell, first_cell + 1, ..., one per element of out.lengths. Returns the first
/// cell (counted from first_cell) that out has no room for, where the work stops, or -1.
///
/// Pre:  those of truncated_gaussian, whose rows are the entries of columns, and of rank_tokens; bounds are
///       not negative; row.size() == n_genes; scratch is for rows of n_genes entries.
/// Law:  the tokens that rank_tokens gives for the cells that truncated_gaussian gives.
/// Pure: a cell's tokens depend on what its values depend on, on columns and on limits alone.
/// Cost: the sum of the two, without the memory traffic of a matrix of cells.
template <Level level, typename Token>
std::int64_t truncated_gaussian_tokens(std::uint64_t key, const TruncatedGaussianPurposes& purposes,
                                       std::uint64_t first_cell, const TruncatedGaussianPlan& plan,
                                       std::size_t n_genes, const ColumnTokens& columns,
                                       const RankLimits& limits, const RowScratch<float>& scratch,
                                       std::span<float> row, const TokenOutput<Token>& out) noexcept;

}  // namespace bulkgen
