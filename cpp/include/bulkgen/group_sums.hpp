// Sums of counts over groups of cells, written as a sparse matrix: the pseudo-bulk kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"

namespace bulkgen {

/// Number of genes with a non-zero entry in each group, to size the output of group_sums.
///
/// Pre:  rows in range, columns outside [0, n_genes) skipped; out.size() == number of groups; seen has
/// (n_genes + 63) / 64 zero words. Pure: writes out[first_group .. last_group) and leaves seen zero. Cost:
/// one pass over the stored entries of the rows, plus n_genes / 64 words per group.
template <Level level, typename Value, typename Index>
void group_sums_count(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                      std::size_t first_group, std::size_t last_group, std::span<std::uint64_t> seen,
                      std::span<std::int64_t> out) noexcept;

/// The sums themselves, columns ascending, as rows out_indptr[group] .. out_indptr[group + 1] of a sparse
/// matrix. Sum is int64 for integer counts (exact) or double (added in the order of Groups::rows).
///
/// Pre:  as above; out_indptr is the running sum of group_sums_count; totals has n_genes zeros.
/// Pure: writes the entries of groups [first_group, last_group) and leaves seen and totals zero.
/// Cost: one pass over the stored entries of the rows, plus the output.
template <Level level, typename Value, typename Index, typename Sum>
void group_sums(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                std::size_t first_group, std::size_t last_group, std::span<std::uint64_t> seen,
                std::span<Sum> totals, std::span<const std::int64_t> out_indptr,
                std::span<std::int32_t> out_indices, std::span<Sum> out_data) noexcept;

}  // namespace bulkgen
