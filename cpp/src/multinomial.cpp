#include "bulkgen/multinomial.hpp"

#include "bulkgen/discrete.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

/// Molecule j of a tile takes the words j and j + 128, so that neighbours are neighbours in memory.
constexpr std::size_t tile_molecules = tile_size / 2;

void draw_molecules(const AliasTable& profile, std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
                    std::size_t total, RowCounts& counts) noexcept {
    alignas(64) std::uint32_t words[tile_size];
    for (std::size_t first = 0; first < total; first += tile_molecules) {
        philox_tile(key, purpose, cell, 2 * first, words);
        const std::size_t n = total - first < tile_molecules ? total - first : tile_molecules;
        for (std::size_t j = 0; j < n; ++j) {
            counts.add(alias_gene(profile, words[j], words[j + tile_molecules]));
        }
    }
}

void draw_urn(const AliasTable& profile, WordStream stream, std::size_t total, double concentration,
              std::span<std::int32_t> urn, RowCounts& counts) noexcept {
    for (std::size_t i = 0; i < total; ++i) {
        const auto before = static_cast<double>(i);
        const double place = stream.fine_uniform() * (concentration + before);
        if (place < before) {
            urn[i] = urn[static_cast<std::size_t>(place)];
        } else {
            const std::uint32_t high = stream.next();
            urn[i] = alias_gene(profile, high, stream.next());
        }
        counts.add(urn[i]);
    }
}

}  // namespace

template <Level level>
std::size_t multinomial(const SparseRows& rows, const MultinomialPlan& plan, std::uint64_t key,
                        const CellPurposes& purposes, std::uint64_t first_cell,
                        const RowCountsScratch& scratch, std::span<std::int32_t> urn) noexcept {
    RowCounts counts(scratch);
    rows.indptr[0] = 0;
    std::size_t slot = 0;
    for (std::size_t c = 0; c < rows.cells(); ++c) {
        const std::uint64_t cell = first_cell + c;
        WordStream sizes(key, purposes.library_size, cell);
        const double size = library_size(sizes, plan.sizes);
        const std::int64_t drawn =
            plan.poisson_total ? poisson(sizes, size) : static_cast<std::int64_t>(size + 0.5);
        auto total = static_cast<std::size_t>(drawn);
        if (plan.concentration <= 0x1p1000) {
            total = total < urn.size() ? total : urn.size();
            draw_urn(plan.profile, {key, purposes.cell, cell}, total, plan.concentration, urn, counts);
        } else {
            draw_molecules(plan.profile, key, purposes.cell, cell, total, counts);
        }
        slot = counts.write(rows, slot);
        if (slot == RowCounts::no_room) return c;
        rows.indptr[c + 1] = static_cast<std::int64_t>(slot);
    }
    return rows.cells();
}

template std::size_t multinomial<Level::BULKGEN_LEVEL>(const SparseRows&, const MultinomialPlan&,
                                                       std::uint64_t, const CellPurposes&, std::uint64_t,
                                                       const RowCountsScratch&,
                                                       std::span<std::int32_t>) noexcept;

}  // namespace bulkgen
