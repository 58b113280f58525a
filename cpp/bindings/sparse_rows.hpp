// The CSR chunk that a kernel fills, and its accumulator.
#pragma once

#include <vector>

#include "arrays.hpp"
#include "bulkgen/row_counts.hpp"

namespace bulkgen::bindings {

inline SparseRows checked_rows(Array<std::int64_t>& indptr, Array<std::int32_t>& columns,
                               Array<float>& values) {
    const SparseRows rows{output(indptr), output(columns), output(values)};
    require(!rows.indptr.empty(), "indptr must have at least one element");
    require(rows.columns.size() == rows.values.size(), "columns and values must have equal length");
    return rows;
}

/// Memory of RowCounts, all zero.
struct RowCountsMemory {
    explicit RowCountsMemory(std::size_t n_genes) : counts(n_genes), touched((n_genes + 63) / 64) {}
    RowCountsScratch view() noexcept { return {counts, touched}; }

    std::vector<std::uint32_t> counts;
    std::vector<std::uint64_t> touched;
};

/// Library sizes that cells are given: each a number of molecules below 2^31.
inline std::span<const double> checked_sizes(const Array<double>& sizes) {
    const auto in = input(sizes);
    require(!in.empty() && in.size() <= (std::size_t{1} << 32), "sizes must hold between 1 and 2^32 sizes");
    for (const double size : in) require(size >= 0.0 && size < 0x1p31, "a size must lie in [0, 2^31)");
    return in;
}

inline double largest_size(std::span<const double> sizes) {
    double largest = 0.0;
    for (const double size : sizes) largest = size > largest ? size : largest;
    return largest;
}

/// Rows of a longer matrix: pointers monotone and within the entries, from wherever they begin.
template <typename Value, typename Index>
Csr<Value, Index> checked_row_range(const Array<std::int64_t>& indptr, const Array<Index>& indices,
                                    const Array<Value>& data) {
    const Csr<Value, Index> matrix{input(indptr), input(indices), input(data)};
    require(!matrix.indptr.empty(), "indptr must have at least one element");
    require(matrix.indices.size() == matrix.data.size(), "indices and data must have equal length");
    bool monotone =
        matrix.indptr.front() >= 0 && matrix.indptr.back() <= static_cast<std::int64_t>(matrix.data.size());
    for (std::size_t row = 0; row < matrix.rows(); ++row) {
        monotone &= matrix.indptr[row] <= matrix.indptr[row + 1];
    }
    require(monotone, "indptr must not decrease, from 0 to the number of stored entries");
    return matrix;
}

inline std::uint32_t checked_purpose(std::uint32_t purpose) {
    require(purpose < 256, "a purpose must be below 256");
    return purpose;
}

}  // namespace bulkgen::bindings
