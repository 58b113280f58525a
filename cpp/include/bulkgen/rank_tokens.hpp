// Rank-value encoding: a cell becomes the tokens of its genes in descending order of count / median.
// Source: Theodoris et al., Nature 618:616 (2023); docs/design/tokens.md for the exact semantics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"

namespace bulkgen {

/// What each column of the matrix means to a model.
struct ColumnTokens {
    std::span<const std::int32_t> token;  // -1: not in the vocabulary
    std::span<const double> median;
};

struct RankLimits {
    std::size_t most_genes;  // genes kept per cell, special tokens not counted
    std::int32_t cls;        // put first; -1: none
    std::int32_t eos;        // put last; -1: none
};

/// Number of genes of each row that have a token and a non-zero count, before the cut to the context.
///
/// Pre:  columns outside token are skipped; out.size() == rows.
/// Pure: writes out[first_row .. last_row).
/// Cost: one pass over the stored entries of the rows.
template <Level level, typename Value, typename Index>
void count_tokens(const Csr<Value, Index>& matrix, std::span<const std::int32_t> token, std::size_t first_row,
                  std::size_t last_row, std::span<std::int64_t> out) noexcept;

/// One gene of a cell: what it is ranked by, and where it stands.
struct RankedGene {
    double value;  // count / median, both as double
    std::int32_t column;
    float count;
};

/// The tokens of rows [first_row, last_row), row r at out[out_offsets[r] .. out_offsets[r + 1]).
///
/// Pre:  columns strictly ascending in each row (those outside token are skipped), counts finite and >= 0,
/// medians > 0;
///       out_offsets[r + 1] - out_offsets[r] = min(count_tokens[r], most_genes) + special tokens;
///       scratch.size() >= the longest row; out_counts is empty or as long as out.
/// Law:  descending value; ties by ascending column; zeros and columns without a token are left out.
/// Pure: a row's tokens depend on that row alone.
/// Cost: n log n of the row's genes.
template <Level level, typename Value, typename Index, typename Token>
void rank_tokens(const Csr<Value, Index>& matrix, const ColumnTokens& columns, const RankLimits& limits,
                 std::size_t first_row, std::size_t last_row, std::span<const std::int64_t> out_offsets,
                 std::span<RankedGene> scratch, std::span<Token> out, std::span<float> out_counts) noexcept;

}  // namespace bulkgen
