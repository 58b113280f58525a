// One look at the entries of a row without a branch per entry, so that it vectorises.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace bulkgen {

/// Whether columns are strictly increasing and within [first, last).
template <typename Index>
static bool columns_increase_within(const Index* columns, std::size_t n, std::size_t first,
                                    std::size_t last) noexcept {
    if (n == 0) return true;
    std::make_unsigned_t<Index> falls = 0;
    for (std::size_t i = 1; i < n; ++i) falls |= columns[i] <= columns[i - 1];
    return falls == 0 && static_cast<std::int64_t>(columns[0]) >= static_cast<std::int64_t>(first) &&
           static_cast<std::int64_t>(columns[n - 1]) < static_cast<std::int64_t>(last);
}

/// The bits of non-negative numbers, read as unsigned integers, have the order of the numbers. Those of
/// infinity, NaN and everything negative (-0.0 too) are larger than those of any finite number.
template <typename Value>
using BitsOf = std::conditional_t<sizeof(Value) == 4, std::uint32_t, std::uint64_t>;

template <typename Value>
static constexpr BitsOf<Value> bits_beyond_finite() noexcept {
    if constexpr (std::is_floating_point_v<Value>) {
        return std::bit_cast<BitsOf<Value>>(std::numeric_limits<Value>::infinity());
    } else {
        return BitsOf<Value>{1} << (8 * sizeof(Value) - 1);
    }
}

template <typename Value>
struct ValueScan {
    BitsOf<Value> most = 0;  // largest bits
    bool maybe_fractional = false;

    /// All values finite and none negative; says no also for -0.0.
    bool surely_counts() const noexcept { return most < bits_beyond_finite<Value>(); }
    /// The largest value, where surely_counts().
    Value largest() const noexcept { return std::bit_cast<Value>(most); }
};

/// Says of whole numbers beyond the mantissa that they may be fractional.
template <typename Value>
static ValueScan<Value> scan_values(const Value* values, std::size_t n) noexcept {
    using Bits = BitsOf<Value>;
    Bits most = 0;
    Bits fractional = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto bits = std::bit_cast<Bits>(values[i]);
        most = bits > most ? bits : most;
        if constexpr (std::is_floating_point_v<Value>) {
            // adding 2^23 (2^52) leaves no bits for a fraction
            constexpr auto unit = Value(1) / std::numeric_limits<Value>::epsilon();
            fractional |= (values[i] + unit) - unit != values[i];
        }
    }
    return {most, fractional != 0};
}

/// What a row must hold to be added to sums of integers (whole numbers below 2^63) or of real numbers.
template <bool whole, typename Value>
static bool is_count(Value value) noexcept {
    if constexpr (std::is_floating_point_v<Value>) {
        if (!std::isfinite(value)) return false;
        if (whole && (std::trunc(value) != value || value >= Value(0x1p63))) return false;
    }
    return value >= 0;
}

/// Whether every value may be added; raises `largest` to the largest of them.
template <bool whole, typename Value>
static bool values_are_counts(const Value* values, std::size_t n, double& largest) noexcept {
    const ValueScan<Value> scan = scan_values(values, n);
    if (scan.surely_counts()) [[likely]] {
        const Value most = scan.largest();
        if (!whole || (!scan.maybe_fractional && is_count<true>(most))) [[likely]] {
            if (static_cast<double>(most) > largest) largest = static_cast<double>(most);
            return true;
        }
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (!is_count<whole>(values[i])) return false;
        const auto real = static_cast<double>(values[i]);
        if (real > largest) largest = real;
    }
    return true;
}

}  // namespace bulkgen
