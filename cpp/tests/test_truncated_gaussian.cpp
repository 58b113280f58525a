#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "bulkgen/philox.hpp"
#include "bulkgen/truncated_gaussian.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

constexpr std::size_t n = 300;  // the second tile is a part
constexpr std::size_t padded = 2 * tile_size;

/// Ordinary genes, and every kind of proposal one by one, some with hopeless parameters.
struct Case {
    std::vector<float> common;
    std::vector<std::uint32_t> keep, odd_gene;
    std::vector<std::uint8_t> proposal;
    std::vector<double> odd_location, odd_scale, odd_lower, odd_upper, odd_first, odd_second, odd_third;

    Case() {
        for (std::size_t tile = 0; tile < 2; ++tile) {
            for (const float field : {1.0F, 0.5F, 0.0F, 3.0F, 0.02275013F, 0.97721820F, 0.00003167F}) {
                common.insert(common.end(), tile_size, field);
            }
        }
        // a normal that never lands inside its bounds must end, at a value inside them
        common[1] = -1e9F;
        for (std::uint32_t g = 200; g < 300; g += 3) {
            odd_gene.push_back(g);
            proposal.push_back(static_cast<std::uint8_t>(g % 10));  // 8 and 9 are no proposals: constants
            odd_location.push_back(g == 251 ? -1e9 : 1.0);
            odd_scale.push_back(0.5);
            odd_lower.push_back(0.0);
            odd_upper.push_back(3.0);
            odd_first.push_back(0.3);
            odd_second.push_back(0.4);
            odd_third.push_back(g < 250 ? 0.3 : 0.0);
        }
    }

    TruncatedGaussianPlan plan(Sampler sampler) const {
        return {sampler,
                false,
                {common, keep},
                {odd_gene, proposal, odd_location, odd_scale, odd_lower, odd_upper, odd_first, odd_second,
                 odd_third}};
    }
};

template <Level level>
std::vector<float> draw(const TruncatedGaussianPlan& plan, std::uint64_t key, std::uint64_t cell,
                        std::size_t cells, TruncatedGaussianPurposes purposes = {1, 2, 7}) {
    std::vector<float> out(cells * n);
    truncated_gaussian<level>(key, purposes, cell, plan, n, out);
    return out;
}

template <Level level>
void test() {
    for (const Sampler sampler : {Sampler::rejection, Sampler::inverse}) {
        Case genes;
        TruncatedGaussianPlan plan = genes.plan(sampler);
        const std::vector<float> all = draw<level>(plan, 7, 100, 4);
        for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] >= 0.0F && all[i] <= 3.0F);
        for (std::size_t i = 0; i < genes.odd_gene.size(); ++i) {
            if (genes.proposal[i] == 0 || genes.proposal[i] > 7) CHECK(all[genes.odd_gene[i]] == 1.0F);
        }
        // any cell can be made alone
        const std::vector<float> one = draw<level>(plan, 7, 102, 1);
        for (std::size_t g = 0; g < n; ++g) CHECK(one[g] == all[2 * n + g]);
        // the same bits at every level
        CHECK(one == draw<Level::baseline>(plan, 7, 102, 1));
        // another key, another purpose: other cells
        CHECK(draw<level>(plan, 8, 102, 1)[11] != one[11]);
        CHECK(draw<level>(plan, 7, 102, 1, {3, 4, 7})[11] != one[11]);
        // rounding
        plan.round = true;
        const std::vector<float> rounded = draw<level>(plan, 7, 102, 1);
        for (std::size_t g = 0; g < n; ++g) CHECK(rounded[g] == std::nearbyint(one[g]));
        plan.round = false;
        // the mask: never, always, half of the time
        genes.keep.assign(padded, 0xffffffffU);
        CHECK(draw<level>(genes.plan(sampler), 7, 102, 1) == one);
        genes.keep.assign(padded, 0x7fffffffU);
        const std::vector<float> masked = draw<level>(genes.plan(sampler), 7, 102, 1);
        std::size_t zeros = 0;
        for (std::size_t g = 0; g < n; ++g) {
            CHECK(masked[g] == 0.0F || masked[g] == one[g]);
            zeros += masked[g] == 0.0F;
        }
        CHECK(zeros > 110 && zeros < 190);
    }
}

}  // namespace

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
