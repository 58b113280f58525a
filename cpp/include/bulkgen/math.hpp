// Elementary functions of the sampled paths: own polynomials, so that no libm decides a bit.
// Every function is a fixed sequence of IEEE additions, multiplications, divisions and square roots; the
// Numba twin (kernels/numba_math.py) repeats it operation by operation. The stated errors are checked by
// tests/test_math.cpp. Functions are static: each instruction-set level has copies of its own, which a
// linker must not merge.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace bulkgen {

namespace detail {
template <std::size_t N>
static constexpr double horner(const double (&coefficients)[N], double x) noexcept {
    double value = coefficients[N - 1];
    for (std::size_t i = N - 1; i-- > 0;) value = value * x + coefficients[i];
    return value;
}

/// An integer below 2^52 as a double, by its bits: vectorises on every instruction set.
static constexpr double small_to_double(std::uint64_t value) noexcept {
    return std::bit_cast<double>(value | 0x4330000000000000U) - 0x1p52;
}

inline constexpr double log_coefficients[] = {2.0000000000083595, 0.6666666524748752, 0.4000038467237519,
                                              0.2853505103781631, 0.23616359099145984};
inline constexpr double sin_coefficients[] = {3.141592653536132,  -5.167712764593,     2.550163317938427,
                                              -0.599252186531583, 0.08205035020147247, -0.007028303855203096};
inline constexpr double cos_coefficients[] = {0.999999999779154,   -4.934802136928946, 4.058709154763134,
                                              -1.3352119493905503, 0.2349370685950865, -0.024395932097550446};
inline constexpr double quantile_numerator[] = {0.6266570682315129, 1.0046180730409142, 1.2178657817985994,
                                                0.897419485121487,  0.4564969006251712, 0.12814734572034495,
                                                0.00827466403717353};
inline constexpr double quantile_denominator[] = {1.0,
                                                  1.6031383605503569,
                                                  2.1934372086765355,
                                                  1.8328006912519097,
                                                  1.170081245508114,
                                                  0.4895645237063554,
                                                  0.12835485373610508,
                                                  0.00827303661126173};
inline constexpr double ln2 = 0.6931471805599453;
}  // namespace detail

/// Natural logarithm of a positive normal double; relative error below 5e-12.
static constexpr double log_positive(double x) noexcept {
    constexpr std::uint64_t sqrt_half = 0x3fe6a09e667f3bcdU;
    // biased so that the exponent field of the difference is k + 1024 for x = 2^k m, m in [sqrt(1/2),
    // sqrt(2))
    const std::uint64_t shifted = std::bit_cast<std::uint64_t>(x) - sqrt_half + (std::uint64_t{1024} << 52);
    const double k = detail::small_to_double(shifted >> 52) - 1024.0;
    const double m = std::bit_cast<double>((shifted & 0x000fffffffffffffU) + sqrt_half);
    const double s = (m - 1.0) / (m + 1.0);
    return k * detail::ln2 + s * detail::horner(detail::log_coefficients, s * s);
}

/// A word as a uniform in the open interval (0, 1): (word + 1/2) / 2^32.
static constexpr double unit_uniform(std::uint32_t word) noexcept {
    return (detail::small_to_double(word) + 0.5) * 0x1p-32;
}

/// A standard exponential from one word: -log(uniform); at most 22.9.
static constexpr double standard_exponential(std::uint32_t word) noexcept {
    return -log_positive(unit_uniform(word));
}

struct NormalPair {
    double first;
    double second;
};

/// Two independent standard normals from two words (Box and Muller 1958); |value| at most 6.7.
/// The angle is uniform on a half circle and one bit gives the sign of the cosine.
static inline NormalPair standard_normals(std::uint32_t word0, std::uint32_t word1) noexcept {
    const double radius = std::sqrt(2.0 * standard_exponential(word0));
    const double turn = (detail::small_to_double(word1 & 0x7fffffffU) + 0.5) * 0x1p-31 - 0.5;
    const double square = turn * turn;
    const double cosine = detail::horner(detail::cos_coefficients, square);
    const double sine = turn * detail::horner(detail::sin_coefficients, square);
    const std::uint64_t sign = std::uint64_t{word1 & 0x80000000U} << 32;
    return {radius * std::bit_cast<double>(std::bit_cast<std::uint64_t>(cosine) ^ sign), radius * sine};
}

/// Quantile of the standard normal from both of its tails, lower + upper = 1, each known to full relative
/// precision. Relative error below 2e-9 for tails of at least 1e-20.
static inline double normal_quantile(double lower, double upper) noexcept {
    const double tail = lower < upper ? lower : upper;
    const double square = -2.0 * log_positive(2.0 * tail);
    // 2 * tail may round to just above one
    const double s2 = square > 0.0 ? square : 0.0;
    const double s = std::sqrt(s2);
    const double magnitude = s2 * (detail::horner(detail::quantile_numerator, s) /
                                   detail::horner(detail::quantile_denominator, s));
    return lower < upper ? -magnitude : magnitude;
}

/// Mills ratio (1 - Phi(x)) / phi(x) for x >= 5, by its continued fraction (Laplace); relative error below
/// 1e-12.
static constexpr double mills_ratio_tail(double x) noexcept {
    double fraction = x;
    for (int level = 40; level >= 1; --level) fraction = x + static_cast<double>(level) / fraction;
    return 1.0 / fraction;
}

}  // namespace bulkgen
