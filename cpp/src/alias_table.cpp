#include <bit>

#include "bulkgen/alias.hpp"

namespace bulkgen {

template <Level level>
void alias_table(std::span<const double> weights, std::span<std::int64_t> mass, std::span<std::int32_t> order,
                 std::span<std::uint64_t> threshold, std::span<std::int32_t> other) noexcept {
    const std::size_t n = weights.size();
    const int bits = 62 - static_cast<int>(std::bit_width(n));
    const std::int64_t unit = std::int64_t{1} << bits;  // the mass of a column
    const std::int64_t total = unit * static_cast<std::int64_t>(n);
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += weights[i] > 0.0 ? weights[i] : 0.0;
    const double wanted = static_cast<double>(total) / sum;
    const double scale = wanted < 0x1p1000 ? wanted : 0.0;  // else the sum is no sum
    std::int64_t left = total;
    std::size_t heaviest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double units = weights[i] * scale;
        mass[i] = !(units > 0.0)                       ? 0
                  : units < static_cast<double>(total) ? static_cast<std::int64_t>(units + 0.5)
                                                       : total;
        left -= mass[i];
        if (mass[i] > mass[heaviest]) heaviest = i;
    }
    mass[heaviest] += left;
    // light genes from the front, heavy ones from the back
    std::size_t n_light = 0, first_heavy = n;
    for (std::size_t i = 0; i < n; ++i) {
        order[mass[i] < unit ? n_light++ : --first_heavy] = static_cast<std::int32_t>(i);
    }
    while (n_light > 0 && first_heavy < n) {
        const auto light = static_cast<std::size_t>(order[--n_light]);
        const auto heavy = static_cast<std::size_t>(order[first_heavy]);
        threshold[light] = static_cast<std::uint64_t>(mass[light]) << (64 - bits);
        other[light] = static_cast<std::int32_t>(heavy);
        mass[heavy] -= unit - mass[light];
        if (mass[heavy] < unit) {
            ++first_heavy;
            order[n_light++] = static_cast<std::int32_t>(heavy);
        }
    }
    // whole columns: all of them have the mass of one unit
    const auto fill = [&](std::size_t i) {
        threshold[i] = ~std::uint64_t{0};
        other[i] = static_cast<std::int32_t>(i);
    };
    for (std::size_t i = 0; i < n_light; ++i) fill(static_cast<std::size_t>(order[i]));
    for (std::size_t i = first_heavy; i < n; ++i) fill(static_cast<std::size_t>(order[i]));
}

template void alias_table<Level::BULKGEN_LEVEL>(std::span<const double>, std::span<std::int64_t>,
                                                std::span<std::int32_t>, std::span<std::uint64_t>,
                                                std::span<std::int32_t>) noexcept;

}  // namespace bulkgen
