#include "bulkgen/csr.hpp"

#include <cmath>
#include <type_traits>

#include "bulkgen/instantiate.hpp"
#include "bulkgen/row_scan.hpp"

namespace bulkgen {

namespace {

void note(std::int64_t& slot, std::size_t where) noexcept {
    if (slot < 0) slot = static_cast<std::int64_t>(where);
}

template <typename Index>
void inspect_columns(const Index* columns, std::size_t begin, std::size_t n, std::size_t n_columns,
                     std::size_t row, CsrReport& report) noexcept {
    Index previous = -1;
    for (std::size_t i = 0; i < n; ++i) {
        const Index column = columns[i];
        if (column < 0 || static_cast<std::uint64_t>(column) >= n_columns) note(report.bad_index, begin + i);
        if (column <= previous) note(report.unsorted, row);
        previous = column;
    }
}

template <typename Value>
void inspect_values(const Value* values, std::size_t begin, std::size_t n, CsrReport& report) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const Value value = values[i];
        if constexpr (std::is_floating_point_v<Value>) {
            if (!std::isfinite(value)) {
                note(report.not_finite, begin + i);
                continue;
            }
            if (std::trunc(value) != value) note(report.fractional, begin + i);
        }
        if (value < 0) note(report.negative, begin + i);
        const auto real = static_cast<double>(value);
        if (real > report.largest) report.largest = real;
    }
}

}  // namespace

template <Level level, typename Value, typename Index>
CsrReport check_csr(const Csr<Value, Index>& matrix, std::size_t n_columns, std::size_t first_row,
                    std::size_t last_row) noexcept {
    CsrReport report;
    const auto n_entries = static_cast<std::int64_t>(matrix.data.size());
    if (matrix.indptr.front() != 0 || matrix.indptr.back() != n_entries) {
        report.bad_pointer = 0;
        return report;
    }
    for (std::size_t row = first_row; row < last_row; ++row) {
        if (matrix.indptr[row] < 0 || matrix.indptr[row] > matrix.indptr[row + 1] ||
            matrix.indptr[row + 1] > n_entries) {
            note(report.bad_pointer, row);
            return report;
        }
        const std::size_t begin = matrix.begin(row);
        const std::size_t n = matrix.end(row) - begin;
        const Index* columns = matrix.indices.data() + begin;
        const Value* values = matrix.data.data() + begin;
        if (!columns_increase_within(columns, n, 0, n_columns)) {
            inspect_columns(columns, begin, n, n_columns, row, report);
        }
        const ValueScan<Value> scan = scan_values(values, n);
        if (!scan.surely_counts() || (scan.maybe_fractional && report.fractional < 0)) {
            inspect_values(values, begin, n, report);
        } else if (const auto most = static_cast<double>(scan.largest()); most > report.largest) {
            report.largest = most;
        }
    }
    return report;
}

#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                                                   \
    template CsrReport check_csr<Level::BULKGEN_LEVEL, VALUE, INDEX>(const Csr<VALUE, INDEX>&, std::size_t, \
                                                                     std::size_t, std::size_t) noexcept;
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE

}  // namespace bulkgen
