#include <cmath>
#include <cstdint>
#include <limits>

#include "bulkgen/discrete.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

/// With MSVC, and on Macs with Apple's processors, a long double is a double: no truth where terms cancel.
constexpr bool long_double_is_wider = std::numeric_limits<long double>::digits > 53;

double relative(double value, double truth) { return std::abs(value - truth) / std::abs(truth); }

void test_exponential() {
    double worst = 0, worst_minus_one = 0;
    for (double x = -708.0; x <= 708.0; x += 0.00731) {
        const double scale = std::fmax(1.0, std::abs(x) / 4.0);
        worst = std::fmax(worst, relative(exp_of(x), std::exp(x)) / scale);
    }
    for (double x = 1e-300; x < 700.0; x *= 1.0137) {
        worst_minus_one = std::fmax(worst_minus_one, relative(expm1_of(-x), std::expm1(-x)));
    }
    CHECK(worst < 1e-15);
    CHECK(worst_minus_one < 1e-15);
    CHECK(exp_of(0.0) == 1.0);
    CHECK(expm1_of(0.0) == 0.0);
    CHECK(exp_of(-709.0) == 0.0);
    CHECK(exp_of(-INFINITY) == 0.0);
    CHECK(std::isfinite(exp_of(1e9)));
    CHECK(exp_of(1e9) == exp_of(708.0));
    CHECK(expm1_of(-1e9) == -1.0);
}

void test_stirling_error() {
    double worst = 0;
    // against long doubles where their cancellation leaves digits
    for (double k = 1.0; k < 200.0; k += 1.0) {
        const long double x = k;
        const long double truth =
            std::lgamma(x + 1.0L) - ((x + 0.5L) * std::log(x) - x + 0.5L * std::log(2.0L * std::acos(-1.0L)));
        worst = std::fmax(worst, std::abs(stirling_error(k) - static_cast<double>(truth)));
    }
    if constexpr (long_double_is_wider) CHECK(worst < 1e-15);
}

void test_deviance() {
    double worst = 0, worst_near = 0;
    for (const double mean : {0.3, 10.0, 1e3, 1e8, 1e15}) {
        for (double share = 1e-9; share < 20.0; share *= 1.21) {
            for (const double sign : {-1.0, 1.0}) {
                const double x = mean + sign * share * mean;
                if (x <= 0.0) continue;
                const long double d = static_cast<long double>(x) - static_cast<long double>(mean);
                const long double u = d / static_cast<long double>(mean);
                // mean ((1 + u) log(1 + u) - u), by its series where the two terms cancel
                const long double truth =
                    std::abs(u) < 1e-3L
                        ? mean * u * u *
                              (0.5L - u / 6.0L + u * u / 12.0L - u * u * u / 20.0L + u * u * u * u / 30.0L)
                        : mean * ((1.0L + u) * std::log1p(u) - u);
                const double error = relative(deviance(x, mean, x - mean), static_cast<double>(truth));
                double& bound = share < 0.15 ? worst_near : worst;
                bound = std::fmax(bound, error);
            }
        }
    }
    CHECK(worst < 1e-9);  // of log_positive, away from the mean
    if constexpr (long_double_is_wider) CHECK(worst_near < 1e-14);
    CHECK(relative(deviance(1.0 + 1e-9, 1.0, 1e-9), 0.5e-18) < 1e-8);
}

void test_edges() {
    WordStream stream(1, 2, 3);
    const double nan = std::nan("");
    CHECK(poisson(stream, 0.0) == 0);
    CHECK(poisson(stream, -1.0) == 0);
    CHECK(poisson(stream, nan) == 0);
    CHECK(poisson(stream, INFINITY) > 0);
    CHECK(binomial(stream, 0, 0.5) == 0);
    CHECK(binomial(stream, 100, 0.0) == 0);
    CHECK(binomial(stream, 100, nan) == 0);
    CHECK(binomial(stream, 100, 1.0) == 100);
    CHECK(binomial(stream, 100, 2.0) == 100);
    CHECK(!bernoulli(stream, 0.0));
    CHECK(bernoulli(stream, 1.0));
    CHECK(geometric(stream, 0.0, -INFINITY) == 0);
    CHECK(geometric_sum(stream, 0, 0.5, std::log(0.5)) == 0);
    CHECK(geometric_sum(stream, 100, 0.0, -INFINITY) == 0);
    CHECK(gamma(stream, 0.0) == 0.0);
    CHECK(gamma(stream, nan) == 0.0);
    for (int i = 0; i < 20000; ++i) {
        const std::int64_t n = std::int64_t{1} << (i % 54);
        const double p = 0.5 * std::pow(10.0, -(i % 17));
        const std::int64_t k = binomial(stream, n, i % 2 == 0 ? p : 1.0 - p);
        CHECK(k >= 0 && k <= n);
        CHECK(log_series(stream, 1.0 - 0x1p-53, std::log(0x1p-53)) >= 1);
        const double share = beta(stream, 1e-5, 1e-5);
        CHECK(share >= 0.0 && share <= 1.0);
        CHECK(std::isfinite(log_gamma_variate(stream, 1e-9)));
        CHECK(gamma(stream, 0x1p53) > 0.0);
    }
}

void test_stream() {
    // the words of the tiles one after another
    WordStream stream(5, 6, 7, tile_size);
    for (std::size_t first = tile_size; first < 3 * tile_size; first += tile_size) {
        std::uint32_t words[tile_size];
        philox_tile(5, 6, 7, first, words);
        for (const std::uint32_t word : words) CHECK(stream.next() == word);
    }
    CHECK(fine_unit_uniform(0) == 0x1p-53);
    CHECK(fine_unit_uniform(~std::uint64_t{0}) == 1.0 - 0x1p-53);
}

}  // namespace

int main() {
    test_exponential();
    test_stirling_error();
    test_deviance();
    test_edges();
    test_stream();
    return tests::failures();
}
