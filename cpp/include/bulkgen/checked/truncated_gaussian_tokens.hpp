#pragma once

#include <string>
#include <vector>

#include "bulkgen/checked/columns.hpp"
#include "bulkgen/checked/truncated_gaussian.hpp"
#include "bulkgen/row_scratch.hpp"
#include "bulkgen/truncated_gaussian_tokens.hpp"

namespace bulkgen::checked {

template <typename Token>
void truncated_gaussian_tokens(Level level, const TruncatedGaussianArrays& arrays,
                               const ColumnTokens& columns, const RankLimits& limits, std::uint64_t key,
                               const TruncatedGaussianPurposes& purposes, std::uint64_t first_cell,
                               const TokenOutput<Token>& out) {
    require_columns(columns);
    const std::size_t n_genes = columns.token.size();
    const TruncatedGaussianPlan plan = checked_plan(arrays, n_genes);
    require_purposes({purposes.draw, purposes.retry, purposes.mask});
    require(out.lengths.size() == out.genes.size(), "lengths and genes must have one element per cell");
    require(n_genes > 0, "there must be at least one gene");
    RowScratchMemory<float> scratch(columns, n_genes);
    std::vector<float> row(n_genes);
    const std::int64_t cell = at_level(level, [&](auto at) {
        return bulkgen::truncated_gaussian_tokens<at.level>(key, purposes, first_cell, plan, n_genes, columns,
                                                            limits, scratch.view(), row, out);
    });
    if (cell >= 0) {
        throw std::invalid_argument("out has no room for the tokens of cell " + std::to_string(cell));
    }
}

}  // namespace bulkgen::checked
