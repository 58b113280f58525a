// The arrays of a negative binomial plan as spans, checked so that no gene is read or written out of range.
#pragma once

#include <pybind11/stl.h>

#include "alias_arrays.hpp"
#include "arrays.hpp"
#include "bulkgen/negative_binomial.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

/// A cell's candidates are counted in 32 bits, and are work.
inline constexpr double most_candidates = 0x1p30;

inline void require_total(std::span<const double> sizes, double total) {
    require(total >= 0.0 && largest_size(sizes) * total <= most_candidates,
            "a cell must not have more than 2^30 molecules on average");
}

inline NegativeBinomialPlan checked_negative_binomial(const Array<double>& sizes,
                                                      const Array<std::uint64_t>& threshold,
                                                      const Array<std::int32_t>& other,
                                                      const Array<double>& overdispersion,
                                                      const Array<double>& inflation, double total_rate) {
    const NegativeBinomialPlan plan{checked_sizes(sizes), checked_alias(threshold, other), total_rate,
                                    input(overdispersion), input(inflation)};
    const std::size_t n_genes = plan.table.other.size();
    require_total(plan.sizes, total_rate);
    require(plan.overdispersion.size() == n_genes, "overdispersion must have one element per gene");
    require(plan.inflation.empty() || plan.inflation.size() == n_genes,
            "inflation must be empty or have one element per gene");
    return plan;
}

}  // namespace bulkgen::bindings
