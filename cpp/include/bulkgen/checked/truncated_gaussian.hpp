#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/truncated_gaussian.hpp"

namespace bulkgen::checked {

/// A plan as its arrays: `odd` holds the seven rows of OddGenes from location on.
struct TruncatedGaussianArrays {
    std::span<const float> common;
    std::span<const std::uint32_t> keep;
    std::span<const std::uint32_t> odd_gene;
    std::span<const std::uint8_t> odd_proposal;
    std::span<const double> odd;
    bool inverse;
    bool round;
};

inline TruncatedGaussianPlan checked_plan(const TruncatedGaussianArrays& arrays, std::size_t n_genes) {
    require(n_genes < (std::size_t{1} << 32) - tile_size, "at most 2^32 genes can be addressed");
    const std::size_t tiles = (n_genes + tile_size - 1) / tile_size;
    require(arrays.common.size() == tiles * CommonGenes::fields * tile_size,
            "common must have shape (genes / 256, rounded up; 7; 256)");
    require(arrays.keep.empty() || arrays.keep.size() == tiles * tile_size,
            "keep must be empty or have an element per gene of the tiles");
    const auto gene = arrays.odd_gene;
    const std::size_t n_odd = gene.size();
    require(has_shape(arrays.odd.size(), 7, n_odd) && arrays.odd_proposal.size() == n_odd,
            "odd must have shape (7, odd genes), odd_proposal one element per odd gene");
    for (std::size_t i = 0; i < n_odd; ++i) {
        require(gene[i] < n_genes && (i == 0 || gene[i - 1] < gene[i]),
                "odd_gene must be ascending genes of the rows of out");
    }
    const auto row = [&](std::size_t field) { return arrays.odd.subspan(field * n_odd, n_odd); };
    return {arrays.inverse ? Sampler::inverse : Sampler::rejection,
            arrays.round,
            {arrays.common, arrays.keep},
            {gene, arrays.odd_proposal, row(0), row(1), row(2), row(3), row(4), row(5), row(6)}};
}

inline void truncated_gaussian(Level level, const TruncatedGaussianArrays& arrays, std::uint64_t key,
                               const TruncatedGaussianPurposes& purposes, std::uint64_t first_cell,
                               std::size_t n_genes, std::span<float> out) {
    const TruncatedGaussianPlan plan = checked_plan(arrays, n_genes);
    require_purposes({purposes.draw, purposes.retry, purposes.mask});
    require(n_genes == 0 ? out.empty() : out.size() % n_genes == 0, "out must have shape (cells, genes)");
    if (n_genes == 0) return;
    at_level(level, [&](auto at) {
        bulkgen::truncated_gaussian<at.level>(key, purposes, first_cell, plan, n_genes, out);
    });
}

}  // namespace bulkgen::checked
