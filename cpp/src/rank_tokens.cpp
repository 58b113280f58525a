#include "bulkgen/rank_tokens.hpp"

#include <algorithm>

#include "bulkgen/instantiate.hpp"

namespace bulkgen {

template <Level level, typename Value, typename Index>
void count_tokens(const Csr<Value, Index>& matrix, std::span<const std::int32_t> token, std::size_t first_row,
                  std::size_t last_row, std::span<std::int64_t> out) noexcept {
    for (std::size_t row = first_row; row < last_row; ++row) {
        std::int64_t count = 0;
        for (std::size_t i = matrix.begin(row); i < matrix.end(row); ++i) {
            const auto column = static_cast<std::size_t>(matrix.indices[i]);
            count += matrix.data[i] != 0 && column < token.size() && token[column] >= 0;
        }
        out[row] = count;
    }
}

template <Level level, typename Value, typename Index, typename Token>
void rank_tokens(const Csr<Value, Index>& matrix, const ColumnTokens& columns, const RankLimits& limits,
                 std::size_t first_row, std::size_t last_row, std::span<const std::int64_t> out_offsets,
                 std::span<RankedGene> scratch, std::span<Token> out, std::span<float> out_counts) noexcept {
    // a total order, so that every sorting algorithm gives the same result
    const auto before = [](const RankedGene& a, const RankedGene& b) {
        return a.value > b.value || (a.value == b.value && a.column < b.column);
    };
    for (std::size_t row = first_row; row < last_row; ++row) {
        std::size_t n = 0;
        for (std::size_t i = matrix.begin(row); i < matrix.end(row); ++i) {
            const auto column = static_cast<std::size_t>(matrix.indices[i]);
            if (matrix.data[i] != 0 && column < columns.token.size() && columns.token[column] >= 0) {
                scratch[n++] = {static_cast<double>(matrix.data[i]) / columns.median[column],
                                static_cast<std::int32_t>(column), static_cast<float>(matrix.data[i])};
            }
        }
        const std::size_t kept = std::min(n, limits.most_genes);
        const auto genes = scratch.first(n);
        std::partial_sort(genes.begin(), genes.begin() + static_cast<std::ptrdiff_t>(kept), genes.end(),
                          before);
        auto slot = static_cast<std::size_t>(out_offsets[row]);
        const auto put = [&](std::int32_t token, float count) {
            out[slot] = static_cast<Token>(token);
            if (!out_counts.empty()) out_counts[slot] = count;
            ++slot;
        };
        if (limits.cls >= 0) put(limits.cls, 0.0F);
        for (const RankedGene& gene : genes.first(kept)) {
            put(columns.token[static_cast<std::size_t>(gene.column)], gene.count);
        }
        if (limits.eos >= 0) put(limits.eos, 0.0F);
    }
}

#define BULKGEN_INSTANTIATE_TOKEN(VALUE, INDEX, TOKEN)                                              \
    template void rank_tokens<Level::BULKGEN_LEVEL, VALUE, INDEX, TOKEN>(                           \
        const Csr<VALUE, INDEX>&, const ColumnTokens&, const RankLimits&, std::size_t, std::size_t, \
        std::span<const std::int64_t>, std::span<RankedGene>, std::span<TOKEN>, std::span<float>) noexcept;
#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                                  \
    template void count_tokens<Level::BULKGEN_LEVEL, VALUE, INDEX>(                        \
        const Csr<VALUE, INDEX>&, std::span<const std::int32_t>, std::size_t, std::size_t, \
        std::span<std::int64_t>) noexcept;                                                 \
    BULKGEN_INSTANTIATE_TOKEN(VALUE, INDEX, std::int16_t)                                  \
    BULKGEN_INSTANTIATE_TOKEN(VALUE, INDEX, std::int32_t)
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE
#undef BULKGEN_INSTANTIATE_TOKEN

}  // namespace bulkgen
