// A sparse matrix in compressed rows, and the one pass that finds what is wrong with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/level.hpp"

namespace bulkgen {

/// Column indices are int32 or int64; values float, double, int32 or int64; row pointers always int64.
template <typename Value, typename Index>
struct Csr {
    std::span<const std::int64_t> indptr;
    std::span<const Index> indices;
    std::span<const Value> data;

    std::size_t rows() const noexcept { return indptr.size() - 1; }
    std::size_t begin(std::size_t row) const noexcept { return static_cast<std::size_t>(indptr[row]); }
    std::size_t end(std::size_t row) const noexcept { return static_cast<std::size_t>(indptr[row + 1]); }
};

/// The first offender of each kind as a position in data (a row for bad_pointer and unsorted), or -1.
struct CsrReport {
    std::int64_t bad_pointer = -1;  // indptr not monotone from 0 to the number of entries
    std::int64_t bad_index = -1;    // column outside [0, n_columns)
    std::int64_t unsorted = -1;     // row whose columns are not strictly increasing
    std::int64_t not_finite = -1;
    std::int64_t negative = -1;
    std::int64_t fractional = -1;
    double largest = 0.0;  // of the finite values
};

/// Check the structure and values of rows [first_row, last_row).
///
/// Pre:  indptr.size() >= 1, indices.size() == data.size(), last_row <= rows.
/// Pure: reads nothing outside the spans, whatever they hold; a bad row pointer ends the pass. The reports of
///       consecutive ranges join to that of the whole: the first offender of each kind, the largest value.
/// Cost: one vectorised pass over the entries of the rows, at memory bandwidth; a second look at rows with an
///       offender of a kind not yet met, at unsorted rows and at rows with negative or infinite values.
template <Level level, typename Value, typename Index>
CsrReport check_csr(const Csr<Value, Index>& matrix, std::size_t n_columns, std::size_t first_row,
                    std::size_t last_row) noexcept;

}  // namespace bulkgen
