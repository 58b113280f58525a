#include "bulkgen/rank_tokens.hpp"

#include "bulkgen/instantiate.hpp"

namespace bulkgen {

template <Level level, typename Value, typename Index, typename Token>
std::int64_t rank_tokens(const Csr<Value, Index>& matrix, const ColumnTokens& columns,
                         const RankLimits& limits, std::size_t first_row, std::size_t last_row,
                         const RowScratch<Value>& scratch, std::span<Token> out, std::span<float> out_counts,
                         std::span<std::int64_t> lengths, std::span<std::int64_t> genes) noexcept {
    std::size_t slot = 0;
    for (std::size_t row = first_row; row < last_row; ++row) {
        const std::size_t begin = matrix.begin(row), end = matrix.end(row);
        const Row<Value, Index> cell{matrix.indices.data() + begin, matrix.data.data() + begin, end - begin};
        const EncodedRow encoded = encode_row(columns, limits, cell, scratch, out.subspan(slot),
                                              out_counts.empty() ? out_counts : out_counts.subspan(slot));
        if (encoded.tokens > out.size() - slot) return static_cast<std::int64_t>(row);
        lengths[row] = static_cast<std::int64_t>(encoded.tokens);
        genes[row] = static_cast<std::int64_t>(encoded.genes);
        slot += encoded.tokens;
    }
    return -1;
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
