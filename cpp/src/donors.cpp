#include "bulkgen/donors.hpp"

#include <bit>

#include "bulkgen/philox.hpp"

namespace bulkgen {

namespace {

constexpr int stratum_shift = 40;
constexpr std::uint32_t rounds = 8;

/// The image of position in a permutation of [0, n) of its own for each (key, purpose, pass).
std::uint64_t permuted(std::uint64_t position, std::uint64_t n, std::uint64_t key, std::uint32_t purpose,
                       std::uint64_t pass) noexcept {
    const auto bits = static_cast<int>(std::bit_width(n - 1));
    const int low_bits = bits / 2;
    const std::uint64_t low_mask = (std::uint64_t{1} << low_bits) - 1;
    const std::uint64_t high_mask = (std::uint64_t{1} << (bits - low_bits)) - 1;
    std::uint64_t value = position;
    do {
        std::uint64_t high = value >> low_bits, low = value & low_mask;
        for (std::uint32_t round = 0; round < rounds; ++round) {
            const bool even = round % 2 == 0;
            const auto half = static_cast<std::uint32_t>(even ? low : high);
            const std::uint64_t word = philox(address(half, pass, purpose, round), key)[0];
            if (even) {
                high ^= word & high_mask;
            } else {
                low ^= word & low_mask;
            }
        }
        value = high << low_bits | low;
    } while (value >= n);
    return value;
}

}  // namespace

template <Level level>
void choose_donors(std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell, bool shared,
                   std::span<const std::int64_t> donors, std::span<std::int64_t> out) noexcept {
    const std::uint64_t n = donors.size();
    for (std::size_t c = 0; c < out.size(); ++c) {
        const std::uint64_t cell = first_cell + c;
        const std::uint64_t number = cell & ((std::uint64_t{1} << stratum_shift) - 1);
        const std::uint64_t stratum = shared ? 0 : cell >> stratum_shift << stratum_shift;
        out[c] = donors[permuted(number % n, n, key, purpose, stratum | number / n)];
    }
}

template void choose_donors<Level::BULKGEN_LEVEL>(std::uint64_t, std::uint32_t, std::uint64_t, bool,
                                                  std::span<const std::int64_t>,
                                                  std::span<std::int64_t>) noexcept;

}  // namespace bulkgen
