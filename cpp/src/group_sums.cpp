#include "bulkgen/group_sums.hpp"

#include <algorithm>
#include <type_traits>

#include "bulkgen/instantiate.hpp"

namespace bulkgen {

namespace {

/// Add the rows of a group to totals[0 .. n_genes), which the columns index.
template <typename Value, typename Index, typename Sum>
bool add_group(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t group,
               const GeneRange& genes, RowsAdded& added, Sum* totals) noexcept {
    constexpr bool whole = std::is_integral_v<Sum>;
    return add_rows<whole>(matrix, groups, group, genes, added,
                           [totals](const Index* columns, const Value* values, std::size_t n) {
                               for (std::size_t i = 0; i < n; ++i) {
                                   Sum& total = totals[columns[i]];
                                   if constexpr (whole) {
                                       // unsigned: a sum that does not fit wraps, and the caller learns of it
                                       total = static_cast<Sum>(
                                           static_cast<std::uint64_t>(total) +
                                           static_cast<std::uint64_t>(static_cast<std::int64_t>(values[i])));
                                   } else {
                                       total += static_cast<Sum>(values[i]);
                                   }
                               }
                           });
}

}  // namespace

template <Level level, typename Value, typename Index, typename Sum>
RowsAdded group_sums_dense(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                           std::size_t first_group, std::size_t last_group, std::span<Sum> out) noexcept {
    RowsAdded added;
    for (std::size_t group = first_group; group < last_group; ++group) {
        Sum* totals = out.data() + group * genes.all;
        std::fill(totals + genes.first, totals + genes.last, Sum{0});
        if (!add_group(matrix, groups, group, genes, added, totals)) break;
    }
    return added;
}

template <Level level, typename Value, typename Index>
RowsAdded group_sums_count(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                           std::size_t first_group, std::size_t last_group, std::span<std::uint8_t> seen,
                           std::span<std::int64_t> out) noexcept {
    for (std::size_t group = first_group; group < last_group; ++group) {
        for (auto r = static_cast<std::size_t>(groups.offsets[group]);
             r < static_cast<std::size_t>(groups.offsets[group + 1]); ++r) {
            const auto row = static_cast<std::size_t>(groups.rows[r]);
            const Index* columns = matrix.indices.data() + matrix.begin(row);
            const std::size_t n = matrix.end(row) - matrix.begin(row);
            if (!columns_increase_within(columns, n, 0, n_genes)) return {groups.rows[r], 0.0};
            for (std::size_t i = 0; i < n; ++i) seen[static_cast<std::size_t>(columns[i])] = 1;
        }
        std::int64_t count = 0;
        for (const std::uint8_t gene : seen) count += gene;
        std::fill(seen.begin(), seen.end(), std::uint8_t{0});
        out[group] = count;
    }
    return {};
}

template <Level level, typename Value, typename Index, typename Sum>
RowsAdded group_sums(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                     std::size_t first_group, std::size_t last_group, std::span<Sum> totals,
                     std::span<const std::int64_t> out_indptr, std::span<std::int32_t> out_indices,
                     std::span<Sum> out_data, std::span<std::int64_t> out_counts) noexcept {
    RowsAdded added;
    for (std::size_t group = first_group; group < last_group; ++group) {
        if (!add_group(matrix, groups, group, GeneRange{0, n_genes, n_genes}, added, totals.data())) break;
        const auto first = static_cast<std::size_t>(out_indptr[group]);
        const auto last = static_cast<std::size_t>(out_indptr[group + 1]);
        std::size_t slot = first;
        std::size_t gene = 0;
        // every sum is written and the slot moves on only past one that is not zero: no branch to mispredict
        for (; gene < n_genes && slot < last; ++gene) {
            const Sum total = totals[gene];
            out_indices[slot] = static_cast<std::int32_t>(gene);
            out_data[slot] = total;
            slot += total != 0;
        }
        std::int64_t beyond = 0;
        for (; gene < n_genes; ++gene) beyond += totals[gene] != 0;
        out_counts[group] = static_cast<std::int64_t>(slot - first) + beyond;
        for (; slot < last; ++slot) {
            out_indices[slot] = 0;
            out_data[slot] = 0;
        }
        std::fill(totals.begin(), totals.end(), Sum{0});
    }
    return added;
}

#define BULKGEN_INSTANTIATE_SUM(VALUE, INDEX, SUM)                                                      \
    template RowsAdded group_sums_dense<Level::BULKGEN_LEVEL, VALUE, INDEX, SUM>(                       \
        const Csr<VALUE, INDEX>&, const Groups&, const GeneRange&, std::size_t, std::size_t,            \
        std::span<SUM>) noexcept;                                                                       \
    template RowsAdded group_sums<Level::BULKGEN_LEVEL, VALUE, INDEX, SUM>(                             \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t, std::span<SUM>, \
        std::span<const std::int64_t>, std::span<std::int32_t>, std::span<SUM>,                         \
        std::span<std::int64_t>) noexcept;
#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                               \
    template RowsAdded group_sums_count<Level::BULKGEN_LEVEL, VALUE, INDEX>(            \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t, \
        std::span<std::uint8_t>, std::span<std::int64_t>) noexcept;                     \
    BULKGEN_INSTANTIATE_SUM(VALUE, INDEX, std::int64_t)                                 \
    BULKGEN_INSTANTIATE_SUM(VALUE, INDEX, double)
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE
#undef BULKGEN_INSTANTIATE_SUM

}  // namespace bulkgen
