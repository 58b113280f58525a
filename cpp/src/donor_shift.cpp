#include "bulkgen/donor_shift.hpp"

#include "bulkgen/clusters.hpp"
#include "bulkgen/discrete.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

constexpr float most_molecules = 0x1p31F;

/// Failures, each with chance q, before the size-th success.
std::int64_t gained(WordStream& stream, std::int64_t size, double q) noexcept {
    if (size > 8) return geometric_sum(stream, size, q, log_positive(q));
    std::int64_t gain = 0;
    for (std::int64_t i = 0; i < size; ++i) {
        // as `geometric`, with the logarithm of q only where it is needed
        const double u = stream.fine_uniform();
        if (!(u < q)) continue;
        const double k = log_positive(u) / log_positive(q);
        gain += static_cast<std::int64_t>(k < most_molecules ? k : most_molecules);
    }
    return gain;
}

/// One cell: its library size and response, and what the plan makes of a gene in it.
struct Shift {
    const DonorShiftPlan& plan;
    double size;
    double response;

    double ratio(std::size_t gene) const noexcept {
        return plan.log_ratio.empty() ? plan.ratio[gene] : exp_of(response * plan.log_ratio[gene]);
    }
    /// (b - 1) a
    double addition(double s) const noexcept {
        return ((s > 1.0 ? s : 1.0) - plan.keep) * (s < 1.0 ? s : 1.0);
    }
};

void add_donor(const Shift& shift, const Csr<float, std::int32_t>& donors, std::size_t donor,
               WordStream keep_stream, WordStream gain_stream, RowCounts& row) noexcept {
    const std::size_t n_genes = shift.plan.ratio.size();
    for (std::size_t i = donors.begin(donor); i < donors.end(donor); ++i) {
        const auto gene = static_cast<std::uint32_t>(donors.indices[i]);
        const float value = donors.data[i];
        if (!(gene < n_genes && value > 0.0F && value < most_molecules)) continue;
        const double s = shift.ratio(gene);
        const double chance = shift.plan.keep * (s < 1.0 ? s : 1.0);
        std::int64_t molecules = binomial(keep_stream, static_cast<std::int64_t>(value), chance);
        if (molecules == 0) continue;
        const double exposure = shift.plan.overdispersion[gene] * shift.size;
        const double q = exposure * shift.addition(s) / (1.0 + exposure * s);
        if (q > 0.0) molecules += gained(gain_stream, molecules, q);
        row.add(static_cast<std::int32_t>(gene), static_cast<std::uint32_t>(molecules));
    }
}

void add_new(const Shift& shift, std::uint64_t key, std::uint32_t purpose, std::uint64_t cell,
             RowCounts& row) noexcept {
    const DonorShiftPlan& plan = shift.plan;
    const bool responds = !plan.log_ratio.empty();
    add_clusters(key, purpose, cell, shift.size * plan.total_addition, plan.table, row, [&](Candidates& tile) {
        for (std::size_t i = 0; i < tile_lanes; ++i) {
            const auto gene = static_cast<std::size_t>(tile.gene[i]);
            const double s = shift.ratio(gene);
            const double exposure = plan.overdispersion[gene] * shift.size;
            const double addition = shift.addition(s);
            tile.gain[i] = exposure * addition;
            tile.far[i] = 1.0 + exposure * s;
            tile.growth[i] = tile.far[i] / (1.0 + exposure * (plan.keep * (s < 1.0 ? s : 1.0)));
            if (responds) {
                // candidates are as many as the response with the largest addition needs
                const double r = plan.ratio[gene];
                tile.uniform[i] *= ((r > 1.0 ? r : 1.0) - plan.keep) / addition;
            }
        }
    });
}

}  // namespace

template <Level level>
std::size_t donor_shift(std::uint64_t key, const DonorShiftPurposes& purposes, std::uint64_t first_cell,
                        const DonorShiftPlan& plan, const Csr<float, std::int32_t>& donors,
                        std::span<const double> sizes, std::span<const std::int64_t> donor,
                        std::span<std::uint32_t> counts, std::span<std::uint64_t> touched,
                        const SparseRows& rows) noexcept {
    RowCounts row(counts, touched);
    rows.indptr[0] = 0;
    std::size_t end = 0;
    for (std::size_t c = 0; c + 1 < rows.indptr.size(); ++c) {
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
    return rows.indptr.size() - 1;
}

template std::size_t donor_shift<Level::BULKGEN_LEVEL>(std::uint64_t, const DonorShiftPurposes&, std::uint64_t,
                                                       const DonorShiftPlan&, const Csr<float, std::int32_t>&,
                                                       std::span<const double>, std::span<const std::int64_t>,
                                                       std::span<std::uint32_t>, std::span<std::uint64_t>,
                                                       const SparseRows&) noexcept;

}  // namespace bulkgen
