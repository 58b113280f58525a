// Cells as molecules: a library size, then a gene for each molecule.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/alias.hpp"
#include "bulkgen/level.hpp"
#include "bulkgen/row_counts.hpp"
#include "bulkgen/sparse_rows.hpp"

namespace bulkgen {

struct MultinomialPlan {
    AliasTable profile;
    std::span<const double> sizes;  // library sizes, of which each cell takes one
    bool poisson_total;    // the number of molecules is Poisson with mean size, else the nearest whole
    double concentration;  // of the Dirichlet-multinomial law; infinite for the multinomial
};

struct CellPurposes {
    std::uint32_t library_size;
    std::uint32_t cell;
};

/// Molecules of one cell that an urn holds: beyond, the tail of a Poisson law is below 1e-30.
static inline std::size_t urn_size(double largest_size) noexcept {
    const double root = std::sqrt(largest_size);
    return static_cast<std::size_t>(largest_size + 12.0 * root + 64.0);
}

/// Draw cells from a profile.
///
/// Pre:  profile.threshold.size() genes; 0 < sizes.size() <= 2^32, each in [0, 2^31); concentration > 0;
///       scratch is all zero (and is again after); urn holds urn_size(largest of sizes) elements, or none if
///       the concentration is infinite; purposes < 256.
/// Law:  size ~ one of sizes; total = nearest whole of size, or Poisson(size); given the total, counts are
///       multinomial, or Dirichlet-multinomial with parameters concentration * profile: molecule i = 0, 1,
///       ... copies one of the molecules before it with chance i / (concentration + i) (Polya's urn).
/// Pure: cell c depends on (key, purposes, first_cell + c, plan) alone.
/// Cost: 4 to 5 ns per molecule from the profile, 10 from an urn; 3 ns per entry of the row.
/// Returns the number of cells written.
template <Level level>
std::size_t multinomial(const SparseRows& rows, const MultinomialPlan& plan, std::uint64_t key,
                        const CellPurposes& purposes, std::uint64_t first_cell,
                        const RowCountsScratch& scratch, std::span<std::int32_t> urn) noexcept;

}  // namespace bulkgen
