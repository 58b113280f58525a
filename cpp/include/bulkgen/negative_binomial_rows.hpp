// The loop over cells that `negative_binomial` and `copula` share.
#pragma once

#include "bulkgen/clusters.hpp"
#include "bulkgen/discrete.hpp"
#include "bulkgen/negative_binomial.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

/// Drop entries [begin, end) with the chance of their genes; returns the new end.
inline std::size_t inflate_zeros(WordStream stream, std::span<const double> inflation, const SparseRows& rows,
                                 std::size_t begin, std::size_t end) noexcept {
    std::size_t kept = begin;
    for (std::size_t i = begin; i < end; ++i) {
        const std::int32_t gene = rows.columns[i];
        rows.columns[kept] = gene;
        rows.values[kept] = rows.values[i];
        kept += bernoulli(stream, inflation[static_cast<std::size_t>(gene)]) ? 0 : 1;
    }
    return kept;
}

/// Rows of independent negative binomials; add_more(cell, library size, row) adds what else a cell has before
/// zeros are inflated.
template <typename AddMore>
std::size_t negative_binomial_rows(const SparseRows& rows, const NegativeBinomialPlan& plan,
                                   std::uint64_t key, const NegativeBinomialPurposes& purposes,
                                   std::uint64_t first_cell, const RowCountsScratch& scratch,
                                   AddMore&& add_more) noexcept {
    RowCounts row(scratch);
    rows.indptr[0] = 0;
    std::size_t end = 0;
    for (std::size_t c = 0; c < rows.cells(); ++c) {
        const std::uint64_t cell = first_cell + c;
        WordStream sizes(key, purposes.library_size, cell);
        const double size = library_size(sizes, plan.sizes);
        add_negative_binomials(key, purposes.draw, cell, size, plan.total_rate, plan.table,
                               plan.overdispersion.data(), row);
        add_more(cell, size, row);
        const std::size_t begin = end;
        end = row.write(rows, begin);
        if (end == RowCounts::no_room) return c;
        if (!plan.inflation.empty()) {
            end = inflate_zeros(WordStream(key, purposes.inflation, cell), plan.inflation, rows, begin, end);
        }
        rows.indptr[c + 1] = static_cast<std::int64_t>(end);
    }
    return rows.cells();
}

}  // namespace

}  // namespace bulkgen
