// Cells whose genes are independent normals truncated to an interval.
// Sources: Robert, "Simulation of truncated normal variables", Statistics and Computing 5:121 (1995) for the
// proposals; docs/design/streams.md for the addresses of the words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"

namespace bulkgen {

/// How the variate t of one gene is drawn; its value is location + scale * t, within [lower, upper].
/// With a = (lower - mean) / sd and b = (upper - mean) / sd; chosen per gene by
/// kernels/truncated_gaussian.py.
enum class Proposal : std::uint8_t {
    constant = 0,  // t = 0
    normal = 1,    // standard normal, redrawn outside the bounds; the first attempt comes from the tile
    uniform = 2,   // a <= 0 <= b, narrow: t uniform, z = first + second * t kept with chance exp(-z^2 / 2)
    tail = 3,  // beyond a bound: t exponential with rate first + second, first = a, second = Robert's rate -
               // a, t <= third = b - a
    narrow = 4,   // beyond a bound, narrow: t uniform on [0, third] kept with chance exp(-t (first + t / 2))
    inverse = 5,  // t = quantile; first = Phi(a), second = Phi(b) - Phi(a), third = 1 - Phi(b)
    flat = 6,     // t uniform: the density does not vary over the interval
    inverse_tail =
        7,  // beyond a bound, by inversion; first = a, second = 1 - S(b) / S(a), third = Mills ratio at a
};

/// Per-gene description; all spans have one element per gene.
struct TruncatedGaussianPlan {
    std::span<const std::uint8_t> proposal;
    std::span<const double> location;
    std::span<const double> scale;
    std::span<const double> lower;
    std::span<const double> upper;
    std::span<const double> first;
    std::span<const double> second;
    std::span<const double> third;
};

/// Draw cells first_cell, first_cell + 1, ... into the rows of out.
///
/// Pre:  spans of the plan have equal length n > 0; out.size() is a multiple of n; the plan is consistent.
/// Law:  out[c, g] ~ the normal of gene g conditioned on [lower[g], upper[g]], all independent.
/// Pure: out[c, g] depends on (key, purpose, first_cell + c, g, plan of g) alone. Ends on every input: after
/// 256 blocks of
///       attempts (chance below 1e-100 for a consistent plan) it returns the location clipped to the bounds.
/// Cost: about 1.5 Philox words per value where the mean lies inside the interval.
template <Level level, typename Value>
void truncated_gaussian(std::uint64_t key, std::uint32_t purpose, std::uint32_t retry_purpose,
                        std::uint64_t first_cell, const TruncatedGaussianPlan& plan,
                        std::span<Value> out) noexcept;

}  // namespace bulkgen
