// Single variates of the laws of discrete.hpp: what their acceptance tests draw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"

namespace bulkgen {

/// The numbers are those of kernels/sampling.py. Parameters in this order.
enum class Law : std::uint8_t {
    bernoulli = 0,      // p
    poisson = 1,        // mean
    binomial = 2,       // n, p
    log_series = 3,     // q, log(1 - q)
    geometric = 4,      // f, log f
    geometric_sum = 5,  // size, f, log f
    gamma = 6,          // shape
    beta = 7,           // a, b
};

struct LawParameters {
    double first, second, third;
};

/// Variates of one law: each cell has a stream, and its row of n_values takes what it needs of it.
///
/// Pre:  out.size() is a multiple of n_values > 0; the parameters are those that the law allows; counts of
///       binomial and geometric_sum lie in [0, 2^53]; purpose < 256.
/// Law:  independent variates.
/// Pure: the row of a cell depends on (key, purpose, cell, law, parameters, n_values) alone.
/// Cost: 2 to 60 ns per value.
template <Level level>
void variates(Law law, const LawParameters& parameters, std::uint64_t key, std::uint32_t purpose,
              std::uint64_t first_cell, std::size_t n_values, std::span<double> out) noexcept;

}  // namespace bulkgen
