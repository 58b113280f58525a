#include <cmath>

#include "bulkgen/math.hpp"
#include "bulkgen/math_single.hpp"
#include "bulkgen/philox.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {
double relative(double value, double truth) { return std::abs(value - truth) / std::abs(truth); }
}  // namespace

static void test_single() {
    double worst_log = 0, worst_near_one = 0, worst_pair = 0;
    for (std::uint32_t i = 0; i < 400000; ++i) {
        const Block words = philox({i, 0, 0, 0}, 2);
        const float u = unit_uniform_single(words[0]);
        CHECK(u > 0.0F && u <= 1.0F);
        const double truth = std::log(static_cast<double>(u));
        worst_log = std::fmax(worst_log, std::abs(static_cast<double>(log_positive(u)) - truth) /
                                             std::fmax(1.0, std::abs(truth)));
        const float near = 0.75F + 0.5F * u;
        if (near != 1.0F) {
            worst_near_one = std::fmax(worst_near_one, relative(static_cast<double>(log_positive(near)),
                                                                std::log(static_cast<double>(near))));
        }
        const NormalPairSingle z = normals_at(radius_argument(words[2]), words[3]);
        const double radius = std::sqrt(-2.0 * std::log(unit_uniform(words[2] & ~1U) + 0x1p-33));
        const double length = std::hypot(static_cast<double>(z.first), static_cast<double>(z.second));
        // a uniform near one is rounded to 24 bits, which a short radius feels most
        worst_pair = std::fmax(worst_pair, std::abs(length - radius) / (radius + 0.05 / radius));
    }
    CHECK(worst_log < 1.2e-7);
    CHECK(worst_near_one < 1e-7);
    CHECK(worst_pair < 2e-6);
    CHECK(std::isfinite(log_positive(unit_uniform_single(0))));
    double worst_quantile = 0;
    for (double z = 0.01; z < 6.5; z += 0.0001) {
        const double tail = 0.5 * std::erfc(z / std::sqrt(2.0));
        if (tail < 0x1p-35) break;
        // the error of the function, not of the rounding of its argument: slope of z in the tail's logarithm
        const auto single = static_cast<float>(tail);
        const double density = std::exp(-0.5 * z * z) / std::sqrt(2.0 * std::acos(-1.0));
        const double exact = z - (static_cast<double>(single) - tail) / density;
        worst_quantile =
            std::fmax(worst_quantile,
                      std::abs(static_cast<double>(quantile_magnitude(quantile_argument(single))) - exact) /
                          std::fmax(1.0, exact));
    }
    CHECK(worst_quantile < 6e-7);
    CHECK(quantile_magnitude(quantile_argument(0.5F)) == 0.0F);
    for (const float x : {0.0F, 0.25F, 0.5F, 1.5F, 2.5F, 2.501F, 8388607.5F, 8388608.0F, 3e9F}) {
        CHECK(round_count(x) == std::nearbyint(x));
    }
}

int main() {
    test_single();
    double worst_log = 0, worst_pair = 0;
    for (std::uint32_t i = 0; i < 200000; ++i) {
        const Block words = philox({i, 0, 0, 0}, 1);
        const double u = unit_uniform(words[0]);
        CHECK(u > 0.0 && u < 1.0);
        worst_log = std::fmax(worst_log, relative(log_positive(u), std::log(u)));
        const double wide = std::ldexp(1.0 + u, static_cast<int>(words[1] % 1200) - 600);
        if (std::abs(std::log(wide)) > 1e-9) {
            worst_log = std::fmax(worst_log, relative(log_positive(wide), std::log(wide)));
        }
        const NormalPair z = standard_normals(words[2], words[3]);
        const double radius = std::sqrt(-2.0 * std::log(unit_uniform(words[2])));
        const double length = std::sqrt(z.first * z.first + z.second * z.second);
        worst_pair = std::fmax(worst_pair, std::abs(length / radius - 1.0));
    }
    CHECK(worst_log < 5e-12);
    CHECK(worst_pair < 5e-10);
    // the ends of the uniform: no infinity, no zero
    CHECK(std::isfinite(standard_exponential(0)) && standard_exponential(0xffffffffU) > 0.0);
    // Phi(quantile) returns the tail, down to 1e-20
    double worst_quantile = 0;
    for (double z = 0.001; z < 9.0; z += 0.001) {
        const double tail = 0.5 * std::erfc(z / std::sqrt(2.0));
        if (tail < 1e-20) break;
        worst_quantile = std::fmax(worst_quantile, relative(normal_quantile(1.0 - tail, tail), z));
        CHECK(normal_quantile(tail, 1.0 - tail) == -normal_quantile(1.0 - tail, tail));
    }
    CHECK(worst_quantile < 2e-9);
    CHECK(normal_quantile(0.5, 0.5) == 0.0);
    const double pi = std::acos(-1.0);
    for (double x = 5.0; x < 30.0; x += 0.5) {
        const double mills =
            0.5 * std::erfc(x / std::sqrt(2.0)) / (std::exp(-0.5 * x * x) / std::sqrt(2.0 * pi));
        CHECK(relative(mills_ratio_tail(x), mills) < 1e-12);
    }
    return tests::failures();
}
