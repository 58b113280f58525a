// The random words of a cell one after another, for samplers that use as many as they need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/math.hpp"
#include "bulkgen/philox.hpp"

namespace bulkgen {

/// The upper 52 bits of two words as a uniform in the open interval (0, 1).
static inline double fine_unit_uniform(std::uint64_t words) noexcept {
    return (detail::small_to_double(words >> 12) + 0.5) * 0x1p-52;
}

namespace {  // a level's copy of the class is its own

/// The words of (key, purpose, cell) in the order of their positions, made a tile at a time.
class WordStream {
  public:
    /// Pre: first_position is a multiple of tile_size.
    WordStream(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
               std::size_t first_position = 0) noexcept
        : key_(key), cell_(cell), next_(first_position), purpose_(purpose) {}

    std::uint32_t next() noexcept {
        if (used_ == tile_size) refill();
        return words_[used_++];
    }
    /// Two words, the upper first.
    std::uint64_t word64() noexcept {
        const std::uint64_t high = next();
        return high << 32 | next();
    }
    /// In (0, 1), from one word.
    double uniform() noexcept { return unit_uniform(next()); }
    /// In (0, 1), from 52 bits of two words: for what is compared with small probabilities.
    double fine_uniform() noexcept { return fine_unit_uniform(word64()); }

  private:
    void refill() noexcept {
        philox_tile(key_, purpose_, cell_, next_, words_);
        next_ += tile_size;
        used_ = 0;
    }

    std::uint64_t key_, cell_;
    std::size_t next_;
    std::size_t used_ = tile_size;
    std::uint32_t purpose_;
    alignas(64) std::uint32_t words_[tile_size];
};

}  // namespace

/// One of the sizes by the next word: the bootstrap of library sizes. Pre: 0 < sizes.size() <= 2^32.
static inline double library_size(WordStream& stream, std::span<const double> sizes) noexcept {
    return sizes[static_cast<std::size_t>(stream.next() * static_cast<std::uint64_t>(sizes.size()) >> 32)];
}

}  // namespace bulkgen
