// Genes in proportion to weights, in constant time: the alias table.
// Sources: Walker, "An efficient method for generating discrete random variables with general distributions",
// ACM TOMS 3:253 (1977); Vose, "A linear algorithm for generating random numbers with a given distribution",
// IEEE Trans. Software Eng. 17:972 (1991).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"

namespace bulkgen {

/// A uniform word falls into column `index` of n; its remainder stays there below the threshold and goes to
/// the other gene above.
struct AliasTable {
    std::span<const std::uint64_t> threshold;
    std::span<const std::int32_t> other;
};

/// The gene of a uniform 64-bit word, given as its halves. Chances are exact to 2^-64.
/// Pre: the table has between 1 and 2^31 - 1 genes.
static inline std::int32_t alias_gene(const AliasTable& table, std::uint32_t high,
                                      std::uint32_t low) noexcept {
    const std::uint64_t n = table.threshold.size();
    const std::uint64_t product = low * n;
    const std::uint64_t top = high * n + (product >> 32);
    const auto index = static_cast<std::size_t>(top >> 32);
    const std::uint64_t remainder = top << 32 | (product & 0xffffffffU);
    const auto other = static_cast<std::uint32_t>(table.other[index]);
    // by a mask: as a branch it would be mispredicted every other time
    const std::uint32_t stays = 0U - static_cast<std::uint32_t>(remainder < table.threshold[index]);
    return static_cast<std::int32_t>(other ^ ((other ^ static_cast<std::uint32_t>(index)) & stays));
}

/// Build the alias table of weights >= 0, in whole units of 2^-k of the mean weight (k = 62 less the bits of
/// n; 47 for 20,000 genes), so that the table is exact for the rounded weights. The rounding of the total
/// goes to the first of the heaviest genes. A weight that is not above 0 is never drawn.
///
/// Pre:  the spans have n elements each, 0 < n < 2^31; the weights have a finite sum above 0 (else the table
/// is
///       valid to use, but of no meaning).
/// Pure: the same bits everywhere.
/// Cost: three passes.
template <Level level>
void alias_table(std::span<const double> weights, std::span<std::int64_t> mass, std::span<std::int32_t> order,
                 std::span<std::uint64_t> threshold, std::span<std::int32_t> other) noexcept;

}  // namespace bulkgen
