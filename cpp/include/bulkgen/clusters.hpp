// Negative binomial counts of all genes of a cell at once, as clusters of molecules.
//
// A negative binomial of mean m and variance m + f m^2 is a Poisson number of clusters, log(1 + f m) / f of
// them, each of a logarithmic-series size with q = f m / (1 + f m) (Quenouille, Biometrics 5:162, 1949). The
// number of clusters is not linear in m, so a table of genes would hold for one library size alone. The mean
// is linear: m candidates are drawn from one table for all library sizes, and a candidate becomes a cluster
// of k molecules with chance q^k / (k f m), or nothing, by one uniform. These chances sum to log(1 + f m) /
// (f m); a candidate makes one molecule on average.
//
// The general form serves the additions of the donor shift as well: candidates with a mean of (d - c) / f,
// and k molecules with chance q^k / (k (d - c)), q = (d - c) / (1 + d), are a negative binomial of dispersion
// f and mean (d - c) / (f (1 + c)).
#pragma once

#include <cstddef>
#include <cstdint>

#include "bulkgen/alias.hpp"
#include "bulkgen/discrete.hpp"
#include "bulkgen/math.hpp"
#include "bulkgen/philox.hpp"
#include "bulkgen/row_counts.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {  // a level's copies are its own

/// Candidates, one per Philox block: 64 make a tile.
struct Candidates {
    alignas(64) std::int32_t gene[tile_lanes];
    alignas(64) double uniform[tile_lanes];
    alignas(64) double far[tile_lanes];     // 1 + d
    alignas(64) double gain[tile_lanes];    // d - c
    alignas(64) double growth[tile_lanes];  // (1 + d) / (1 + c)
};

/// The words before it are for the number of candidates.
constexpr std::size_t first_candidate = 16 * tile_size;
/// Larger whole numbers are not exact in single precision.
constexpr double largest_cluster = 0x1p24;

/// Size of a cluster of at least two molecules, by sequential search; as many steps as molecules.
inline std::uint32_t larger_cluster(double uniform, double far, double gain) noexcept {
    const double one = 1.0 / far;
    const double q = gain * one;
    double rest = uniform - one;
    double power = one * q;
    double size = 2.0;
    double chance = power / size;
    // a uniform within rounding of the total ends in the far tail
    while (rest >= chance && power > 1e-20 && size < largest_cluster) {
        rest -= chance;
        power *= q;
        size += 1.0;
        chance = power / size;
    }
    return static_cast<std::uint32_t>(size);
}

/// Draw Poisson(mean) candidates from the table and add their clusters to the counts.
/// shape(tile) gives each candidate far, gain and growth of its gene; it may scale the uniform.
template <typename Shape>
void add_clusters(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell, double mean,
                  const AliasTable& table, RowCounts& counts, Shape&& shape) noexcept {
    WordStream stream(key, purpose, cell);
    std::int64_t left = poisson(stream, mean);
    alignas(64) std::uint32_t words[tile_size];
    alignas(64) std::uint32_t is_cluster[tile_lanes];
    std::uint32_t clusters[tile_lanes];
    Candidates tile;
    constexpr auto lanes = static_cast<std::int64_t>(tile_lanes);
    for (std::size_t position = first_candidate; left > 0; position += tile_size, left -= lanes) {
        philox_tile(key, purpose, cell, position, words);
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            tile.gene[i] = alias_gene(table, words[i], words[i + tile_lanes]);
        }
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            const std::uint64_t high = words[i + 2 * tile_lanes];
            tile.uniform[i] = fine_unit_uniform(high << 32 | words[i + 3 * tile_lanes]);
        }
        shape(tile);
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            const double excess = tile.uniform[i] * tile.gain[i] - log_positive(tile.growth[i]);
            const std::uint32_t one = tile.uniform[i] * tile.far[i] < 1.0 ? 1 : 0;
            const std::uint32_t any = excess < 0.0 ? 1 : 0;
            is_cluster[i] = one | any;
        }
        // most candidates of abundant genes come to nothing: they are left out before anything branches
        const std::size_t n = left < lanes ? static_cast<std::size_t>(left) : tile_lanes;
        std::size_t n_clusters = 0;
        for (std::size_t i = 0; i < n; ++i) {
            clusters[n_clusters] = static_cast<std::uint32_t>(i);
            n_clusters += is_cluster[i];
        }
        for (std::size_t j = 0; j < n_clusters; ++j) {
            const std::size_t i = clusters[j];
            const bool one = tile.uniform[i] * tile.far[i] < 1.0;
            counts.add(tile.gene[i], one ? 1 : larger_cluster(tile.uniform[i], tile.far[i], tile.gain[i]));
        }
    }
}

/// The same for negative binomials of mean size * rate: candidates in proportion to the rates of the genes;
/// overdispersion = dispersion * rate.
inline void add_negative_binomials(std::uint64_t key, std::uint32_t purpose, std::uint64_t cell, double size,
                                   double total_rate, const AliasTable& table, const double* overdispersion,
                                   RowCounts& counts) noexcept {
    add_clusters(key, purpose, cell, size * total_rate, table, counts, [=](Candidates& tile) {
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            const double d = overdispersion[tile.gene[i]] * size;
            tile.gain[i] = d;
            tile.far[i] = tile.growth[i] = 1.0 + d;
        }
    });
}

}  // namespace

}  // namespace bulkgen
