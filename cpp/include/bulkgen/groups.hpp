// Rows of a sparse matrix sorted by group, and the walk over them that checks each row just before it is
// added.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"
#include "bulkgen/row_scan.hpp"

namespace bulkgen {

/// Group g holds rows[offsets[g] .. offsets[g + 1]).
struct Groups {
    std::span<const std::int64_t> rows;
    std::span<const std::int64_t> offsets;
};

/// Genes [first, last) out of `all`: threads that share a group take genes, so that the values of a gene are
/// added in the order of the rows whatever the number of threads.
struct GeneRange {
    std::size_t first;
    std::size_t last;
    std::size_t all;
};

/// How far a kernel came that adds rows only if they are canonical: columns strictly increasing and in range,
/// values finite and not negative (and whole, where integers are summed).
struct RowsAdded {
    std::int64_t bad_row = -1;  // the row at which the kernel stopped, its output void; else -1
    double largest = 0.0;       // of the values added
};

/// Ask for the cache lines of n elements of an array.
template <typename T>
static void prefetch([[maybe_unused]] const T* array, [[maybe_unused]] std::size_t n) noexcept {
#ifdef __GNUC__
    const auto* bytes = reinterpret_cast<const char*>(array);
    for (std::size_t byte = 0; byte < n * sizeof(T); byte += 64) __builtin_prefetch(bytes + byte);
#endif
}

/// Position of the first of n increasing columns that is at least `key`.
template <typename Index>
static std::size_t lower_bound_of(const Index* columns, std::size_t n, std::size_t key) noexcept {
    std::size_t below = 0;
    while (n > 0) {
        const std::size_t half = n / 2;
        const bool right = static_cast<std::int64_t>(columns[below + half]) < static_cast<std::int64_t>(key);
        below = right ? below + half + 1 : below;
        n = right ? n - half - 1 : half;
    }
    return below;
}

/// Call add(columns, values, n) for the entries of each row of a group that lie in a range of genes, after
/// the row was checked there, in the order of the rows. False at the first row that is not canonical.
///
/// The search for a cut is monotone in the key whatever the columns are, so ranges that cover all genes look
/// at every entry.
template <bool whole, typename Value, typename Index, typename Add>
static bool add_rows(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t group,
                     const GeneRange& genes, RowsAdded& added, Add&& add) noexcept {
    const auto end = static_cast<std::size_t>(groups.offsets[group + 1]);
    for (auto r = static_cast<std::size_t>(groups.offsets[group]); r < end; ++r) {
        const auto row = static_cast<std::size_t>(groups.rows[r]);
        std::size_t begin = matrix.begin(row);
        std::size_t n = matrix.end(row) - begin;
        std::size_t skipped = 0;
        if (genes.last - genes.first < genes.all) {
            const Index* columns = matrix.indices.data() + begin;
            if (genes.first > 0) skipped = lower_bound_of(columns, n, genes.first);
            if (genes.last < genes.all) n = lower_bound_of(columns, n, genes.last);
            begin += skipped;
            n -= skipped;
        }
        const Index* columns = matrix.indices.data() + begin;
        const Value* values = matrix.data.data() + begin;
#ifndef BULKGEN_UNCHECKED  // the benchmarks build a module without, to see what the checks cost
        if (!columns_increase_within(columns, n, genes.first, genes.last) ||
            !values_are_counts<whole>(values, n, added.largest)) {
            added.bad_row = groups.rows[r];
            return false;
        }
#endif
        // The check waits for memory and the additions do not: they ask for the next row, which may lie
        // anywhere, a chunk for each chunk that they take.
        constexpr std::size_t chunk = 64;
        const auto next = static_cast<std::size_t>(groups.rows[r + 1 < groups.rows.size() ? r + 1 : r]);
        const std::size_t next_begin = std::min(matrix.begin(next) + skipped, matrix.end(next));
        const std::size_t next_size = matrix.end(next) - next_begin;
        for (std::size_t i = 0; i < n; i += chunk) {
            if (i + chunk <= next_size) {
                prefetch(matrix.indices.data() + next_begin + i, chunk);
                prefetch(matrix.data.data() + next_begin + i, chunk);
            }
            add(columns + i, values + i, std::min(chunk, n - i));
        }
    }
    return true;
}

}  // namespace bulkgen
