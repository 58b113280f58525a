// What the kernels that draw sparse cells share: their rows, library sizes, alias tables and purposes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "bulkgen/alias.hpp"
#include "bulkgen/checked/require.hpp"
#include "bulkgen/row_counts.hpp"
#include "bulkgen/sparse_rows.hpp"

namespace bulkgen::checked {

inline void require_sparse_rows(const SparseRows& rows) {
    require(!rows.indptr.empty(), "indptr must have at least one element");
    require(rows.columns.size() == rows.values.size(), "columns and values must have equal length");
}

inline void require_gene_number(std::size_t n_genes) {
    require(n_genes > 0 && n_genes <= 0x7fffffffU, "there must be between 1 and 2^31 - 1 genes");
}

inline void require_alias(const AliasTable& table) {
    require_gene_number(table.threshold.size());
    require(table.other.size() == table.threshold.size(), "threshold and other must have equal length");
    const auto n = static_cast<std::uint32_t>(table.other.size());
    bool inside = true;
    for (const std::int32_t gene : table.other) inside &= static_cast<std::uint32_t>(gene) < n;
    require(inside, "other must hold genes of the table");
}

/// Library sizes that cells are given, each a number of molecules below 2^31. The largest of them.
inline double require_sizes(std::span<const double> sizes) {
    require(!sizes.empty() && sizes.size() <= (std::size_t{1} << 32),
            "sizes must hold between 1 and 2^32 sizes");
    // bits of numbers that are not negative order as these do, and all others lie above; + 0.0 for -0.0
    std::uint64_t largest = 0;
    for (const double size : sizes) largest = std::max(largest, std::bit_cast<std::uint64_t>(size + 0.0));
    require(largest < std::bit_cast<std::uint64_t>(0x1p31), "a size must lie in [0, 2^31)");
    return std::bit_cast<double>(largest);
}

/// A cell's candidates are counted in 32 bits, and are work.
inline void require_total(double largest_size, double total) {
    require(total >= 0.0 && largest_size * total <= 0x1p30,
            "a cell must not have more than 2^30 molecules on average");
}

/// Shapes of a beta law: what is no shape would be drawn for ever.
inline bool are_shapes(double a, double b) { return a > 0.0 && a <= 0x1p53 && b > 0.0 && b <= 0x1p53; }

inline void require_purposes(std::initializer_list<std::uint32_t> purposes) {
    for (const std::uint32_t purpose : purposes) require(purpose < 256, "a purpose must be below 256");
}

/// Memory of RowCounts, all zero.
struct RowCountsMemory {
    explicit RowCountsMemory(std::size_t n_genes) : counts(n_genes), touched((n_genes + 63) / 64) {}
    RowCountsScratch view() noexcept { return {counts, touched}; }

    std::vector<std::uint32_t> counts;
    std::vector<std::uint64_t> touched;
};

}  // namespace bulkgen::checked
