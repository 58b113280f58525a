// Moments of genes within groups of cells, in one pass over the stored entries.
// Sources: Welford, Technometrics 4:419 (1962) for the running mean and sum of squares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"

namespace bulkgen {

/// The accumulators of a gene lie side by side: an entry touches one cache line, not four.
///
/// Whole counts: exact sums, so the bits do not depend on order (modulo 2^64 where largest^2 times the cells
/// reaches 2^63).
struct IntegerMoments {
    std::int64_t nonzeros;
    std::int64_t sum;
    std::int64_t sum_squares;
    std::int64_t largest;
};

/// Fractional values: Welford's recurrence over the non-zero values in the order of Groups::rows.
struct RealMoments {
    double nonzeros;
    double sum;
    double mean;
    double squares;  // sum of squared deviations from the mean of the non-zero values
    double largest;
};

/// Add the rows of groups [first_group, last_group) to the accumulators of genes [first, last).
///
/// Pre:  accumulators are row-major groups x genes.all and hold an earlier state or zeros; rows are in range.
/// Law:  after all blocks of rows, the moments of the non-zero values of each gene in each group.
/// Pure: the accumulators of a gene depend on its own entries in the order of the rows; blocks of rows may
/// come
///       in several calls. A row that is not canonical in this range of genes ends the pass.
/// Cost: one pass over the entries of the rows, and a search per row and cut of genes.
template <Level level, typename Value, typename Index>
RowsAdded group_moments_integer(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                                std::size_t first_group, std::size_t last_group,
                                std::span<IntegerMoments> out) noexcept;
template <Level level, typename Value, typename Index>
RowsAdded group_moments_real(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                             std::size_t first_group, std::size_t last_group,
                             std::span<RealMoments> out) noexcept;

}  // namespace bulkgen
