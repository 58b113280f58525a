#include "bulkgen/philox.hpp"

#include <algorithm>

namespace bulkgen {

template <Level level>
void philox_words(std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell, std::size_t n_positions,
                  std::span<std::uint32_t> out) noexcept {
    if (n_positions == 0) return;
    const std::size_t n_cells = out.size() / n_positions;
    for (std::size_t cell = 0; cell < n_cells; ++cell) {
        std::uint32_t* row = out.data() + cell * n_positions;
        for (std::size_t tile = 0; tile < n_positions; tile += tile_size) {
            const std::size_t lanes = std::min(tile_lanes, n_positions - tile);
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const Block words =
                    philox(address(tile_block(tile + lane), first_cell + cell, purpose, 0), key);
                for (std::size_t word = 0; word < 4; ++word) {
                    const std::size_t position = tile + word * tile_lanes + lane;
                    if (position < n_positions) row[position] = words[word];
                }
            }
        }
    }
}

template void philox_words<Level::BULKGEN_LEVEL>(std::uint64_t, std::uint32_t, std::uint64_t, std::size_t,
                                                 std::span<std::uint32_t>) noexcept;

}  // namespace bulkgen
