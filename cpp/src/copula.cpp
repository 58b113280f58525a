#include "bulkgen/copula.hpp"

#include <cmath>

#include "bulkgen/discrete.hpp"
#include "bulkgen/negative_binomial_rows.hpp"
#include "bulkgen/philox.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

// Hart's rational approximation of the normal tail over its density, as given by West, "Better approximations
// to cumulative normal functions", Wilmott (May 2005).
constexpr double tail_numerator[] = {220.206867912376, 221.213596169931,  112.079291497871,  33.912866078383,
                                     6.37396220353165, 0.700383064443688, 0.0352624965998911};
constexpr double tail_denominator[] = {440.413735824752, 793.826512519948,  637.333633378831,
                                       296.564248779674, 86.7807322029461,  16.064177579207,
                                       1.75566716318264, 0.0883883476483184};

/// Phi(z); absolute error below 1e-15, relative error of the lower tail below 1e-8 for z >= -8.
double normal_cdf(double z) noexcept {
    const double magnitude = std::fabs(z);
    // no normal of a cell comes close to ten
    const double x = magnitude < 10.0 ? magnitude : 10.0;
    const double tail =
        exp_of(-0.5 * x * x) * (detail::horner(tail_numerator, x) / detail::horner(tail_denominator, x));
    return z < 0.0 ? tail : 1.0 - tail;
}

constexpr double rescaled_exponent = 600.0;

/// Smallest count whose distribution function is above u >= chance of none = e^log_none.
std::uint32_t quantile(double u, double mean, double dispersion, double log_none) noexcept {
    // far above zero the first chances underflow: they are kept times e^600 to some power
    int scaled = 0;
    for (; log_none < -rescaled_exponent; log_none += rescaled_exponent) ++scaled;
    double chance = exp_of(log_none);
    const double step = mean / (1.0 + dispersion * mean);
    double count = 0.0;
    while (count < largest_cluster) {
        if (scaled > 0) {
            if (chance > 1e130) {
                chance *= exp_of(-rescaled_exponent);
                --scaled;
            }
        } else {
            if (u < chance) break;
            u -= chance;
            // what rounding leaves of the total is a point of the far tail
            if (chance < 1e-18 && count > mean) break;
        }
        chance *= step * (1.0 + dispersion * count) / (count + 1.0);
        count += 1.0;
    }
    return static_cast<std::uint32_t>(count);
}

void draw_factors(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
                  std::span<double> factors) noexcept {
    WordStream stream(key, purpose, cell);
    for (std::size_t k = 0; k < factors.size(); k += 2) {
        const std::uint32_t word = stream.next();
        const NormalPair pair = standard_normals(word, stream.next());
        factors[k] = pair.first;
        if (k + 1 < factors.size()) factors[k + 1] = pair.second;
    }
}

void add_correlated(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell, double size,
                    const CorrelatedGenes& genes, std::span<const double> factors, RowCounts& row) noexcept {
    const std::size_t n_genes = genes.gene.size();
    alignas(64) std::uint32_t words[tile_size];
    alignas(64) double z[tile_size];
    alignas(64) double log_none[tile_size];
    alignas(64) double none[tile_size];
    constexpr std::size_t half = tile_size / 2;
    for (std::size_t first = 0; first < n_genes; first += tile_size) {
        const std::size_t n = n_genes - first < tile_size ? n_genes - first : tile_size;
        philox_tile(key, purpose, cell, first, words);
        for (std::size_t i = 0; i < half; ++i) {
            const NormalPair pair = standard_normals(words[i], words[i + half]);
            z[i] = pair.first;
            z[i + half] = pair.second;
        }
        for (std::size_t i = 0; i < n; ++i) z[i] *= genes.own[first + i];
        for (std::size_t k = 0; k < factors.size(); ++k) {
            const float* loadings = genes.loadings.data() + k * n_genes + first;
            const double factor = factors[k];
            for (std::size_t i = 0; i < n; ++i) z[i] += static_cast<double>(loadings[i]) * factor;
        }
        for (std::size_t i = 0; i < n; ++i) {
            const double mean = size * genes.rate[first + i];
            const double dispersion = genes.dispersion[first + i];
            const double exposure = dispersion * mean;
            // the sum 1 + exposure would round a small one away
            log_none[i] = exposure > 1e-4 ? -log_positive(1.0 + exposure) / dispersion
                                          : -mean * (1.0 - exposure * (0.5 - exposure / 3.0));
        }
        for (std::size_t i = 0; i < n; ++i) {
            none[i] = exp_of(log_none[i]);
            z[i] = normal_cdf(z[i]);
        }
        for (std::size_t i = 0; i < n; ++i) {
            if (z[i] < none[i]) continue;
            const std::uint32_t count =
                quantile(z[i], size * genes.rate[first + i], genes.dispersion[first + i], log_none[i]);
            if (count > 0) row.add(genes.gene[first + i], count);
        }
    }
}

}  // namespace

template <Level level>
std::size_t copula(const SparseRows& rows, const NegativeBinomialPlan& independent,
                   const CorrelatedGenes& correlated, std::uint64_t key, const CopulaPurposes& purposes,
                   std::uint64_t first_cell, const RowCountsScratch& scratch,
                   std::span<double> factors) noexcept {
    return negative_binomial_rows(rows, independent, key, purposes.independent, first_cell, scratch,
                                  [&](std::uint64_t cell, double size, RowCounts& row) {
                                      draw_factors(key, purposes.factor, cell, factors);
                                      add_correlated(key, purposes.gene, cell, size, correlated, factors,
                                                     row);
                                  });
}

template std::size_t copula<Level::BULKGEN_LEVEL>(const SparseRows&, const NegativeBinomialPlan&,
                                                  const CorrelatedGenes&, std::uint64_t,
                                                  const CopulaPurposes&, std::uint64_t,
                                                  const RowCountsScratch&, std::span<double>) noexcept;

}  // namespace bulkgen
