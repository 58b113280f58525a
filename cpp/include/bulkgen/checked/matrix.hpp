// Sparse matrices, rows of them and groups of rows: after these checks none is read outside its arrays.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bulkgen/checked/require.hpp"
#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"

namespace bulkgen::checked {

template <typename Value, typename Index>
void require_lengths(const Csr<Value, Index>& matrix) {
    require(!matrix.indptr.empty(), "indptr must have at least one element");
    require(matrix.indices.size() == matrix.data.size(), "indices and data must have equal length");
}

/// Rows of a longer matrix: pointers monotone and within the entries, from wherever they begin. The longest
/// row.
template <typename Value, typename Index>
std::size_t require_rows(const Csr<Value, Index>& matrix, std::size_t first_row, std::size_t last_row) {
    std::int64_t longest = 0;
    bool ordered = matrix.indptr[first_row] >= 0 &&
                   matrix.indptr[last_row] <= static_cast<std::int64_t>(matrix.data.size());
    for (std::size_t row = first_row; row < last_row; ++row) {
        ordered = ordered && matrix.indptr[row] <= matrix.indptr[row + 1];
        longest = std::max(longest, ordered ? matrix.indptr[row + 1] - matrix.indptr[row] : 0);
    }
    require(ordered, "indptr must not decrease, from 0 to the number of stored entries");
    return static_cast<std::size_t>(longest);
}

/// A whole matrix: pointers monotone from 0 to the number of entries.
template <typename Value, typename Index>
void require_matrix(const Csr<Value, Index>& matrix) {
    require_lengths(matrix);
    require(
        matrix.indptr.front() == 0 && matrix.indptr.back() == static_cast<std::int64_t>(matrix.data.size()),
        "indptr must run from 0 to the number of stored entries");
    bool ordered = true;
    for (std::size_t row = 0; row < matrix.rows(); ++row) {
        ordered &= matrix.indptr[row] <= matrix.indptr[row + 1];
    }
    require(ordered, "indptr must not decrease");
}

/// The number of groups.
inline std::size_t require_groups(const Groups& groups, std::size_t n_rows) {
    require(!groups.offsets.empty() && groups.offsets.front() == 0 &&
                groups.offsets.back() == static_cast<std::int64_t>(groups.rows.size()),
            "offsets must run from 0 to the number of grouped rows");
    bool ordered = true, inside = true;
    for (std::size_t g = 0; g + 1 < groups.offsets.size(); ++g) {
        ordered &= groups.offsets[g] <= groups.offsets[g + 1];
    }
    require(ordered, "offsets must not decrease");
    for (const std::int64_t row : groups.rows) inside &= static_cast<std::uint64_t>(row) < n_rows;
    require(inside, "rows must be rows of the matrix");
    return groups.offsets.size() - 1;
}

}  // namespace bulkgen::checked
