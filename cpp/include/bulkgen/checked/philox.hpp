#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/philox.hpp"

namespace bulkgen::checked {

inline void philox_words(Level level, std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell,
                         std::size_t n_positions, std::span<std::uint32_t> out) {
    require_purposes({purpose});
    require(n_positions <= (std::size_t{1} << 32), "out must have at most 2^32 positions");
    require(n_positions == 0 ? out.empty() : out.size() % n_positions == 0,
            "out must have shape (cells, positions)");
    at_level(level,
             [&](auto at) { bulkgen::philox_words<at.level>(key, purpose, first_cell, n_positions, out); });
}

}  // namespace bulkgen::checked
