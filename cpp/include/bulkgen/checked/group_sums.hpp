#pragma once

#include <vector>

#include "bulkgen/checked/matrix.hpp"
#include "bulkgen/group_sums.hpp"

namespace bulkgen::checked {

template <typename Value, typename Index, typename Sum>
RowsAdded group_sums_dense(Level level, const Csr<Value, Index>& matrix, const Groups& groups,
                           const GeneRange& genes, std::size_t first_group, std::size_t last_group,
                           std::span<Sum> out) {
    require_matrix(matrix);
    const std::size_t n_groups = require_groups(groups, matrix.rows());
    require_range(first_group, last_group, n_groups, "group");
    require_range(genes.first, genes.last, genes.all, "gene");
    require(has_shape(out.size(), n_groups, genes.all), "out must have groups x n_genes elements");
    return at_level(level, [&](auto at) {
        return bulkgen::group_sums_dense<at.level>(matrix, groups, genes, first_group, last_group, out);
    });
}

template <typename Value, typename Index>
RowsAdded group_sums_count(Level level, const Csr<Value, Index>& matrix, const Groups& groups,
                           std::size_t n_genes, std::size_t first_group, std::size_t last_group,
                           std::span<std::int64_t> counts) {
    require_matrix(matrix);
    const std::size_t n_groups = require_groups(groups, matrix.rows());
    require_range(first_group, last_group, n_groups, "group");
    require(n_genes <= 0x7fffffffU, "n_genes must fit an int32");
    require(counts.size() == n_groups, "out must have one element per group");
    std::vector<std::uint8_t> seen(n_genes);
    return at_level(level, [&](auto at) {
        return bulkgen::group_sums_count<at.level>(matrix, groups, n_genes, first_group, last_group,
                                                   std::span(seen), counts);
    });
}

template <typename Value, typename Index, typename Sum>
RowsAdded group_sums(Level level, const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                     std::size_t first_group, std::size_t last_group,
                     std::span<const std::int64_t> out_indptr, std::span<std::int32_t> out_indices,
                     std::span<Sum> out_data, std::span<std::int64_t> out_counts) {
    require_matrix(matrix);
    const std::size_t n_groups = require_groups(groups, matrix.rows());
    require_range(first_group, last_group, n_groups, "group");
    require(n_genes <= 0x7fffffffU, "n_genes must fit an int32");
    require(out_indptr.size() == n_groups + 1, "out_indptr must have one element more than there are groups");
    require(out_counts.size() == n_groups, "out_counts must have one element per group");
    require(out_indices.size() == out_data.size(), "out_indices and out_data must have equal length");
    for (std::size_t g = first_group; g < last_group; ++g) {
        require(out_indptr[g] >= 0 && out_indptr[g] <= out_indptr[g + 1] &&
                    static_cast<std::size_t>(out_indptr[g + 1]) <= out_data.size(),
                "out_indptr must be monotone and within the outputs");
    }
    std::vector<Sum> totals(n_genes);
    const RowsAdded added = at_level(level, [&](auto at) {
        return bulkgen::group_sums<at.level>(matrix, groups, n_genes, first_group, last_group,
                                             std::span(totals), out_indptr, out_indices, out_data,
                                             out_counts);
    });
    for (std::size_t g = first_group; added.bad_row < 0 && g < last_group; ++g) {
        require(out_counts[g] <= out_indptr[g + 1] - out_indptr[g],
                "out_indptr has too few slots for the genes of a group");
    }
    return added;
}

}  // namespace bulkgen::checked
