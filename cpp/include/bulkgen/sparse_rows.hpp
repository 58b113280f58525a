// What every kernel that draws sparse cells fills.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bulkgen {

/// Cell c of a chunk has the entries [indptr[c], indptr[c + 1]): columns ascending, whole values of at
/// least 1. The room is columns.size(). A kernel sets indptr[0] = 0, writes cells one after another and
/// returns how many it wrote: it stops before the first cell that has no room. Room for as many entries as
/// there are genes is always enough for one cell.
struct SparseRows {
    std::span<std::int64_t> indptr;
    std::span<std::int32_t> columns;
    std::span<float> values;

    std::size_t cells() const noexcept { return indptr.size() - 1; }
};

}  // namespace bulkgen
