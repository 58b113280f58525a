// Elementary functions in single precision, for the sampled paths whose values are stored as float: twice as
// many lanes per vector, and errors of the order of the rounding of the stored value.
// Fixed sequences of IEEE operations like math.hpp, in loops that vectorise; the Numba twin repeats them
// operation by operation. The stated errors are checked by tests/test_math.cpp.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "bulkgen/math.hpp"

namespace bulkgen {

namespace detail {
template <std::size_t N>
static constexpr float horner_single(const float (&coefficients)[N], float x) noexcept {
    float value = coefficients[N - 1];
    for (std::size_t i = N - 1; i-- > 0;) value = value * x + coefficients[i];
    return value;
}

inline constexpr float single_log[] = {0.333333313F,  -0.24999994F,  0.200007141F,
                                       -0.166680574F, 0.142493233F,  -0.124201410F,
                                       0.116769984F,  -0.115146101F, 0.0703768358F};
inline constexpr float single_sin[] = {3.14159274F,   -5.16771269F,  2.55016327F,
                                       -0.599252164F, 0.0820503533F, -0.00702830311F};
inline constexpr float single_cos[] = {1.0F,         -4.93480206F, 4.05870914F,
                                       -1.33521199F, 0.234937072F, -0.0243959315F};
inline constexpr float single_quantile_numerator[] = {0.626657069F, 0.885056853F, 0.933094680F,
                                                      0.581991374F, 0.221890107F, 0.0308398254F};
inline constexpr float single_quantile_denominator[] = {1.0F,         1.41234875F,  1.73894989F,  1.28228569F,
                                                        0.679623783F, 0.223603174F, 0.0308123920F};
}  // namespace detail

/// Natural logarithm of a positive normal float; absolute error below 1.2e-7 times max(1, |log x|), and
/// relative error below 1e-7 where x is within a factor sqrt(2) of one.
static constexpr float log_positive(float x) noexcept {
    constexpr std::uint32_t sqrt_half = 0x3f3504f3U;
    const std::uint32_t shifted = std::bit_cast<std::uint32_t>(x) - sqrt_half;
    const auto k = static_cast<float>(static_cast<std::int32_t>(shifted) >> 23);
    const float f = std::bit_cast<float>((shifted & 0x007fffffU) + sqrt_half) - 1.0F;
    const float square = f * f;
    const float rest = f * square * detail::horner_single(detail::single_log, f) - 0.5F * square;
    return k * 0.693147182F + (f + rest);
}

/// The upper 31 bits of a word as a uniform: (word / 2 + 1/2) / 2^31, rounded to 24 bits. Never 0, so that
/// small values keep their precision; 1 with chance 2^-25, so use the complement of the word for what is
/// near 1.
static constexpr float unit_uniform_single(std::uint32_t word) noexcept {
    return (static_cast<float>(static_cast<std::int32_t>(word >> 1)) + 0.5F) * 0x1p-31F;
}

struct NormalPairSingle {
    float first;
    float second;
};

/// Squared radius of a pair of normals from a word: -2 log u.
static constexpr float radius_argument(std::uint32_t word) noexcept {
    return -2.0F * log_positive(unit_uniform_single(word));
}

/// As standard_normals of math.hpp, in single precision, from a squared radius and a word; |value| at
/// most 6.7.
static inline NormalPairSingle normals_at(float argument, std::uint32_t word) noexcept {
    const float radius = std::sqrt(argument);
    const float turn = (static_cast<float>(static_cast<std::int32_t>(word) >> 1) + 0.5F) * 0x1p-31F;
    const float square = turn * turn;
    const float cosine = detail::horner_single(detail::single_cos, square);
    const float sine = turn * detail::horner_single(detail::single_sin, square);
    const std::uint32_t sign = word << 31;
    return {radius * std::bit_cast<float>(std::bit_cast<std::uint32_t>(cosine) ^ sign), radius * sine};
}

/// L(t) = -2 log(2 t) of a tail t in (0, 1/2], by which normal_quantile_single is written.
static inline float quantile_argument(float tail) noexcept {
    const float value = -2.0F * log_positive(2.0F * tail);
    // 2 * tail may round to just above one
    return value > 0.0F ? value : 0.0F;
}

/// Distance from the mean, in standard deviations, at which the tail beyond has argument L; relative error
/// below 6e-7 for tails of at least 2^-35.
static inline float quantile_magnitude(float argument) noexcept {
    const float s = std::sqrt(argument);
    return argument * (detail::horner_single(detail::single_quantile_numerator, s) /
                       detail::horner_single(detail::single_quantile_denominator, s));
}

/// The nearest whole number, ties to even, of a float >= 0; a negative one becomes 0 or wrong.
static constexpr float round_count(float x) noexcept {
    // floats of at least 2^23 are whole; below, the sum has no room for a fraction
    return x < 0x1p23F ? (x + 0x1p23F) - 0x1p23F : x;
}

}  // namespace bulkgen
