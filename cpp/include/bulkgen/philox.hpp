// Philox4x32-10, a counter-based random generator: every word has an address and no state exists.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/lanes.hpp"
#include "bulkgen/level.hpp"

namespace bulkgen {

using Block = std::array<std::uint32_t, 4>;

/// Ten rounds of Philox4x32 over one counter. Pure.
static constexpr Block philox(Block counter, std::uint64_t key) noexcept {
    constexpr std::uint64_t multiplier0 = 0xD2511F53U;
    constexpr std::uint64_t multiplier1 = 0xCD9E8D57U;
    auto key0 = static_cast<std::uint32_t>(key);
    auto key1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t product0 = multiplier0 * counter[0];
        const std::uint64_t product1 = multiplier1 * counter[2];
        counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
                   static_cast<std::uint32_t>(product1),
                   static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
                   static_cast<std::uint32_t>(product0)};
        key0 += 0x9E3779B9U;  // golden ratio
        key1 += 0xBB67AE85U;  // sqrt(3) - 1
    }
    return counter;
}

// Known answers published with Random123 (kat_vectors, philox4x32 10).
static_assert(philox({0, 0, 0, 0}, 0) == Block{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
static_assert(philox({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, 0xffffffffffffffffU) ==
              Block{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU});
static_assert(philox({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, 0x299f31d0a4093822U) ==
              Block{0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U});

/// Address of a block: (position, cell, purpose, attempt); attempt < 2^24.
static constexpr Block address(std::uint32_t position, std::uint64_t cell, std::uint32_t purpose,
                               std::uint32_t attempt) noexcept {
    return {position, static_cast<std::uint32_t>(cell), static_cast<std::uint32_t>(cell >> 32),
            (purpose << 24) | attempt};
}

/// Positions are served in tiles of 256: block 64 * tile + lane holds the words of positions
/// 256 * tile + lane + {0, 64, 128, 192}, so that consecutive lanes of a vector unit store contiguously.
inline constexpr std::size_t tile_size = 256;
inline constexpr std::size_t tile_lanes = 64;

static constexpr std::uint32_t tile_block(std::size_t position) noexcept {
    return static_cast<std::uint32_t>(position / tile_size * tile_lanes + position % tile_lanes);
}
static constexpr std::size_t tile_word(std::size_t position) noexcept { return position / tile_lanes % 4; }

/// The blocks of n positions of a cell, n a multiple of eight: word i of the block of positions[lane] goes to
/// words[i * stride + lane]. The same rounds as philox(), on lanes whose high halves hold what a product
/// left.
static inline void philox_blocks(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
                                 std::uint32_t attempt, const std::uint32_t* positions, std::size_t n,
                                 std::size_t stride, std::uint32_t* words) noexcept {
    const Block counter = address(0, cell, purpose, attempt);
    const Lanes multiplier0 = Lanes::all(0xD2511F53U), multiplier1 = Lanes::all(0xCD9E8D57U);
    for (std::size_t lane = 0; lane < n; lane += Lanes::size) {
        Lanes x0 = Lanes::load(positions + lane), x1 = Lanes::all(counter[1]), x2 = Lanes::all(counter[2]),
              x3 = Lanes::all(counter[3]);
        auto key0 = static_cast<std::uint32_t>(key);
        auto key1 = static_cast<std::uint32_t>(key >> 32);
        for (int round = 0; round < 10; ++round) {
            const Lanes product0 = x0.times(multiplier0), product1 = x2.times(multiplier1);
            x0 = product1.high() ^ x1 ^ Lanes::all(key0);
            x2 = product0.high() ^ x3 ^ Lanes::all(key1);
            x1 = product1;
            x3 = product0;
            key0 += 0x9E3779B9U;
            key1 += 0xBB67AE85U;
        }
        x0.store(words + lane);
        x1.store(words + stride + lane);
        x2.store(words + 2 * stride + lane);
        x3.store(words + 3 * stride + lane);
    }
}

/// The words of the tile of positions from first_position, a multiple of 256, in the order of the positions.
static inline void philox_tile(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
                               std::size_t first_position, std::uint32_t (&words)[tile_size]) noexcept {
    std::uint32_t blocks[tile_lanes];
    for (std::size_t lane = 0; lane < tile_lanes; ++lane) {
        blocks[lane] = tile_block(first_position) + static_cast<std::uint32_t>(lane);
    }
    philox_blocks(key, purpose, cell, 0, blocks, tile_lanes, tile_lanes, words);
}

/// The random word of each position of each cell, in tile order of addresses.
///
/// Pre:  out.size() == n_cells * n_positions; n_positions <= 2^32; purpose < 256.
/// Law:  independent uniform 32-bit words.
/// Pure: out[c, p] depends on (key, purpose, first_cell + c, p) alone.
/// Cost: one Philox block per four words.
template <Level level>
void philox_words(std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell, std::size_t n_positions,
                  std::span<std::uint32_t> out) noexcept;

}  // namespace bulkgen
