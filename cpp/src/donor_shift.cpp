#include "bulkgen/donor_shift.hpp"

#include "bulkgen/clusters.hpp"
#include "bulkgen/discrete.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

constexpr float most_molecules = 0x1p31F;
constexpr double largest_chance = 1.0 - 0x1p-53;

/// Failures, each with chance q, before the size-th success.
std::int64_t gained(WordStream& stream, std::int64_t size, double q) noexcept {
    if (size > 8 || q > 0.5) {
        const double below_one = q < largest_chance ? q : largest_chance;
        return geometric_sum(stream, size, below_one, log_positive(below_one));
    }
    // few: by inversion, without a logarithm
    double none = 1.0;
    for (std::int64_t i = 0; i < size; ++i) none *= 1.0 - q;
    const auto successes = static_cast<double>(size);
    return detail::invert(stream.fine_uniform(), none, detail::most_inverted,
                          [=](double k) { return q * (successes + k); });
}

/// One cell: its library size and response, and what the plan makes of a gene in it.
struct Shift {
    const DonorShiftPlan& plan;
    double size;
    double response;

    bool responds() const noexcept { return !plan.log_ratio.empty(); }
    /// Ratios of a tile of genes.
    void ratios(const std::int32_t* gene, double* s) const noexcept {
        if (responds()) {
            for (std::size_t i = 0; i < tile_lanes; ++i) {
                s[i] = response * plan.log_ratio[static_cast<std::size_t>(gene[i])];
            }
            for (std::size_t i = 0; i < tile_lanes; ++i) s[i] = exp_of(s[i]);
        } else {
            for (std::size_t i = 0; i < tile_lanes; ++i) s[i] = plan.ratio[static_cast<std::size_t>(gene[i])];
        }
    }
    /// a
    double kept(double s) const noexcept { return plan.keep * (s < 1.0 ? s : 1.0); }
    /// (b - 1) a
    double addition(double s) const noexcept {
        return ((s > 1.0 ? s : 1.0) - plan.keep) * (s < 1.0 ? s : 1.0);
    }
};

void add_donor(const Shift& shift, const Csr<float, std::int32_t>& donors, std::size_t donor,
               WordStream keep_stream, WordStream gain_stream, RowCounts& row) noexcept {
    alignas(64) std::int32_t gene[tile_lanes];
    alignas(64) double ratio[tile_lanes];
    alignas(64) double exposure[tile_lanes];
    alignas(64) double kept[tile_lanes];
    alignas(64) double gain[tile_lanes];
    const auto n_genes = static_cast<std::uint32_t>(shift.plan.ratio.size());
    const std::size_t last = donors.end(donor);
    for (std::size_t first = donors.begin(donor); first < last; first += tile_lanes) {
        const std::size_t n = last - first < tile_lanes ? last - first : tile_lanes;
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            const auto column = static_cast<std::uint32_t>(donors.indices[first + (i < n ? i : 0)]);
            gene[i] = static_cast<std::int32_t>(column < n_genes ? column : 0);
        }
        shift.ratios(gene, ratio);
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            exposure[i] = shift.plan.overdispersion[static_cast<std::size_t>(gene[i])] * shift.size;
        }
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            kept[i] = shift.kept(ratio[i]);
            gain[i] = exposure[i] * shift.addition(ratio[i]) / (1.0 + exposure[i] * ratio[i]);
        }
        for (std::size_t i = 0; i < n; ++i) {
            const float value = donors.data[first + i];
            const bool is_gene = static_cast<std::uint32_t>(donors.indices[first + i]) < n_genes;
            if (!(is_gene && value > 0.0F && value < most_molecules)) continue;
            std::int64_t molecules = binomial(keep_stream, static_cast<std::int64_t>(value), kept[i]);
            if (molecules == 0) continue;
            if (gain[i] > 0.0) molecules += gained(gain_stream, molecules, gain[i]);
            row.add(gene[i], static_cast<std::uint32_t>(molecules));
        }
    }
}

void add_new(const Shift& shift, std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
             RowCounts& row) noexcept {
    const DonorShiftPlan& plan = shift.plan;
    alignas(64) double ratio[tile_lanes];
    alignas(64) double exposure[tile_lanes];
    add_clusters(
        key, purpose, cell, shift.size * plan.total_addition, plan.table, row, [&](Candidates& tile) {
            shift.ratios(tile.gene, ratio);
            for (std::size_t i = 0; i < tile_lanes; ++i) {
                exposure[i] = plan.overdispersion[static_cast<std::size_t>(tile.gene[i])] * shift.size;
            }
            for (std::size_t i = 0; i < tile_lanes; ++i) {
                tile.gain[i] = exposure[i] * shift.addition(ratio[i]);
                tile.far[i] = 1.0 + exposure[i] * ratio[i];
                tile.growth[i] = tile.far[i] / (1.0 + exposure[i] * shift.kept(ratio[i]));
            }
            if (!shift.responds()) return;
            // candidates are as many as the response with the largest addition needs
            for (std::size_t i = 0; i < tile_lanes; ++i) {
                const double full = plan.ratio[static_cast<std::size_t>(tile.gene[i])];
                tile.uniform[i] *= ((full > 1.0 ? full : 1.0) - plan.keep) / shift.addition(ratio[i]);
            }
        });
}

}  // namespace

template <Level level>
std::size_t donor_shift(const SparseRows& rows, const DonorShiftPlan& plan,
                        const Csr<float, std::int32_t>& donors, std::span<const double> sizes,
                        std::span<const std::int64_t> donor, std::uint64_t key,
                        const DonorShiftPurposes& purposes, std::uint64_t first_cell,
                        const RowCountsScratch& scratch) noexcept {
    RowCounts row(scratch);
    rows.indptr[0] = 0;
    std::size_t end = 0;
    for (std::size_t c = 0; c < rows.cells(); ++c) {
        const std::uint64_t cell = first_cell + c;
        const auto chosen = static_cast<std::size_t>(donor[c]);
        Shift shift{plan, sizes[chosen], 1.0};
        if (!plan.log_ratio.empty()) {
            WordStream stream(key, purposes.response, cell);
            shift.response = beta(stream, plan.alpha, plan.beta);
        }
        add_donor(shift, donors, chosen, WordStream(key, purposes.keep, cell),
                  WordStream(key, purposes.gain, cell), row);
        add_new(shift, key, purposes.addition, cell, row);
        end = row.write(rows, end);
        if (end == RowCounts::no_room) return c;
        rows.indptr[c + 1] = static_cast<std::int64_t>(end);
    }
    return rows.cells();
}

template std::size_t donor_shift<Level::BULKGEN_LEVEL>(const SparseRows&, const DonorShiftPlan&,
                                                       const Csr<float, std::int32_t>&,
                                                       std::span<const double>, std::span<const std::int64_t>,
                                                       std::uint64_t, const DonorShiftPurposes&,
                                                       std::uint64_t, const RowCountsScratch&) noexcept;

}  // namespace bulkgen
