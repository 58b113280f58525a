#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/poisson_log_normal.hpp"

namespace bulkgen::checked {

inline std::size_t poisson_log_normal(Level level, const SparseRows& rows, const PoissonLogNormalPlan& plan,
                                      std::uint64_t key, const CellPurposes& purposes,
                                      std::uint64_t first_cell) {
    require_sparse_rows(rows);
    require_gene_number(plan.scale.size());
    require(plan.sigma.size() == plan.scale.size(), "scale and sigma must have equal length");
    require_sizes(plan.sizes);
    require_purposes({purposes.library_size, purposes.cell});
    return at_level(level, [&](auto at) {
        return bulkgen::poisson_log_normal<at.level>(rows, plan, key, purposes, first_cell);
    });
}

}  // namespace bulkgen::checked
