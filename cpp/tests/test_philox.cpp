#include <vector>

#include "bulkgen/philox.hpp"
#include "check.hpp"

using namespace bulkgen;

template <Level level>
void test() {
    // the known answers are static_asserts of the header; here the addresses
    constexpr std::size_t n = 530;  // two tiles and a part of a third
    std::vector<std::uint32_t> all(3 * n);
    philox_words<level>(42, 7, 5, n, all);
    for (std::size_t cell = 0; cell < 3; ++cell) {
        for (std::size_t p = 0; p < n; ++p) {
            const Block block = philox(address(tile_block(p), 5 + cell, 7, 0), 42);
            CHECK(all[cell * n + p] == block[tile_word(p)]);
        }
    }
    // a range of cells alone, and fewer positions, give the same words
    std::vector<std::uint32_t> one(n);
    philox_words<level>(42, 7, 6, n, one);
    for (std::size_t p = 0; p < n; ++p) CHECK(one[p] == all[n + p]);
    std::vector<std::uint32_t> few(20);
    philox_words<level>(42, 7, 5, 20, few);
    for (std::size_t p = 0; p < 20; ++p) CHECK(few[p] == all[p]);
    // cells beyond 32 bits have addresses of their own
    philox_words<level>(42, 7, 6 + (std::uint64_t{1} << 32), n, one);
    CHECK(one[0] != all[n]);
    // no position, no work
    philox_words<level>(42, 7, 0, 0, {});
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
