#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/checked/matrix.hpp"
#include "bulkgen/donor_shift.hpp"
#include "bulkgen/donors.hpp"

namespace bulkgen::checked {

inline void choose_donors(Level level, std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell,
                          bool shared, std::span<const std::int64_t> donors, std::span<std::int64_t> out) {
    require(!donors.empty(), "there must be at least one donor");
    require_purposes({purpose});
    at_level(level, [&](auto at) {
        bulkgen::choose_donors<at.level>(key, purpose, first_cell, shared, donors, out);
    });
}

inline void require_plan(const DonorShiftPlan& plan) {
    require_alias(plan.table);
    const std::size_t n_genes = plan.table.other.size();
    require(plan.overdispersion.size() == n_genes && plan.ratio.size() == n_genes,
            "overdispersion and ratio must have one element per gene");
    require(plan.log_ratio.empty() || plan.log_ratio.size() == n_genes,
            "log_ratio must be empty or have one element per gene");
    require(plan.log_ratio.empty() || are_shapes(plan.alpha, plan.beta),
            "alpha and beta must lie in (0, 2^53]");
    require(plan.keep > 0.0 && plan.keep <= 1.0, "keep must lie in (0, 1]");
}

inline std::size_t donor_shift(Level level, const SparseRows& rows, const DonorShiftPlan& plan,
                               const Csr<float, std::int32_t>& donors, std::span<const double> sizes,
                               std::span<const std::int64_t> donor, std::uint64_t key,
                               const DonorShiftPurposes& purposes, std::uint64_t first_cell) {
    require_sparse_rows(rows);
    require_matrix(donors);
    require_plan(plan);
    require_total(require_sizes(sizes), plan.total_addition);
    require(sizes.size() == donors.rows(), "sizes must have one element per row of the donors");
    require(donor.size() == rows.cells(), "donor must have one element per cell");
    for (const std::int64_t row : donor) {
        require(row >= 0 && static_cast<std::size_t>(row) < donors.rows(),
                "donor must hold rows of the donors");
    }
    require_purposes({purposes.response, purposes.keep, purposes.gain, purposes.addition});
    RowCountsMemory memory(plan.table.other.size());
    return at_level(level, [&](auto at) {
        return bulkgen::donor_shift<at.level>(rows, plan, donors, sizes, donor, key, purposes, first_cell,
                                              memory.view());
    });
}

}  // namespace bulkgen::checked
