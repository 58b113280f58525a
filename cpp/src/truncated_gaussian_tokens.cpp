#include "bulkgen/truncated_gaussian_tokens.hpp"

namespace bulkgen {

template <Level level, typename Token>
std::int64_t truncated_gaussian_tokens(std::uint64_t key, const TruncatedGaussianPurposes& purposes,
                                       std::uint64_t first_cell, const TruncatedGaussianPlan& plan,
                                       std::size_t n_genes, const ColumnTokens& columns,
                                       const RankLimits& limits, const RowScratch<float>& scratch,
                                       std::span<float> row, const TokenOutput<Token>& out) noexcept {
    const auto draw = [&](std::size_t cell) {
        truncated_gaussian<level>(key, purposes, first_cell + cell, plan, n_genes, row);
        return Row<float, std::int32_t>{nullptr, row.data(), row.size()};
    };
    return encode_rows(columns, limits, out.lengths.size(), draw, scratch, out);
}

#define BULKGEN_INSTANTIATE(TOKEN)                                                                       \
    template std::int64_t truncated_gaussian_tokens<Level::BULKGEN_LEVEL, TOKEN>(                        \
        std::uint64_t, const TruncatedGaussianPurposes&, std::uint64_t, const TruncatedGaussianPlan&,    \
        std::size_t, const ColumnTokens&, const RankLimits&, const RowScratch<float>&, std::span<float>, \
        const TokenOutput<TOKEN>&) noexcept;
BULKGEN_INSTANTIATE(std::int16_t)
BULKGEN_INSTANTIATE(std::int32_t)
#undef BULKGEN_INSTANTIATE

}  // namespace bulkgen
