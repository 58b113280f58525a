#include "bulkgen/rank_tokens.hpp"

#include "bulkgen/encode_rows.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen {

template <Level level, typename Value, typename Index, typename Token>
std::int64_t rank_tokens(const Csr<Value, Index>& matrix, const ColumnTokens& columns,
                         const RankLimits& limits, std::size_t first_row, std::size_t last_row,
                         const RowScratch<Value>& scratch, std::span<Token> out, std::span<float> out_counts,
                         std::span<std::int64_t> lengths, std::span<std::int64_t> genes) noexcept {
    const auto row_of = [&](std::size_t i) {
        const std::size_t begin = matrix.begin(first_row + i), end = matrix.end(first_row + i);
        return Row<Value, Index>{matrix.indices.data() + begin, matrix.data.data() + begin, end - begin};
    };
    const std::size_t n_rows = last_row - first_row;
    const std::int64_t full =
        encode_rows(columns, limits, n_rows, row_of, scratch,
                    TokenOutput<Token>{out, out_counts, lengths.subspan(first_row, n_rows),
                                       genes.subspan(first_row, n_rows)});
    return full < 0 ? full : static_cast<std::int64_t>(first_row) + full;
}

#define BULKGEN_INSTANTIATE_TOKEN(VALUE, INDEX, TOKEN)                                              \
    template std::int64_t rank_tokens<Level::BULKGEN_LEVEL, VALUE, INDEX, TOKEN>(                   \
        const Csr<VALUE, INDEX>&, const ColumnTokens&, const RankLimits&, std::size_t, std::size_t, \
        const RowScratch<VALUE>&, std::span<TOKEN>, std::span<float>, std::span<std::int64_t>,      \
        std::span<std::int64_t>) noexcept;
#define BULKGEN_INSTANTIATE(VALUE, INDEX)                 \
    BULKGEN_INSTANTIATE_TOKEN(VALUE, INDEX, std::int16_t) \
    BULKGEN_INSTANTIATE_TOKEN(VALUE, INDEX, std::int32_t)
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE
#undef BULKGEN_INSTANTIATE_TOKEN

}  // namespace bulkgen
