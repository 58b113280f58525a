#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/negative_binomial.hpp"

namespace bulkgen::checked {

/// The largest library size.
inline double require_plan(const NegativeBinomialPlan& plan) {
    const double largest = require_sizes(plan.sizes);
    require_alias(plan.table);
    const std::size_t n_genes = plan.table.other.size();
    require_total(largest, plan.total_rate);
    require(plan.overdispersion.size() == n_genes, "overdispersion must have one element per gene");
    require(plan.inflation.empty() || plan.inflation.size() == n_genes,
            "inflation must be empty or have one element per gene");
    return largest;
}

inline std::size_t negative_binomial(Level level, const SparseRows& rows, const NegativeBinomialPlan& plan,
                                     std::uint64_t key, const NegativeBinomialPurposes& purposes,
                                     std::uint64_t first_cell) {
    require_sparse_rows(rows);
    require_plan(plan);
    require_purposes({purposes.library_size, purposes.draw, purposes.inflation});
    RowCountsMemory memory(plan.table.other.size());
    return at_level(level, [&](auto at) {
        return bulkgen::negative_binomial<at.level>(rows, plan, key, purposes, first_cell, memory.view());
    });
}

}  // namespace bulkgen::checked
