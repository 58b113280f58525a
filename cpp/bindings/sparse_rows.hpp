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
    std::vector<std::uint32_t> counts;
    std::vector<std::uint64_t> touched;
};

inline std::uint32_t checked_purpose(std::uint32_t purpose) {
    require(purpose < 256, "a purpose must be below 256");
    return purpose;
}

}  // namespace bulkgen::bindings
