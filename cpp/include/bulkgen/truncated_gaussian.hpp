// Cells whose genes are independent normals truncated to an interval.
// Sources: Robert, "Simulation of truncated normal variables", Statistics and Computing 5:121 (1995) for the
// proposals; docs/design/streams.md for the addresses of the words; docs/design/kernels.md for the speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"
#include "bulkgen/philox.hpp"

namespace bulkgen {

/// How the variate t of a gene is drawn; its value is location + scale * t, within [lower, upper].
/// With a = (lower - mean) / sd and b = (upper - mean) / sd; chosen per gene by
/// kernels/truncated_gaussian.py. All are independent of the sampler of the common genes.
enum class Proposal : std::uint8_t {
    constant = 0,  // t = 0
    normal = 1,    // standard normal, redrawn outside the bounds
    uniform = 2,   // a <= 0 <= b, narrow: t uniform, z = first + second * t kept with chance exp(-z^2 / 2)
    tail = 3,  // beyond a bound: t exponential with rate first + second, first = a, second = Robert's rate -
               // a, t <= third = b - a
    narrow = 4,   // beyond a bound, narrow: t uniform on [0, third] kept with chance exp(-t (first + t / 2))
    inverse = 5,  // t = quantile; first = Phi(a), second = Phi(b) - Phi(a), third = 1 - Phi(b)
    flat = 6,     // t uniform: the density does not vary over the interval
    inverse_tail =
        7,  // beyond a bound, by inversion; first = a, second = 1 - S(b) / S(a), third = Mills ratio at a
};

/// How the common genes are drawn: those that single precision serves.
enum class Sampler : std::uint8_t {
    rejection = 0,  // standard normals, redrawn outside the bounds
    inverse = 1,    // the quantile of one word
};

/// The genes in single precision, tile by tile: element (tile, field, i) is that of gene 256 * tile + i.
struct CommonGenes {
    /// Rows of a tile; the last three are of Proposal::inverse and used by Sampler::inverse alone.
    enum Field : std::size_t { location, scale, lower, upper, first, second, third, fields };

    std::span<const float> values;
    std::span<const std::uint32_t>
        keep;  // empty, or per gene: values whose word of the mask is above become 0

    const float* row(std::size_t first_gene, Field field) const noexcept {
        return values.data() + first_gene * fields + field * tile_size;
    }
    float at(std::size_t gene, Field field) const noexcept {
        return row(gene - gene % tile_size, field)[gene % tile_size];
    }
};

/// Genes that are drawn one by one in double precision, in place of what the common way gave.
struct OddGenes {
    std::span<const std::uint32_t> gene;
    std::span<const std::uint8_t> proposal;
    std::span<const double> location, scale, lower, upper, first, second, third;
};

/// Purposes of the words (docs/design/streams.md).
struct TruncatedGaussianPurposes {
    std::uint32_t draw, retry, mask;
};

struct TruncatedGaussianPlan {
    Sampler sampler;
    bool round;  // to the nearest count, ties to even; bounds must not be negative
    CommonGenes common;
    OddGenes odd;
};

/// Draw cells first_cell, first_cell + 1, ... into the rows of out, n_genes each.
///
/// Pre:  plan.common holds n_genes rounded up to whole tiles; spans of plan.odd have equal length, its genes
///       ascend and are below n_genes; out.size() is a multiple of n_genes > 0.
/// Law:  out[c, g] ~ the normal of gene g conditioned on [lower[g], upper[g]], all independent; then masked,
///       then rounded.
/// Pure: out[c, g] depends on (key, purposes, first_cell + c, g, plan of g) alone. Ends on every input: after
///       256 blocks of attempts (chance below 1e-100 for a consistent plan) a value is clipped to its bounds.
/// Cost: inverse: one Philox word, a logarithm, a square root and two divisions per value; rejection: one
///       word and a half, and four normals more for each first one outside the bounds.
template <Level level>
void truncated_gaussian(std::uint64_t key, const TruncatedGaussianPurposes& purposes,
                        std::uint64_t first_cell, const TruncatedGaussianPlan& plan, std::size_t n_genes,
                        std::span<float> out) noexcept;

}  // namespace bulkgen
