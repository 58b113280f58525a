// The columns' tokens of a call: after this encode_row follows no index out of the arrays.
#pragma once

#include "bulkgen/checked/require.hpp"
#include "bulkgen/row_encoder.hpp"

namespace bulkgen::checked {

inline void require_columns(const ColumnTokens& columns) {
    require(columns.token.size() == columns.median.size(), "token and median must have equal length");
    require(columns.token.size() <= 0x7fffffffU, "there must be fewer than 2^31 columns");
    // a sign would pass for the mark of a gene of several columns
    for (const double m : columns.median) require(m > 0.0, "every median must be above zero");
    const auto first = columns.first_column;
    require(first.empty() || first.size() == columns.token.size(),
            "first_column must be empty or as long as token");
    for (std::size_t c = 0; c < first.size(); ++c) {
        const auto f = static_cast<std::size_t>(first[c]);
        require(f <= c && static_cast<std::size_t>(first[f]) == f,
                "first_column must give each column the first of its gene");
    }
}

}  // namespace bulkgen::checked
