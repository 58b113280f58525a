#include "bulkgen/negative_binomial.hpp"

#include "bulkgen/negative_binomial_rows.hpp"

namespace bulkgen {

template <Level level>
std::size_t negative_binomial(std::uint64_t key, const NegativeBinomialPurposes& purposes,
                              std::uint64_t first_cell, const NegativeBinomialPlan& plan,
                              std::span<std::uint32_t> counts, std::span<std::uint64_t> touched,
                              const SparseRows& rows) noexcept {
    return negative_binomial_rows(key, purposes, first_cell, plan, counts, touched, rows,
                                  [](std::uint64_t, double, RowCounts&) {});
}

template std::size_t negative_binomial<Level::BULKGEN_LEVEL>(std::uint64_t, const NegativeBinomialPurposes&,
                                                             std::uint64_t, const NegativeBinomialPlan&,
                                                             std::span<std::uint32_t>, std::span<std::uint64_t>,
                                                             const SparseRows&) noexcept;

}  // namespace bulkgen
