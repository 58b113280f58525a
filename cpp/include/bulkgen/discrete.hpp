// Discrete laws, and the gamma and beta laws that mix them, on a stream of words.
// Double precision, from + - x / square root and the polynomials of math.hpp alone, so that no libm decides a
// bit; the Numba twin (kernels/numba_discrete.py) repeats every operation. Functions are static: each
// instruction-set level has copies of its own.
//
// Sources: Hormann, "The transformed rejection method for generating Poisson random variables", Insurance:
// Mathematics and Economics 12:39 (1993); Hormann, "The generation of binomial random variates", J. Stat.
// Comput. Simul. 46:101 (1993); Kemp, "Efficient generation of logarithmically distributed pseudo-random
// variables", Applied Statistics 30:249 (1981); Marsaglia and Tsang, "A simple method for generating gamma
// variables", ACM TOMS 26:363 (2000); Loader, "Fast and accurate computation of binomial probabilities"
// (2000) for probabilities without cancellation.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "bulkgen/math.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace detail {
/// 1/2!, 1/3!, ... 1/12!
inline constexpr double exp_coefficients[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,       1.0 / 120,
                                              1.0 / 720,     1.0 / 5040,     1.0 / 40320,    1.0 / 362880,
                                              1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600};
/// ln 2 in two parts; the first times a whole number below 2^11 is exact.
inline constexpr double ln2_high = 0x1.62e42fefa0000p-1;
inline constexpr double ln2_low = 0x1.cf79abc9e3b39p-40;
inline constexpr double two_pi = 6.283185307179586;

/// log k! - ((k + 1/2) log k - k + log(2 pi) / 2), k = 1 ... 15; for k = 0 the value that no formula uses.
static constexpr double stirling_table[] = {
    0.0,
    0.08106146679532725821967,
    0.04134069595540929409382,
    0.02767792568499833914879,
    0.02079067210376509311152,
    0.01664469118982119216319,
    0.01387612882307074799875,
    0.01189670994589177009505,
    0.01041126526197209649747,
    0.009255462182712732917729,
    0.008330563433362871256469,
    0.007573675487951840794972,
    0.006942840107209529865664,
    0.006408994188004207068439,
    0.005951370112758847735624,
    0.005554733551962801371038,
};
/// 1/3, 1/5, ... 1/17: log((1 + v) / (1 - v)) = 2 (v + v^3 / 3 + v^5 / 5 + ...).
inline constexpr double artanh_coefficients[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,
                                                 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17};

/// Whole numbers up to here are exact in a double, and every count stays below.
inline constexpr double most_count = 0x1p53;

struct ReducedExponent {
    double power;  // 2^k
    double rest;   // e^r - 1, x = k ln 2 + r
};

/// Pre: |x| <= 708.
static inline ReducedExponent reduce_exponent(double x) noexcept {
    // adding 1.5 * 2^52 rounds to a whole number and leaves it in the low bits
    const double shifted = x * 1.4426950408889634 + 0x1.8p52;
    const double k = shifted - 0x1.8p52;
    const double r = (x - k * ln2_high) - k * ln2_low;
    const std::uint64_t power = (std::bit_cast<std::uint64_t>(shifted) + 1023) << 52;
    return {std::bit_cast<double>(power), r + r * r * horner(exp_coefficients, r)};
}
}  // namespace detail

/// e^x; relative error below 1e-15 * max(1, |x| / 4) for |x| <= 708; 0 below -708, e^708 above.
static inline double exp_of(double x) noexcept {
    const double upper = x < 708.0 ? x : 708.0;
    const detail::ReducedExponent e = detail::reduce_exponent(upper > -708.0 ? upper : -708.0);
    const double value = e.power + e.power * e.rest;
    return x >= -708.0 ? value : 0.0;
}

/// e^x - 1 for x <= 0; relative error below 1e-15.
static inline double expm1_of(double x) noexcept {
    const detail::ReducedExponent e = detail::reduce_exponent(x > -708.0 ? x : -708.0);
    return e.power * e.rest + (e.power - 1.0);
}

/// log k! - ((k + 1/2) log k - k + log(2 pi) / 2) of a whole k >= 1; absolute error below 1e-15.
static inline double stirling_error(double k) noexcept {
    if (k < 16.0) return detail::stirling_table[static_cast<std::size_t>(k)];
    const double square = k * k;
    return (1.0 / 12 -
            (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / square) / square) / square) / square) /
           k;
}

/// x log(x / mean) + mean - x >= 0 for x, mean > 0, from x - mean as exactly as it is known. Where x is near
/// mean nothing cancels: relative error below 1e-14.
static inline double deviance(double x, double mean, double difference) noexcept {
    const double v = difference / (x + mean);
    if (v < 0.1 && v > -0.1) {
        const double square = v * v;
        return difference * v + 2.0 * x * v * square * detail::horner(detail::artanh_coefficients, square);
    }
    return x * log_positive(x / mean) - difference;
}

