// Rows of a sparse matrix sorted by group, and the walk over their non-zero entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bulkgen/csr.hpp"

namespace bulkgen {

/// Group g holds rows[offsets[g] .. offsets[g + 1]).
struct Groups {
    std::span<const std::int64_t> rows;
    std::span<const std::int64_t> offsets;
};

/// Call visit(gene, value) for every non-zero entry of a group, in the order of its rows.
/// Columns outside [0, n_genes) are skipped: no input may write outside the accumulators.
template <typename Value, typename Index, typename Visit>
static void for_each_nonzero(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t group,
                             std::size_t n_genes, Visit&& visit) noexcept {
    for (auto r = static_cast<std::size_t>(groups.offsets[group]);
         r < static_cast<std::size_t>(groups.offsets[group + 1]); ++r) {
        const auto row = static_cast<std::size_t>(groups.rows[r]);
        for (std::size_t i = matrix.begin(row); i < matrix.end(row); ++i) {
            const auto gene = static_cast<std::size_t>(matrix.indices[i]);
            if (matrix.data[i] != 0 && gene < n_genes) visit(gene, matrix.data[i]);
        }
    }
}

}  // namespace bulkgen
