#include "bulkgen/poisson_log_normal.hpp"

#include "bulkgen/discrete.hpp"
#include "bulkgen/math_single.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

constexpr std::size_t half_tile = tile_size / 2;

/// Words j and j + 128 of a tile make the normals of genes j and j + 128.
void tile_normals(const std::uint32_t (&words)[tile_size], float* normals) noexcept {
    for (std::size_t j = 0; j < half_tile; ++j) {
        const NormalPairSingle pair = normals_at(radius_argument(words[j]), words[j + half_tile]);
        normals[j] = pair.first;
        normals[j + half_tile] = pair.second;
    }
}

}  // namespace

template <Level level>
std::size_t poisson_log_normal(const SparseRows& rows, const PoissonLogNormalPlan& plan, std::uint64_t key,
                               const CellPurposes& purposes, std::uint64_t first_cell) noexcept {
    const std::size_t n_genes = plan.scale.size();
    const std::size_t words_of_genes = (n_genes + tile_size - 1) / tile_size * tile_size * 2;
    rows.indptr[0] = 0;
    std::size_t slot = 0;
    for (std::size_t c = 0; c < rows.cells(); ++c) {
        const std::uint64_t cell = first_cell + c;
        WordStream sizes(key, purposes.library_size, cell);
        const double size = library_size(sizes, plan.sizes);
        WordStream further(key, purposes.cell, cell, words_of_genes);
        for (std::size_t first = 0; first < n_genes; first += tile_size) {
            const std::size_t n = n_genes - first < tile_size ? n_genes - first : tile_size;
            const double* scale = plan.scale.data() + first;
            const double* sigma = plan.sigma.data() + first;
            alignas(64) std::uint32_t words[tile_size];
            alignas(64) float normals[tile_size];
            alignas(64) double rate[tile_size];
            alignas(64) double none[tile_size];
            std::uint32_t some[tile_size + 1];
            philox_tile(key, purposes.cell, cell, 2 * first, words);
            tile_normals(words, normals);
            philox_tile(key, purposes.cell, cell, 2 * first + tile_size, words);
            for (std::size_t i = 0; i < n; ++i) {
                rate[i] = size * scale[i] * exp_of(sigma[i] * static_cast<double>(normals[i]));
            }
            for (std::size_t i = 0; i < n; ++i) none[i] = exp_of(-rate[i]);
            std::size_t n_some = 0;
            for (std::size_t i = 0; i < n; ++i) {
                // certainly a zero where even the end of the word's interval is below the chance of one
                const bool zero = detail::small_to_double(words[i]) + 1.0 <= none[i] * 0x1p32;
                some[n_some] = static_cast<std::uint32_t>(i);
                n_some += zero && rate[i] < detail::largest_inverted_mean ? 0 : 1;
            }
            for (std::size_t j = 0; j < n_some; ++j) {
                const std::size_t i = some[j];
                std::int64_t count;
                if (rate[i] < detail::largest_inverted_mean) {
                    const std::uint64_t high = words[i];
                    count = detail::invert_poisson(fine_unit_uniform(high << 32 | further.next()), rate[i],
                                                   none[i]);
                } else {
                    count = poisson(further, rate[i]);
                }
                if (count == 0) continue;
                if (slot == rows.columns.size()) return c;
                rows.columns[slot] = static_cast<std::int32_t>(first + i);
                rows.values[slot] = static_cast<float>(count);
                ++slot;
            }
        }
        rows.indptr[c + 1] = static_cast<std::int64_t>(slot);
    }
    return rows.cells();
}

template std::size_t poisson_log_normal<Level::BULKGEN_LEVEL>(const SparseRows&, const PoissonLogNormalPlan&,
                                                              std::uint64_t, const CellPurposes&,
                                                              std::uint64_t) noexcept;

}  // namespace bulkgen
