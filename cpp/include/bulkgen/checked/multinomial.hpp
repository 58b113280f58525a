#pragma once

#include <cmath>
#include <vector>

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/multinomial.hpp"

namespace bulkgen::checked {

inline std::size_t multinomial(Level level, const SparseRows& rows, const MultinomialPlan& plan,
                               std::uint64_t key, const CellPurposes& purposes, std::uint64_t first_cell) {
    require_sparse_rows(rows);
    require_alias(plan.profile);
    const double largest = require_sizes(plan.sizes);
    require(plan.concentration > 0.0, "concentration must be above zero");
    require_purposes({purposes.library_size, purposes.cell});
    RowCountsMemory counts(plan.profile.threshold.size());
    std::vector<std::int32_t> urn;
    if (std::isfinite(plan.concentration)) urn.resize(urn_size(largest));
    return at_level(level, [&](auto at) {
        return bulkgen::multinomial<at.level>(rows, plan, key, purposes, first_cell, counts.view(), urn);
    });
}

}  // namespace bulkgen::checked
