#include <vector>

#include "bulkgen/rank_tokens.hpp"
#include "bulkgen/row_scratch.hpp"
#include "bulkgen/truncated_gaussian_tokens.hpp"
#include "check.hpp"

using namespace bulkgen;

template <Level level>
void test() {
    constexpr std::size_t n = 300, cells = 3, most = 40;
    std::vector<float> common;
    for (std::size_t tile = 0; tile < 2; ++tile) {
        for (const float field : {1.0F, 0.5F, 0.0F, 3.0F, 0.02275013F, 0.97721820F, 0.00003167F}) {
            common.insert(common.end(), tile_size, field);
        }
    }
    std::vector<std::int32_t> token(n), first_column(n);
    std::vector<double> median(n, 1.0);
    for (std::size_t g = 0; g < n; ++g) {
        token[g] = g % 9 == 4 ? -1 : static_cast<std::int32_t>(g);
        first_column[g] = static_cast<std::int32_t>(g);
    }
    // columns 2 and 290 are of one gene
    first_column[290] = 2;
    token[290] = 2;
    const ColumnTokens columns{token, median, first_column};
    const RankLimits limits{most, 1000, 1001};
    for (const Sampler sampler : {Sampler::rejection, Sampler::inverse}) {
        const TruncatedGaussianPlan plan{sampler, false, {common, {}}, {}};
        std::vector<float> matrix(cells * n), row(n), no_counts;
        truncated_gaussian<level>(5, {1, 2, 7}, 10, plan, n, matrix);
        std::vector<std::int64_t> indptr(cells + 1), lengths(cells), genes(cells);
        std::vector<std::int32_t> indices(cells * n);
        for (std::size_t i = 0; i < cells * n; ++i) indices[i] = static_cast<std::int32_t>(i % n);
        for (std::size_t c = 0; c <= cells; ++c) indptr[c] = static_cast<std::int64_t>(c * n);
        RowScratchMemory<float> scratch(columns, n);
        std::vector<std::int16_t> two(cells * (most + 2)), one(two.size());
        const Csr<float, std::int32_t> csr{indptr, indices, matrix};
        CHECK((rank_tokens<level, float, std::int32_t, std::int16_t>(
                   csr, columns, limits, 0, cells, scratch.view(), two, no_counts, lengths, genes) == -1));
        std::vector<std::int64_t> fused_lengths(cells), fused_genes(cells);
        const auto fuse = [&](std::span<std::int16_t> out) {
            return truncated_gaussian_tokens<level, std::int16_t>(5, {1, 2, 7}, 10, plan, n, columns, limits,
                                                                  scratch.view(), row,
                                                                  {out, {}, fused_lengths, fused_genes});
        };
        CHECK(fuse(one) == -1);
        CHECK(one == two && fused_lengths == lengths && fused_genes == genes);
        // room for one cell and a part: the second is the first that does not fit
        CHECK(fuse(std::span(one).first(most + 10)) == 1);
    }
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
