#pragma once

#include "bulkgen/checked/matrix.hpp"
#include "bulkgen/group_moments.hpp"

namespace bulkgen::checked {

/// The last axis of an array of accumulators as a struct of that many numbers.
template <typename Moments, typename Value, typename Index, typename Number>
std::span<Moments> accumulators(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                                std::size_t first_group, std::size_t last_group, std::span<Number> numbers) {
    static_assert(sizeof(Moments) % sizeof(Number) == 0);
    constexpr std::size_t fields = sizeof(Moments) / sizeof(Number);
    require_matrix(matrix);
    const std::size_t n_groups = require_groups(groups, matrix.rows());
    require_range(first_group, last_group, n_groups, "group");
    require_range(genes.first, genes.last, genes.all, "gene");
    require(has_shape(numbers.size(), n_groups, genes.all, fields),
            "the accumulators must have groups x n_genes x fields elements");
    return {reinterpret_cast<Moments*>(numbers.data()), numbers.size() / fields};
}

template <typename Value, typename Index>
RowsAdded group_moments_integer(Level level, const Csr<Value, Index>& matrix, const Groups& groups,
                                const GeneRange& genes, std::size_t first_group, std::size_t last_group,
                                std::span<std::int64_t> numbers) {
    const auto out = accumulators<IntegerMoments>(matrix, groups, genes, first_group, last_group, numbers);
    return at_level(level, [&](auto at) {
        return bulkgen::group_moments_integer<at.level>(matrix, groups, genes, first_group, last_group, out);
    });
}

template <typename Value, typename Index>
RowsAdded group_moments_real(Level level, const Csr<Value, Index>& matrix, const Groups& groups,
                             const GeneRange& genes, std::size_t first_group, std::size_t last_group,
                             std::span<double> numbers) {
    const auto out = accumulators<RealMoments>(matrix, groups, genes, first_group, last_group, numbers);
    return at_level(level, [&](auto at) {
        return bulkgen::group_moments_real<at.level>(matrix, groups, genes, first_group, last_group, out);
    });
}

}  // namespace bulkgen::checked
