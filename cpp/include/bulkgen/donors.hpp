// Which real cell each synthetic cell is made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"

namespace bulkgen {

/// out[c] = the donor of cell first_cell + c, one of donors: all of them in a random order, then all of them
/// in another order, and so on. A cell is (stratum << 40) | number.
///
/// Pre:  donors is not empty and has fewer than 2^40 elements; purpose < 256.
/// Law:  pass e = number / n uses position number mod n of a permutation that depends on (key, purpose, e),
/// and
///       on the stratum unless `shared`: then cells of one number have the same donor in every stratum that
///       has the same donors. The permutation is a Feistel network of eight rounds of Philox over the
///       smallest power of two that holds n, walked until it lands below n (Black and Rogaway, CT-RSA 2002).
/// Pure: out[c] depends on its cell, the donors and the key alone.
/// Cost: at most 16 Philox blocks per cell on average.
template <Level level>
void choose_donors(std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell, bool shared,
                   std::span<const std::int64_t> donors, std::span<std::int64_t> out) noexcept;

}  // namespace bulkgen
