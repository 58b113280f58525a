#pragma once

#include "bulkgen/checked/matrix.hpp"
#include "bulkgen/csr.hpp"

namespace bulkgen::checked {

template <typename Value, typename Index>
CsrReport check_csr(Level level, const Csr<Value, Index>& matrix, std::size_t n_columns,
                    std::size_t first_row, std::size_t last_row) {
    require_lengths(matrix);
    require_range(first_row, last_row, matrix.rows(), "row");
    require(n_columns < std::size_t{1} << 63, "n_columns must fit an int64");
    return at_level(
        level, [&](auto at) { return bulkgen::check_csr<at.level>(matrix, n_columns, first_row, last_row); });
}

}  // namespace bulkgen::checked
