// Where rows meet the encoder: whatever has rows or makes them gives one at a time, and no matrix of cells
// need exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/row_encoder.hpp"

namespace bulkgen {

/// Where the tokens of a range of cells go: end to end, cell c's length and genes before the cut at c.
template <typename Token>
struct TokenOutput {
    std::span<Token> tokens;
    std::span<float> counts;  // empty, or as long as tokens
    std::span<std::int64_t> lengths;
    std::span<std::int64_t> genes;
};

/// Encode n_cells rows, row_of(cell) being the Row of cell = 0, 1, ... Returns the first cell that out has no
/// room for, where the work stops, or -1.
///
/// Pre:  lengths and genes have n_cells elements; what encode_row asks of each row and of scratch.
template <typename Value, typename Token, typename RowOf>
static std::int64_t encode_rows(const ColumnTokens& columns, const RankLimits& limits, std::size_t n_cells,
                                RowOf&& row_of, const RowScratch<Value>& scratch,
                                const TokenOutput<Token>& out) noexcept {
    std::size_t slot = 0;
    for (std::size_t cell = 0; cell < n_cells; ++cell) {
        const EncodedRow encoded =
            encode_row(columns, limits, row_of(cell), scratch, out.tokens.subspan(slot),
                       out.counts.empty() ? out.counts : out.counts.subspan(slot));
        if (encoded.tokens > out.tokens.size() - slot) return static_cast<std::int64_t>(cell);
        out.lengths[cell] = static_cast<std::int64_t>(encoded.tokens);
        out.genes[cell] = static_cast<std::int64_t>(encoded.genes);
        slot += encoded.tokens;
    }
    return -1;
}

}  // namespace bulkgen
