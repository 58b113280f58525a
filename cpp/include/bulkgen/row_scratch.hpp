// Memory for encode_row, for callers that may allocate: bindings and tests.
#pragma once

#include <vector>

#include "bulkgen/row_encoder.hpp"

namespace bulkgen {

/// Scratch for rows of at most `longest` entries of a matrix with these columns: 28 bytes for each entry, up
/// to 16 for each column, and 16 kB.
template <typename Value>
class RowScratchMemory {
  public:
    RowScratchMemory(const ColumnTokens& columns, std::size_t longest)
        : divisor_(columns.token.size() + 1),
          sums_(columns.first_column.size()),
          histogram_(histogram_size),
          keys_(longest),
          packed_(longest),
          sorted_(longest),
          shared_(longest) {
        fill_divisors(columns, divisor_);
    }
    RowScratch<Value> view() noexcept {
        return {divisor_, sums_, histogram_, keys_, packed_, sorted_, shared_};
    }

  private:
    std::vector<double> divisor_;
    std::vector<GeneSum<Value>> sums_;
    std::vector<std::uint32_t> histogram_;
    std::vector<std::int64_t> keys_;
    std::vector<std::uint64_t> packed_, sorted_;
    std::vector<std::uint32_t> shared_;
};

}  // namespace bulkgen
