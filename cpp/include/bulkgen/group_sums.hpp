// Sums of counts over groups of cells, dense or as a sparse matrix: the pseudo-bulk kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"

namespace bulkgen {

/// Sums of each group as a row of a dense matrix. Sum is int64 for whole counts (exact; modulo 2^64 where the
/// largest value times the cells of a group reaches 2^63) or double, added in the order of Groups::rows.
///
/// Pre:  rows in range; out is groups x genes.all.
/// Pure: writes genes [first, last) of groups [first_group, last_group), each from its own rows. A row that
/// is
///       not canonical in this range of genes ends the pass.
/// Cost: one pass over the entries of the rows, a search per row and cut of genes, and the output.
template <Level level, typename Value, typename Index, typename Sum>
RowsAdded group_sums_dense(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                           std::size_t first_group, std::size_t last_group, std::span<Sum> out) noexcept;

/// Number of genes with a stored entry in each group, to size the output of group_sums.
///
/// Pre:  rows in range; out has an element per group; seen has n_genes zeros.
/// Pure: writes out[first_group .. last_group); leaves seen zero. A row whose columns are not strictly
///       increasing and below n_genes ends the pass.
/// Cost: one pass over the column indices of the rows, and n_genes bytes per group.
template <Level level, typename Value, typename Index>
RowsAdded group_sums_count(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                           std::size_t first_group, std::size_t last_group, std::span<std::uint8_t> seen,
                           std::span<std::int64_t> out) noexcept;

/// The sums of group_sums_dense that are not zero, columns ascending, in out_indptr[group] ..
/// out_indptr[group + 1] of a sparse matrix; slots that are left over (explicit zeros were counted) get
/// zeros.
///
/// Pre:  as above; out_indptr is monotone and within the outputs; totals has n_genes zeros.
/// Pure: writes the slots and out_counts, the number of non-zero sums, of groups [first_group, last_group);
///       where it is larger than the number of slots, the last sums are missing. Leaves totals zero if
///       every row was added.
/// Cost: one pass over the entries of the rows, n_genes sums per group, and the output.
template <Level level, typename Value, typename Index, typename Sum>
RowsAdded group_sums(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                     std::size_t first_group, std::size_t last_group, std::span<Sum> totals,
                     std::span<const std::int64_t> out_indptr, std::span<std::int32_t> out_indices,
                     std::span<Sum> out_data, std::span<std::int64_t> out_counts) noexcept;

}  // namespace bulkgen
