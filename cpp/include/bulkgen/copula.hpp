// Cells of negative binomial counts of which some genes vary together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"
#include "bulkgen/negative_binomial.hpp"
#include "bulkgen/row_counts.hpp"

namespace bulkgen {

/// The genes that vary together, in ascending order: z = sum_k loadings[k, i] f_k + own[i] e_i is standard
/// normal, and the count is the quantile of Phi(z).
struct CorrelatedGenes {
    std::span<const std::int32_t> gene;
    std::span<const double> rate;
    std::span<const double> dispersion;
    std::span<const float> loadings;  // factors x genes
    std::span<const double> own;
};

struct CopulaPurposes {
    NegativeBinomialPurposes independent;
    std::uint32_t factor;
    std::uint32_t gene;
};

/// Write cells first_cell, first_cell + 1, ... as sparse rows; returns how many had room. The table of
/// `independent` holds the other genes alone.
///
/// Pre:  as `negative_binomial`, for each correlated rate as for the total one; correlated.gene are genes of
///       the rows; dispersion >= 0; own and rows of loadings have a unit sum of squares per gene; factors has
///       room for the factors.
/// Law:  each gene as in `negative_binomial`; the correlated genes of a cell have the Gaussian copula of
///       correlations loadings' loadings, at the cell's own library size.
/// Pure: a row depends on its cell, the plan and the key alone.
/// Cost: about 25 ns and 0.3 ns per factor for a correlated gene, 2 ns per molecule of theirs.
template <Level level>
std::size_t copula(const SparseRows& rows, const NegativeBinomialPlan& independent,
                   const CorrelatedGenes& correlated, std::uint64_t key, const CopulaPurposes& purposes,
                   std::uint64_t first_cell, const RowCountsScratch& scratch,
                   std::span<double> factors) noexcept;

}  // namespace bulkgen