/// True with chance p, exact to 2^-64: a second word only where the first is undecided, once in 2^32.
static inline bool bernoulli(WordStream& stream, double p) noexcept {
    if (!(p > 0.0)) return false;
    if (p >= 1.0) return true;
    const double scaled = p * 0x1p32;
    const auto whole = static_cast<std::uint32_t>(scaled);
    const std::uint32_t word = stream.next();
    if (word != whole) return word < whole;
    return stream.uniform() < scaled - static_cast<double>(whole);
}

namespace detail {
inline constexpr std::int64_t most_inverted = 110;
inline constexpr double largest_inverted_mean = 10.0;

/// 1, 1/2, 1/3, ...: a division would be half of the time of a step.
static constexpr std::array<double, most_inverted> reciprocals = [] {
    std::array<double, most_inverted> values{};
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0 / static_cast<double>(i + 1);
    return values;
}();

/// Sequential search from 0: the chance of k + 1 is that of k times ratio(k) / (k + 1).
/// The bound stands for what rounding leaves of the total; a mean below 10 passes it with chance 1e-70.
template <typename Ratio>
static inline std::int64_t invert(double u, double chance, std::int64_t most, Ratio&& ratio) noexcept {
    std::int64_t k = 0;
    while (u > chance && k < most) {
        u -= chance;
        chance *= ratio(static_cast<double>(k)) * reciprocals[static_cast<std::size_t>(k)];
        ++k;
    }
    return k;
}
/// Inversion of a Poisson law with a mean below 10 from a uniform and e^-mean.
static inline std::int64_t invert_poisson(double u, double mean, double chance_of_none) noexcept {
    return invert(u, chance_of_none, most_inverted, [=](double) { return mean; });
}

/// Transformed rejection with squeeze (PTRS), mean >= 10.
static inline std::int64_t poisson_rejection(WordStream& stream, double mean) noexcept {
    const double b = 0.931 + 2.53 * std::sqrt(mean);
    const double a = -0.059 + 0.02483 * b;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    const double always = 0.9277 - 3.6224 / (b - 2.0);
    for (;;) {
        const double u = stream.fine_uniform() - 0.5;
        const double v = stream.uniform();
        const double edge = 0.5 - std::fabs(u);
        const double k = std::floor((2.0 * a / edge + b) * u + mean + 0.43);
        if (edge >= 0.07 && v <= always) return static_cast<std::int64_t>(k);
        if (k < 0.0 || (edge < 0.013 && v > edge)) continue;
        const double hat = v * inverse_alpha / (a / (edge * edge) + b);
        const bool accept = k < 1.0 ? log_positive(hat) <= -mean
                                    : log_positive(hat * std::sqrt(two_pi * k)) <=
                                          -deviance(k, mean, k - mean) - stirling_error(k);
        if (accept) return static_cast<std::int64_t>(k);
    }
}

/// log of the binomial chance of k; mean = n p and p are known to full relative precision, q = 1 - p.
static inline double log_binomial_chance(double k, double n, double p, double q, double mean) noexcept {
    if (k < 1.0) return -mean - deviance(n, n * q, mean);
    if (k >= n) return n * log_positive(p);
    const double rest = n - k;
    return (stirling_error(n) - stirling_error(k) - stirling_error(rest)) -
           (deviance(k, mean, k - mean) + deviance(rest, n * q, mean - k)) +
           0.5 * log_positive(n / (two_pi * k * rest));
}

/// Transformed rejection with squeeze (BTRS), p <= 1/2, n p >= 10.
static inline std::int64_t binomial_rejection(WordStream& stream, double n, double p, double q) noexcept {
    const double mean = n * p;
    const double deviation = std::sqrt(mean * q);
    const double b = 1.15 + 2.53 * deviation;
    const double a = -0.0873 + 0.0248 * b + 0.01 * p;
    const double always = 0.92 - 4.2 / b;
    const double alpha = (2.83 + 5.1 / b) * deviation;
    const double mode = std::floor((n + 1.0) * p);
    double at_mode = 1.0;  // not yet known
    for (;;) {
        const double u = stream.fine_uniform() - 0.5;
        const double v = stream.uniform();
        const double edge = 0.5 - std::fabs(u);
        const double k = std::floor((2.0 * a / edge + b) * u + mean + 0.5);
        if (edge >= 0.07 && v <= always) return static_cast<std::int64_t>(k);
        if (k < 0.0 || k > n) continue;
        if (at_mode > 0.0) at_mode = log_binomial_chance(mode, n, p, q, mean);
        const double hat = v * alpha / (a / (edge * edge) + b);
        if (log_positive(hat) <= log_binomial_chance(k, n, p, q, mean) - at_mode) {
            return static_cast<std::int64_t>(k);
        }
    }
}
}  // namespace detail

/// Poisson: inversion of one uniform below a mean of 10, rejection above. A mean that is not above 0 gives 0,
/// one above 2^53 counts as 2^53.
static inline std::int64_t poisson(WordStream& stream, double mean) noexcept {
    if (!(mean > 0.0)) return 0;
    if (mean < detail::largest_inverted_mean) {
        return detail::invert_poisson(stream.fine_uniform(), mean, exp_of(-mean));
    }
    return detail::poisson_rejection(stream, mean < detail::most_count ? mean : detail::most_count);
}

