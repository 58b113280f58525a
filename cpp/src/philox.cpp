#include "bulkgen/philox.hpp"

#include <cstring>

namespace bulkgen {

template <Level level>
void philox_words(std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell, std::size_t n_positions,
                  std::span<std::uint32_t> out) noexcept {
    if (n_positions == 0) return;
    const std::size_t n_cells = out.size() / n_positions;
    for (std::size_t cell = 0; cell < n_cells; ++cell) {
        std::uint32_t* row = out.data() + cell * n_positions;
        for (std::size_t first = 0; first < n_positions; first += tile_size) {
            std::uint32_t words[tile_size];
            philox_tile(key, purpose, first_cell + cell, first, words);
            const std::size_t wanted = n_positions - first < tile_size ? n_positions - first : tile_size;
            std::memcpy(row + first, words, wanted * sizeof(std::uint32_t));
        }
    }
}

template void philox_words<Level::BULKGEN_LEVEL>(std::uint64_t, std::uint32_t, std::uint64_t, std::size_t,
                                                 std::span<std::uint32_t>) noexcept;

}  // namespace bulkgen
