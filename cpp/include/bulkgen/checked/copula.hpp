#pragma once

#include <vector>

#include "bulkgen/checked/negative_binomial.hpp"
#include "bulkgen/copula.hpp"

namespace bulkgen::checked {

inline std::size_t copula(Level level, const SparseRows& rows, const NegativeBinomialPlan& independent,
                          const CorrelatedGenes& correlated, std::size_t n_factors, std::uint64_t key,
                          const CopulaPurposes& purposes, std::uint64_t first_cell) {
    require_sparse_rows(rows);
    const double largest = require_plan(independent);
    const std::size_t n_genes = independent.table.other.size();
    const std::size_t n = correlated.gene.size();
    for (const std::int32_t g : correlated.gene) {
        require(g >= 0 && static_cast<std::size_t>(g) < n_genes, "gene must hold genes of the table");
    }
    require(correlated.rate.size() == n && correlated.dispersion.size() == n && correlated.own.size() == n,
            "gene, rate, dispersion and own must have equal length");
    for (const double f : correlated.dispersion) require(f >= 0.0, "dispersion must not be below 0");
    require(has_shape(correlated.loadings.size(), n_factors, n),
            "loadings must have shape (factors, correlated genes)");
    for (const double rate : correlated.rate) require_total(largest, rate);
    require_purposes({purposes.independent.library_size, purposes.independent.draw,
                      purposes.independent.inflation, purposes.factor, purposes.gene});
    // no gene needs a factor where there is none
    std::vector<double> factors(n == 0 ? 0 : n_factors);
    RowCountsMemory memory(n_genes);
    return at_level(level, [&](auto at) {
        return bulkgen::copula<at.level>(rows, independent, correlated, key, purposes, first_cell,
                                         memory.view(), factors);
    });
}

}  // namespace bulkgen::checked
