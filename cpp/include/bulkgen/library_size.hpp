// The library size of a cell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

/// One of the sizes, each with the same chance (to 2^-64). Pre: there is at least one, and fewer than 2^32.
inline double library_size(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
                           std::span<const double> sizes) noexcept {
    WordStream stream(key, purpose, cell);
    const std::uint64_t n = sizes.size();
    const std::uint64_t high = stream.next() * n;
    const std::uint64_t low = stream.next() * n;
    return sizes[static_cast<std::size_t>((high + (low >> 32)) >> 32)];
}

}  // namespace

}  // namespace bulkgen
