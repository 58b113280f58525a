// Cells whose genes are Poisson with log-normal rates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"
#include "bulkgen/multinomial.hpp"
#include "bulkgen/sparse_rows.hpp"

namespace bulkgen {

/// One element per gene: its rate is size * scale * exp(sigma * z) for a standard normal z, so its mean is
/// size * scale * exp(sigma^2 / 2).
struct PoissonLogNormalPlan {
    std::span<const double> scale;
    std::span<const double> sigma;
    std::span<const double> sizes;  // library sizes, of which each cell takes one
};

/// Draw cells.
///
/// Pre:  scale.size() == sigma.size() > 0; scale and sigma >= 0; 0 < sizes.size() <= 2^32, each >= 0;
///       purposes < 256.
/// Law:  size ~ one of sizes; independent genes, Poisson given their rates.
/// Pure: cell c depends on (key, purposes, first_cell + c, plan) alone. Genes 256 t ... take tile 2 t of the
///       words for normals and tile 2 t + 1 for counts; what more than one word decides takes the words
///       behind.
/// Cost: 3 to 4 ns per gene, whatever the library size.
/// Returns the number of cells written.
template <Level level>
std::size_t poisson_log_normal(const SparseRows& rows, const PoissonLogNormalPlan& plan, std::uint64_t key,
                               const CellPurposes& purposes, std::uint64_t first_cell) noexcept;

}  // namespace bulkgen
