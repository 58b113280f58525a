#include "bulkgen/csr.hpp"

#include <cmath>
#include <type_traits>

#include "bulkgen/instantiate.hpp"

namespace bulkgen {

template <Level level, typename Value, typename Index>
CsrReport check_csr(const Csr<Value, Index>& matrix, std::size_t n_columns, std::size_t first_row,
                    std::size_t last_row) noexcept {
    CsrReport report;
    const auto note = [](std::int64_t& slot, std::size_t where) {
        if (slot < 0) slot = static_cast<std::int64_t>(where);
    };
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
        Index previous = -1;
        for (std::size_t i = matrix.begin(row); i < matrix.end(row); ++i) {
            const Index column = matrix.indices[i];
            if (column < 0 || static_cast<std::uint64_t>(column) >= n_columns) note(report.bad_index, i);
            if (column <= previous) note(report.unsorted, row);
            previous = column;
            const Value value = matrix.data[i];
            if constexpr (std::is_floating_point_v<Value>) {
                if (!std::isfinite(value)) {
                    note(report.not_finite, i);
                    continue;
                }
                if (std::trunc(value) != value) note(report.fractional, i);
            }
            if (value < 0) note(report.negative, i);
            const auto real = static_cast<double>(value);
            if (real > report.largest) report.largest = real;
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
