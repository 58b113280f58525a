// Moments of genes within groups of cells, in one pass over the stored entries.
// Sources: Welford, Technometrics 4:419 (1962) for the running mean and sum of squares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"

namespace bulkgen {

/// Integer counts: exact sums, so the bits do not depend on blocks, order or threads.
struct IntegerMoments {
    std::span<std::int64_t> nonzeros;
    std::span<std::int64_t> sum;
    std::span<std::int64_t> sum_squares;
    std::span<double> largest;
};

/// Fractional values: Welford's recurrence over the non-zero values in the order of Groups::rows.
struct RealMoments {
    std::span<std::int64_t> nonzeros;
    std::span<double> sum;
    std::span<double> mean;
    std::span<double> squares;  // sum of squared deviations from the mean of the non-zero values
    std::span<double> largest;
};

/// Add the rows of groups [first_group, last_group) to the accumulators.
///
/// Pre:  accumulators are row-major groups x n_genes and hold an earlier state or zeros (largest: -infinity);
///       rows are in range; columns outside [0, n_genes) are skipped; for integers, no sum of squares exceeds
///       2^63 - 1.
/// Law:  after all blocks of rows, the moments of the non-zero values of each gene in each group.
/// Pure: a group's accumulators depend on its own rows in their order; blocks of rows may come in several
/// calls. Cost: one pass over the stored entries of the rows.
template <Level level, typename Value, typename Index>
void group_moments_integer(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                           std::size_t first_group, std::size_t last_group,
                           const IntegerMoments& out) noexcept;
template <Level level, typename Value, typename Index>
void group_moments_real(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                        std::size_t first_group, std::size_t last_group, const RealMoments& out) noexcept;

}  // namespace bulkgen
