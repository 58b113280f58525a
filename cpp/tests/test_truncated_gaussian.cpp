#include <cmath>
#include <limits>
#include <vector>

#include "bulkgen/truncated_gaussian.hpp"
#include "check.hpp"

using namespace bulkgen;

template <Level level>
void test() {
    // 70 genes, so that the second tile is a part: every kind of proposal, some of them with hopeless
    // parameters
    constexpr std::size_t n = 70;
    std::vector<std::uint8_t> proposal(n);
    std::vector<double> location(n), scale(n), lower(n), upper(n), first(n), second(n), third(n);
    for (std::size_t g = 0; g < n; ++g) {
        proposal[g] = static_cast<std::uint8_t>(g % 10);  // 8 and 9 are no proposals: treated as constants
        location[g] = 1.0;
        scale[g] = 0.5;
        lower[g] = 0.0;
        upper[g] = 3.0;
        first[g] = 0.3;
        second[g] = 0.4;
        third[g] = g < 35 ? 0.3 : 0.0;
    }
    // a normal that never lands inside its bounds must end, at a value inside them
    location[1] = -1e9;
    const TruncatedGaussianPlan plan{proposal, location, scale, lower, upper, first, second, third};
    std::vector<double> all(4 * n);
    truncated_gaussian<level, double>(7, 1, 2, 100, plan, all);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::size_t g = i % n;
        CHECK(all[i] >= lower[g] && all[i] <= upper[g]);
        if (proposal[g] == 0 || proposal[g] > 7) CHECK(all[i] == location[g]);
    }
    // any cell can be made alone
    std::vector<double> one(n);
    truncated_gaussian<level, double>(7, 1, 2, 102, plan, one);
    for (std::size_t g = 0; g < n; ++g) CHECK(one[g] == all[2 * n + g]);
    // float is the rounded double
    std::vector<float> rounded(n);
    truncated_gaussian<level, float>(7, 1, 2, 102, plan, rounded);
    for (std::size_t g = 0; g < n; ++g) CHECK(rounded[g] == static_cast<float>(one[g]));
    // another key, another purpose: other cells
    std::vector<double> other(n);
    truncated_gaussian<level, double>(8, 1, 2, 102, plan, other);
    CHECK(other[11] != one[11]);
    truncated_gaussian<level, double>(7, 3, 4, 102, plan, other);
    CHECK(other[11] != one[11]);
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
