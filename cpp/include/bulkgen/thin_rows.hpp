// Binomial thinning: every molecule of a row is kept with the row's probability.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/level.hpp"
#include "bulkgen/sparse_rows.hpp"

namespace bulkgen {

/// Thin rows of a sparse matrix; row r is cell first_cell + r.
///
/// Pre:  matrix.rows() == probability.size() == rows.cells(); its pointers do not decrease and lie within the
///       entries, from wherever they begin; values are whole and in [0, 2^53] (what is not counts as if
///       truncated to that); purpose < 256.
/// Law:  value ~ Binomial(value of the matrix, probability of the row), independent, zeros left out.
/// Pure: row r depends on (key, purpose, first_cell + r, its entries, its probability) alone. Entry i takes
///       word i of the row; counts above eight, and what one word leaves undecided, take the words behind
///       those of the entries.
/// Cost: 1.5 ns per entry of count 1, 5 ns up to a count of 8, 40 to 100 ns beyond; 0.2 us per row.
/// Returns the number of rows written: it stops before a row with more entries than there is room.
template <Level level, typename Value, typename Index>
std::size_t thin_rows(const SparseRows& rows, const Csr<Value, Index>& matrix,
                      std::span<const double> probability, std::uint64_t key, std::uint32_t purpose,
                      std::uint64_t first_cell) noexcept;

}  // namespace bulkgen
