// Real cells moved by the bulk's ratios.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/alias.hpp"
#include "bulkgen/csr.hpp"
#include "bulkgen/level.hpp"
#include "bulkgen/row_counts.hpp"

namespace bulkgen {

/// With s = ratio^w of a gene, keep = 1 - renoise and mu = library size * profile, a donor's count x ~ NB(mu,
/// f) becomes y ~ NB(s mu, f): molecules are kept with chance a = keep * min(1, s), then a Gamma rate given
/// what was kept is sampled, of which the cell gets b - 1 parts more, b = max(1, s) / keep.
struct DonorShiftPlan {
    std::span<const double> overdispersion;  // dispersion * profile
    std::span<const double> ratio;           // above 0
    std::span<const double> log_ratio;       // empty: every cell responds in full, w = 1
    double alpha, beta;                      // else w ~ Beta(alpha, beta)
    double keep;                             // in (0, 1]
    AliasTable table;                        // genes in proportion to additions, at their largest over w:
    double total_addition;                   // profile * (b - 1) a, summed over the genes
};

struct DonorShiftPurposes {
    std::uint32_t response;
    std::uint32_t keep;
    std::uint32_t gain;
    std::uint32_t addition;
};

/// Write cell first_cell + c from donor[c], row `donor[c]` of donors whose library size is sizes[donor[c]],
/// as sparse rows; returns how many had room.
///
/// Pre:  overdispersion, ratio, table and scratch have n_genes elements, log_ratio n_genes or none; donor has
/// an
///       element per row, each a row of donors, and sizes one per row of donors; each size * total_addition
///       is at most 2^30. Entries of donors that are no counts of genes are passed over.
/// Law:  y = x' + negative binomial of size 1/f + x' and mean (1/f + x') m, with x' ~ Binomial(x, a) and
///       m = (b - 1) f a mu / (1 + f a mu); the part of size 1/f is sparse over all genes, the part of size
///       x' touches what the donor has. Ratio 1 without renoise is the identity.
/// Pure: a row depends on its cell, its donor, the plan and the key alone.
/// Cost: about 20 ns per entry of the donor, and as `negative_binomial` for the additions.
template <Level level>
std::size_t donor_shift(const SparseRows& rows, const DonorShiftPlan& plan,
                        const Csr<float, std::int32_t>& donors, std::span<const double> sizes,
                        std::span<const std::int64_t> donor, std::uint64_t key,
                        const DonorShiftPurposes& purposes, std::uint64_t first_cell,
                        const RowCountsScratch& scratch) noexcept;

}  // namespace bulkgen
