#include "bulkgen/truncated_gaussian.hpp"

#include <algorithm>

#include "bulkgen/math.hpp"
#include "bulkgen/philox.hpp"

namespace bulkgen {

namespace {

constexpr std::uint32_t retry_blocks = 256;

double clip(double value, double lower, double upper) noexcept {
    return value < lower ? lower : (value > upper ? upper : value);
}

/// Where the words of one value come from.
struct Source {
    std::uint64_t key;
    std::uint64_t cell;
    std::uint32_t position;
    std::uint32_t retry_purpose;

    Block block(std::uint32_t attempt) const noexcept {
        return philox(address(position, cell, retry_purpose, attempt), key);
    }
};

double redraw_normal(const Source& source, const TruncatedGaussianPlan& plan, std::size_t g) noexcept {
    const double location = plan.location[g], scale = plan.scale[g];
    const double lower = plan.lower[g], upper = plan.upper[g];
    for (std::uint32_t attempt = 0; attempt < retry_blocks; ++attempt) {
        const Block words = source.block(attempt);
        for (std::size_t i = 0; i < 4; i += 2) {
            const NormalPair z = standard_normals(words[i], words[i + 1]);
            const double x0 = location + scale * z.first;
            if (x0 >= lower && x0 <= upper) return z.first;
            const double x1 = location + scale * z.second;
            if (x1 >= lower && x1 <= upper) return z.second;
        }
    }
    return 0.0;
}

/// The first of the proposals that is kept: propose(word) gives t, excess(t) what an exponential must reach.
template <typename Propose, typename Excess>
double first_kept(const Source& source, double most, Propose&& propose, Excess&& excess) noexcept {
    for (std::uint32_t attempt = 0; attempt < retry_blocks; ++attempt) {
        const Block words = source.block(attempt);
        for (std::size_t i = 0; i < 4; i += 2) {
            const double t = propose(words[i]);
            if (t <= most && standard_exponential(words[i + 1]) >= excess(t)) return t;
        }
    }
    return 0.0;
}

/// Distance t beyond a > 5 at which log S(a) - log S(a + t) = v, by Newton's method on S(x) = phi(x) R(x).
double invert_tail(double a, double mills_at_a, double v) noexcept {
    double t = 2.0 * v / (a + std::sqrt(a * a + 2.0 * v));
    for (int step = 0; step < 3; ++step) {
        const double mills = mills_ratio_tail(a + t);
        const double error = a * t + 0.5 * t * t + log_positive(mills_at_a / mills) - v;
        t = t - error * mills;
    }
    return t > 0.0 ? t : 0.0;
}

/// The variate of a gene that does not take the first normal of the tile.
double draw(Proposal proposal, const Source& source, std::uint32_t word, const TruncatedGaussianPlan& plan,
            std::size_t g) noexcept {
    const double first = plan.first[g], second = plan.second[g], third = plan.third[g];
    switch (proposal) {
        case Proposal::normal:
            return redraw_normal(source, plan, g);
        case Proposal::uniform:
            return first_kept(source, 1.0, unit_uniform, [=](double t) {
                const double z = first + second * t;
                return 0.5 * z * z;
            });
        case Proposal::tail:
            return first_kept(
                source, third, [=](std::uint32_t w) { return standard_exponential(w) / (first + second); },
                [=](double t) {
                    const double off = t - second;
                    return 0.5 * off * off;
                });
        case Proposal::narrow:
            return first_kept(
                source, third, [=](std::uint32_t w) { return unit_uniform(w) * third; },
                [=](double t) { return t * (first + 0.5 * t); });
        case Proposal::inverse: {
            const double u = unit_uniform(word);
            return normal_quantile(first + u * second, third + (1.0 - u) * second);
        }
        case Proposal::flat:
            return unit_uniform(word);
        case Proposal::inverse_tail:
            return invert_tail(first, third, -log_positive(1.0 - unit_uniform(word) * second));
        case Proposal::constant:
            break;
    }
    return 0.0;
}

}  // namespace

template <Level level, typename Value>
void truncated_gaussian(std::uint64_t key, std::uint32_t purpose, std::uint32_t retry_purpose,
                        std::uint64_t first_cell, const TruncatedGaussianPlan& plan,
                        std::span<Value> out) noexcept {
    const std::size_t n_genes = plan.location.size();
    if (n_genes == 0) return;
    const std::size_t n_cells = out.size() / n_genes;
    for (std::size_t c = 0; c < n_cells; ++c) {
        const std::uint64_t cell = first_cell + c;
        Value* row = out.data() + c * n_genes;
        for (std::size_t tile = 0; tile < n_genes; tile += tile_size) {
            const std::size_t lanes = std::min(tile_lanes, n_genes - tile);
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const Block words = philox(address(tile_block(tile + lane), cell, purpose, 0), key);
                const NormalPair near = standard_normals(words[0], words[1]);
                const NormalPair far = standard_normals(words[2], words[3]);
                const double normals[4] = {near.first, near.second, far.first, far.second};
                for (std::size_t word = 0; word < 4; ++word) {
                    const std::size_t g = tile + word * tile_lanes + lane;
                    if (g >= n_genes) break;
                    const auto proposal = static_cast<Proposal>(plan.proposal[g]);
                    const double location = plan.location[g], scale = plan.scale[g];
                    double x = location + scale * normals[word];
                    if (!(proposal == Proposal::normal && x >= plan.lower[g] && x <= plan.upper[g])) {
                        const Source source{key, cell, static_cast<std::uint32_t>(g), retry_purpose};
                        const double t = draw(proposal, source, words[word], plan, g);
                        x = clip(location + scale * t, plan.lower[g], plan.upper[g]);
                    }
                    row[g] = static_cast<Value>(x);
                }
            }
        }
    }
}

template void truncated_gaussian<Level::BULKGEN_LEVEL, float>(std::uint64_t, std::uint32_t, std::uint32_t,
                                                              std::uint64_t, const TruncatedGaussianPlan&,
                                                              std::span<float>) noexcept;
template void truncated_gaussian<Level::BULKGEN_LEVEL, double>(std::uint64_t, std::uint32_t, std::uint32_t,
                                                               std::uint64_t, const TruncatedGaussianPlan&,
                                                               std::span<double>) noexcept;

}  // namespace bulkgen