/// Binomial, 0 <= n <= 2^53: one word per trial up to eight, else inversion of one uniform where the mean of
/// the rarer outcome is below 10, rejection above.
static inline std::int64_t binomial(WordStream& stream, std::int64_t n, double p) noexcept {
    if (!(p > 0.0)) return 0;
    if (p >= 1.0) return n;
    if (n <= 8) {
        std::int64_t k = 0;
        for (std::int64_t i = 0; i < n; ++i) k += bernoulli(stream, p) ? 1 : 0;
        return k;
    }
    const bool mirrored = p > 0.5;
    const double rare = mirrored ? 1.0 - p : p, common = mirrored ? p : 1.0 - p;
    const auto trials = static_cast<double>(n);
    const double mean = trials * rare;
    std::int64_t k;
    if (mean < detail::largest_inverted_mean) {
        const double none = exp_of(-mean - deviance(trials, trials * common, mean));
        const double odds = rare / common;
        k = detail::invert(stream.fine_uniform(), none, n < detail::most_inverted ? n : detail::most_inverted,
                           [=](double i) { return odds * (trials - i); });
    } else {
        k = detail::binomial_rejection(stream, trials, rare, common);
    }
    return mirrored ? n - k : k;
}

/// Logarithmic series, P(k) = q^k / (-k log(1 - q)), k >= 1, from q in (0, 1) and log(1 - q): Kemp's LK.
static inline std::int64_t log_series(WordStream& stream, double q, double log1mq) noexcept {
    const double v = stream.fine_uniform();
    if (!(v < q)) return 1;
    const double exponent = log1mq * stream.uniform();
    const double chance = -expm1_of(exponent);
    if (v >= chance) return 1;
    if (v > chance * chance) return 2;
    // where the chance is near 1 its logarithm comes from its complement
    const double rest = exp_of(exponent);
    const double log_chance = rest < 1e-5 ? -rest - 0.5 * rest * rest : log_positive(chance);
    const double k = 1.0 + log_positive(v) / log_chance;
    return k < detail::most_count ? static_cast<std::int64_t>(k)
                                  : static_cast<std::int64_t>(detail::most_count);
}

/// Geometric from 0, P(k) = (1 - f) f^k, from the chance of failure f in [0, 1) and its logarithm.
static inline std::int64_t geometric(WordStream& stream, double f, double log_f) noexcept {
    const double u = stream.fine_uniform();
    if (!(u < f)) return 0;
    const double k = log_positive(u) / log_f;
    return k < detail::most_count ? static_cast<std::int64_t>(k)
                                  : static_cast<std::int64_t>(detail::most_count);
}

/// Logarithm of a standard gamma variate of shape > 0 (finite however small the shape). Marsaglia and Tsang.
static inline double log_gamma_variate(WordStream& stream, double shape) noexcept {
    const double d = (shape < 1.0 ? shape + 1.0 : shape) - 1.0 / 3.0;
    const double c = 1.0 / std::sqrt(9.0 * d);
    // v = (1 + c x)^3 and 1 - v, so that nothing cancels at large shapes
    double v = 1.0;
    for (;;) {
        const std::uint32_t word = stream.next();
        const double x = standard_normals(word, stream.next()).first;
        const double y = c * x;
        if (!(y > -1.0)) continue;
        v = (1.0 + y) * (1.0 + y) * (1.0 + y);
        const double square = x * x;
        const double u = stream.uniform();
        if (u < 1.0 - 0.0331 * square * square) break;
        const double difference = -y * (3.0 + y * (3.0 + y));
        if (log_positive(u) < 0.5 * square - d * deviance(1.0, v, difference)) break;
    }
    const double log_variate = log_positive(d * v);
    return shape < 1.0 ? log_variate + log_positive(stream.fine_uniform()) / shape : log_variate;
}

/// Standard gamma of a shape in (0, 2^53]; a shape that is not above 0 gives 0.
static inline double gamma(WordStream& stream, double shape) noexcept {
    if (!(shape > 0.0)) return 0.0;
    return exp_of(log_gamma_variate(stream, shape < detail::most_count ? shape : detail::most_count));
}

/// Beta(a, b), a, b in (0, 2^53].
static inline double beta(WordStream& stream, double a, double b) noexcept {
    const double first = log_gamma_variate(stream, a);
    return 1.0 / (1.0 + exp_of(log_gamma_variate(stream, b) - first));
}

/// Negative binomial of a whole size >= 0: failures, each with chance f in [0, 1), before the size-th
/// success.
static inline std::int64_t geometric_sum(WordStream& stream, std::int64_t size, double f,
                                         double log_f) noexcept {
    if (size <= 8) {
        std::int64_t k = 0;
        for (std::int64_t i = 0; i < size; ++i) k += geometric(stream, f, log_f);
        return k;
    }
    return poisson(stream, gamma(stream, static_cast<double>(size)) * (f / (1.0 - f)));
}

}  // namespace bulkgen
