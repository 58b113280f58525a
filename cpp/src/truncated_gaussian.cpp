#include "bulkgen/truncated_gaussian.hpp"

#include <cstring>

#include "bulkgen/math.hpp"
#include "bulkgen/math_single.hpp"
#include "bulkgen/philox.hpp"

namespace bulkgen {

namespace {

constexpr std::uint32_t retry_blocks = 256;
template <typename Real>
Real clip(Real value, Real lower, Real upper) noexcept {
    return value < lower ? lower : (value > upper ? upper : value);
}

/// n lanes filled up to whole vectors: a scalar rest would cost more than all lanes.
constexpr std::size_t whole_vectors(std::size_t n) noexcept { return (n + 15) / 16 * 16; }

/// The cell that is being drawn.
struct Stream {
    std::uint64_t key;
    TruncatedGaussianPurposes purposes;
    std::uint64_t cell;

    Block retry(std::uint32_t gene, std::uint32_t attempt) const noexcept {
        return philox(address(gene, cell, purposes.retry, attempt), key);
    }
    std::uint32_t word(std::size_t gene) const noexcept {
        return philox(address(tile_block(gene), cell, purposes.draw, 0), key)[tile_word(gene)];
    }
};

/// Call change(first, values) for the tiles of genes [begin, end) of a row; a last, shorter one goes through
/// a whole buffer.
template <typename Change>
void for_each_tile(float* row, std::size_t begin, std::size_t end, Change&& change) noexcept {
    std::size_t first = begin;
    for (; first + tile_size <= end; first += tile_size) change(first, row + first);
    if (first < end) {
        alignas(64) float values[tile_size] = {};
        std::memcpy(values, row + first, (end - first) * sizeof(float));
        change(first, values);
        std::memcpy(row + first, values, (end - first) * sizeof(float));
    }
}

// ---- common genes: tile by tile in single precision, in stages short enough to overlap ----

void draw_inverse(const Stream& stream, const CommonGenes& genes, std::size_t first, float* out) noexcept {
    alignas(64) std::uint32_t words[tile_size];
    alignas(64) float argument[tile_size];
    alignas(64) float scale[tile_size];
    philox_tile(stream.key, stream.purposes.draw, stream.cell, first, words);
    const float* below = genes.row(first, CommonGenes::first);
    const float* mass = genes.row(first, CommonGenes::second);
    const float* beyond = genes.row(first, CommonGenes::third);
    const float* deviation = genes.row(first, CommonGenes::scale);
    for (std::size_t i = 0; i < tile_size; ++i) {
        // both tails to full relative precision
        const float lower = below[i] + unit_uniform_single(words[i]) * mass[i];
        const float upper = beyond[i] + unit_uniform_single(~words[i]) * mass[i];
        scale[i] = lower < upper ? -deviation[i] : deviation[i];
        argument[i] = lower < upper ? lower : upper;
    }
    for (std::size_t i = 0; i < tile_size; ++i) argument[i] = quantile_argument(argument[i]);
    const float* location = genes.row(first, CommonGenes::location);
    const float* least = genes.row(first, CommonGenes::lower);
    const float* most = genes.row(first, CommonGenes::upper);
    for (std::size_t i = 0; i < tile_size; ++i) {
        out[i] = clip(location[i] + scale[i] * quantile_magnitude(argument[i]), least[i], most[i]);
    }
}

/// Pairs of normals of n <= 256 pairs of words, in two stages.
void draw_normals(const std::uint32_t* radius_words, const std::uint32_t* angle_words, std::size_t n,
                  float* near, float* far) noexcept {
    alignas(64) float argument[tile_size];
    for (std::size_t i = 0; i < n; ++i) argument[i] = radius_argument(radius_words[i]);
    for (std::size_t i = 0; i < n; ++i) {
        const NormalPairSingle z = normals_at(argument[i], angle_words[i]);
        near[i] = z.first;
        far[i] = z.second;
    }
}

/// First normals of a tile; appends the genes that fell outside their bounds to `outside`, n so far.
std::size_t draw_normal(const Stream& stream, const CommonGenes& genes, std::size_t first, std::size_t wanted,
                        float* out, std::uint32_t* outside, std::size_t n) noexcept {
    alignas(64) std::uint32_t words[tile_size];
    alignas(64) float normals[tile_size];
    alignas(64) std::uint32_t failed[tile_size];
    philox_tile(stream.key, stream.purposes.draw, stream.cell, first, words);
    constexpr std::size_t half = tile_size / 2;
    draw_normals(words, words + half, half, normals, normals + half);
    const float* location = genes.row(first, CommonGenes::location);
    const float* scale = genes.row(first, CommonGenes::scale);
    const float* least = genes.row(first, CommonGenes::lower);
    const float* most = genes.row(first, CommonGenes::upper);
    for (std::size_t i = 0; i < tile_size; ++i) {
        const float x = location[i] + scale[i] * normals[i];
        out[i] = x;
        failed[i] = !((x >= least[i]) & (x <= most[i]));
    }
    // whatever the plan says beyond the last gene, nothing is redrawn there
    for (std::size_t i = 0; i < wanted; ++i) {
        outside[n] = static_cast<std::uint32_t>(first + i);
        n += failed[i];
    }
    return n;
}

/// Genes on their way to a value inside their bounds.
struct Redrawn {
    alignas(64) std::uint32_t gene[tile_size];
    alignas(64) std::uint32_t words[4 * tile_size];
    alignas(64) float location[tile_size], scale[tile_size], lower[tile_size], upper[tile_size];
};

/// A pair of normals for each of n genes, the first inside its bounds counts. Writes the values to those of
/// the genes from begin, and the places of the genes still outside to `left`; returns their number.
std::size_t try_pair(const Redrawn& genes, const std::uint32_t* words, std::size_t n, std::size_t begin,
                     float* values, std::uint32_t* left) noexcept {
    alignas(64) float near[tile_size], far[tile_size];
    alignas(64) std::uint32_t failed[tile_size];
    const std::size_t padded = whole_vectors(n);
    draw_normals(words, words + tile_size, padded, near, far);
    for (std::size_t i = 0; i < padded; ++i) {
        const float x0 = genes.location[i] + genes.scale[i] * near[i];
        const float x1 = genes.location[i] + genes.scale[i] * far[i];
        const float lower = genes.lower[i], upper = genes.upper[i];
        // numbers, not conditions, of which GCC would make branches
        const std::uint32_t inside0 = (x0 >= lower) & (x0 <= upper), inside1 = (x1 >= lower) & (x1 <= upper);
        failed[i] = 1 - (inside0 | inside1);
        near[i] = clip(inside0 != 0 ? x0 : x1, lower, upper);
    }
    std::size_t n_left = 0;
    for (std::size_t i = 0; i < n; ++i) {
        values[genes.gene[i] - begin] = near[i];
        left[n_left] = static_cast<std::uint32_t>(i);
        n_left += failed[i];
    }
    return n_left;
}

/// One block of the retry stream for each of n <= 256 genes: two pairs of normals, the second for the genes
/// that the first left outside. Writes the values, and the genes still outside to `left`, which may be
/// `genes_outside` itself; returns their number.
std::size_t redraw(const Stream& stream, const CommonGenes& common, std::uint32_t attempt,
                   const std::uint32_t* genes_outside, std::size_t n, std::size_t begin, float* values,
                   std::uint32_t* left) noexcept {
    Redrawn genes;
    const std::size_t padded = whole_vectors(n);
    for (std::size_t i = 0; i < padded; ++i) genes.gene[i] = genes_outside[i < n ? i : 0];
    for (std::size_t i = 0; i < padded; ++i) {
        genes.location[i] = common.at(genes.gene[i], CommonGenes::location);
        genes.scale[i] = common.at(genes.gene[i], CommonGenes::scale);
        genes.lower[i] = common.at(genes.gene[i], CommonGenes::lower);
        genes.upper[i] = common.at(genes.gene[i], CommonGenes::upper);
    }
    philox_blocks(stream.key, stream.purposes.retry, stream.cell, attempt, genes.gene, padded, tile_size,
                  genes.words);
    std::uint32_t places[tile_size + 1];
    std::size_t n_left = try_pair(genes, genes.words, n, begin, values, places);
    const std::size_t n_second = n_left;
    for (std::size_t i = 0; i < n_second; ++i) {
        // the places ascend, so nothing is overwritten before it is read
        const std::uint32_t place = places[i];
        genes.gene[i] = genes.gene[place];
        genes.location[i] = genes.location[place];
        genes.scale[i] = genes.scale[place];
        genes.lower[i] = genes.lower[place];
        genes.upper[i] = genes.upper[place];
        genes.words[2 * tile_size + i] = genes.words[2 * tile_size + place];
        genes.words[3 * tile_size + i] = genes.words[3 * tile_size + place];
    }
    n_left = try_pair(genes, genes.words + 2 * tile_size, n_second, begin, values, places);
    for (std::size_t i = 0; i < n_left; ++i) left[i] = genes.gene[places[i]];
    return n_left;
}

/// First normals of chunks of tiles, then all that fell outside in a chunk together, until none is left.
void draw_rejection(const Stream& stream, const CommonGenes& genes, float* row,
                    std::size_t n_genes) noexcept {
    // few enough for the first-level cache, enough for full vectors in the last rounds
    constexpr std::size_t chunk = 16 * tile_size;
    alignas(64) float values[chunk];
    std::uint32_t outside[chunk + 1];
    for (std::size_t begin = 0; begin < n_genes; begin += chunk) {
        const std::size_t n_chunk = n_genes - begin < chunk ? n_genes - begin : chunk;
        std::size_t n_outside = 0;
        for (std::size_t first = 0; first < n_chunk; first += tile_size) {
            const std::size_t wanted = n_chunk - first < tile_size ? n_chunk - first : tile_size;
            n_outside = draw_normal(stream, genes, begin + first, wanted, values + first, outside, n_outside);
        }
        for (std::uint32_t attempt = 0; attempt < retry_blocks && n_outside > 0; ++attempt) {
            std::size_t left = 0;
            for (std::size_t start = 0; start < n_outside; start += tile_size) {
                const std::size_t n = n_outside - start < tile_size ? n_outside - start : tile_size;
                left += redraw(stream, genes, attempt, outside + start, n, begin, values, outside + left);
            }
            n_outside = left;
        }
        std::memcpy(row + begin, values, n_chunk * sizeof(float));
    }
}

void apply_mask(const Stream& stream, std::span<const std::uint32_t> keep, std::size_t first,
                float* out) noexcept {
    alignas(64) std::uint32_t words[tile_size];
    philox_tile(stream.key, stream.purposes.mask, stream.cell, first, words);
    for (std::size_t i = 0; i < tile_size; ++i) out[i] = words[i] <= keep[first + i] ? out[i] : 0.0F;
}

// ---- odd genes: one by one in double precision ----

double redraw_normal(const Stream& stream, const OddGenes& genes, std::size_t i) noexcept {
    const double location = genes.location[i], scale = genes.scale[i];
    const double lower = genes.lower[i], upper = genes.upper[i];
    for (std::uint32_t attempt = 0; attempt < retry_blocks; ++attempt) {
        const Block words = stream.retry(genes.gene[i], attempt);
        for (std::size_t j = 0; j < 4; j += 2) {
            const NormalPair z = standard_normals(words[j], words[j + 1]);
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
double first_kept(const Stream& stream, std::uint32_t gene, double most, Propose&& propose,
                  Excess&& excess) noexcept {
    for (std::uint32_t attempt = 0; attempt < retry_blocks; ++attempt) {
        const Block words = stream.retry(gene, attempt);
        for (std::size_t j = 0; j < 4; j += 2) {
            const double t = propose(words[j]);
            if (t <= most && standard_exponential(words[j + 1]) >= excess(t)) return t;
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

double odd_variate(const Stream& stream, const OddGenes& genes, std::size_t i) noexcept {
    const double first = genes.first[i], second = genes.second[i], third = genes.third[i];
    const std::uint32_t gene = genes.gene[i];
    switch (static_cast<Proposal>(genes.proposal[i])) {
        case Proposal::normal:
            return redraw_normal(stream, genes, i);
        case Proposal::uniform:
            return first_kept(stream, gene, 1.0, unit_uniform, [=](double t) {
                const double z = first + second * t;
                return 0.5 * z * z;
            });
        case Proposal::tail:
            return first_kept(
                stream, gene, third,
                [=](std::uint32_t w) { return standard_exponential(w) / (first + second); },
                [=](double t) {
                    const double off = t - second;
                    return 0.5 * off * off;
                });
        case Proposal::narrow:
            return first_kept(
                stream, gene, third, [=](std::uint32_t w) { return unit_uniform(w) * third; },
                [=](double t) { return t * (first + 0.5 * t); });
        case Proposal::inverse: {
            const double u = unit_uniform(stream.word(gene));
            return normal_quantile(first + u * second, third + (1.0 - u) * second);
        }
        case Proposal::flat:
            return unit_uniform(stream.word(gene));
        case Proposal::inverse_tail:
            return invert_tail(first, third, -log_positive(1.0 - unit_uniform(stream.word(gene)) * second));
        case Proposal::constant:
            break;
    }
    return 0.0;
}

}  // namespace

template <Level level>
void truncated_gaussian(std::uint64_t key, const TruncatedGaussianPurposes& purposes,
                        std::uint64_t first_cell, const TruncatedGaussianPlan& plan, std::size_t n_genes,
                        std::span<float> out) noexcept {
    const CommonGenes& common = plan.common;
    const OddGenes& odd = plan.odd;
    const std::size_t n_cells = out.size() / n_genes;
    for (std::size_t c = 0; c < n_cells; ++c) {
        const Stream stream{key, purposes, first_cell + c};
        float* row = out.data() + c * n_genes;
        if (plan.sampler == Sampler::inverse) {
            for_each_tile(row, 0, n_genes, [&](std::size_t first, float* values) {
                draw_inverse(stream, common, first, values);
            });
        } else {
            draw_rejection(stream, common, row, n_genes);
        }
        for (std::size_t i = 0; i < odd.gene.size(); ++i) {
            const double x = odd.location[i] + odd.scale[i] * odd_variate(stream, odd, i);
            const std::uint32_t g = odd.gene[i];
            row[g] = clip(static_cast<float>(clip(x, odd.lower[i], odd.upper[i])),
                          common.at(g, CommonGenes::lower), common.at(g, CommonGenes::upper));
        }
        if (!common.keep.empty()) {
            for_each_tile(row, 0, n_genes, [&](std::size_t first, float* values) {
                apply_mask(stream, common.keep, first, values);
            });
        }
        if (plan.round) {
            for (std::size_t g = 0; g < n_genes; ++g) row[g] = round_count(row[g]);
        }
    }
}

template void truncated_gaussian<Level::BULKGEN_LEVEL>(std::uint64_t, const TruncatedGaussianPurposes&,
                                                       std::uint64_t, const TruncatedGaussianPlan&,
                                                       std::size_t, std::span<float>) noexcept;

}  // namespace bulkgen
