// Cells of independent negative binomial counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/alias.hpp"
#include "bulkgen/level.hpp"
#include "bulkgen/row_counts.hpp"

namespace bulkgen {

/// A gene's mean is library size * rate.
struct NegativeBinomialPlan {
    std::span<const double> sizes;           // library sizes, of which each cell takes one
    AliasTable table;                        // genes in proportion to their rates
    double total_rate;                       // over all genes
    std::span<const double> overdispersion;  // dispersion * rate
    std::span<const double> inflation;       // empty, or the chance that a count becomes 0
};

struct NegativeBinomialPurposes {
    std::uint32_t library_size;
    std::uint32_t draw;
    std::uint32_t inflation;
};

/// Write cells first_cell, first_cell + 1, ... as sparse rows; returns how many had room.
///
/// Pre:  plan.table, overdispersion and scratch have n_genes elements, and inflation n_genes or none; sizes
/// is
///       not empty; each size * total_rate is at most 2^30.
/// Law:  a library size L of plan.sizes, each with the same chance; each gene independently a negative
/// binomial
///       of mean L * rate and variance mean + dispersion * mean^2 (Poisson where the dispersion is 0); then
///       each count becomes 0 with its chance of inflation.
/// Pure: a row depends on its cell, the plan and the key alone.
/// Cost: about 8 ns per candidate, L * total_rate of them, and 3 ns per entry.
template <Level level>
std::size_t negative_binomial(const SparseRows& rows, const NegativeBinomialPlan& plan, std::uint64_t key,
                              const NegativeBinomialPurposes& purposes, std::uint64_t first_cell,
                              const RowCountsScratch& scratch) noexcept;

}  // namespace bulkgen
