#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/checked/matrix.hpp"
#include "bulkgen/thin_rows.hpp"

namespace bulkgen::checked {

template <typename Value, typename Index>
std::size_t thin_rows(Level level, const SparseRows& rows, const Csr<Value, Index>& matrix,
                      std::span<const double> probability, std::uint64_t key, std::uint32_t purpose,
                      std::uint64_t first_cell) {
    require_sparse_rows(rows);
    require_lengths(matrix);
    require_rows(matrix, 0, matrix.rows());
    require(matrix.rows() == rows.cells() && probability.size() == rows.cells(),
            "out_indptr, indptr and probability must be of the same rows");
    require_purposes({purpose});
    return at_level(level, [&](auto at) {
        return bulkgen::thin_rows<at.level>(rows, matrix, probability, key, purpose, first_cell);
    });
}

}  // namespace bulkgen::checked
