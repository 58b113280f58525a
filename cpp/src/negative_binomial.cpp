#include "bulkgen/negative_binomial.hpp"

#include "bulkgen/negative_binomial_rows.hpp"

namespace bulkgen {

template <Level level>
std::size_t negative_binomial(const SparseRows& rows, const NegativeBinomialPlan& plan, std::uint64_t key,
                              const NegativeBinomialPurposes& purposes, std::uint64_t first_cell,
                              const RowCountsScratch& scratch) noexcept {
    return negative_binomial_rows(rows, plan, key, purposes, first_cell, scratch,
                                  [](std::uint64_t, double, RowCounts&) {});
}

template std::size_t negative_binomial<Level::BULKGEN_LEVEL>(const SparseRows&, const NegativeBinomialPlan&,
                                                             std::uint64_t, const NegativeBinomialPurposes&,
                                                             std::uint64_t, const RowCountsScratch&) noexcept;

}  // namespace bulkgen
