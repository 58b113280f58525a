#include "bulkgen/group_moments.hpp"

#include "bulkgen/groups.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen {

namespace {

/// Call visit(slot, value) for every non-zero entry of the groups, slot being its place in the accumulators.
template <typename Value, typename Index, typename Visit>
void for_each_slot(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                   std::size_t first_group, std::size_t last_group, Visit&& visit) noexcept {
    for (std::size_t group = first_group; group < last_group; ++group) {
        const std::size_t base = group * n_genes;
        for_each_nonzero(matrix, groups, group, n_genes,
                         [&](std::size_t gene, Value value) { visit(base + gene, value); });
    }
}

}  // namespace

template <Level level, typename Value, typename Index>
void group_moments_integer(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                           std::size_t first_group, std::size_t last_group,
                           const IntegerMoments& out) noexcept {
    for_each_slot(matrix, groups, n_genes, first_group, last_group, [&](std::size_t slot, Value value) {
        const auto count = static_cast<std::int64_t>(value);
        const auto real = static_cast<double>(value);
        out.nonzeros[slot] += 1;
        out.sum[slot] += count;
        out.sum_squares[slot] += count * count;
        if (real > out.largest[slot]) out.largest[slot] = real;
    });
}

template <Level level, typename Value, typename Index>
void group_moments_real(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                        std::size_t first_group, std::size_t last_group, const RealMoments& out) noexcept {
    for_each_slot(matrix, groups, n_genes, first_group, last_group, [&](std::size_t slot, Value value) {
        const auto x = static_cast<double>(value);
        out.nonzeros[slot] += 1;
        out.sum[slot] += x;
        const double delta = x - out.mean[slot];
        const double mean = out.mean[slot] + delta / static_cast<double>(out.nonzeros[slot]);
        out.mean[slot] = mean;
        out.squares[slot] += delta * (x - mean);
        if (x > out.largest[slot]) out.largest[slot] = x;
    });
}

#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                               \
    template void group_moments_integer<Level::BULKGEN_LEVEL, VALUE, INDEX>(            \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t, \
        const IntegerMoments&) noexcept;                                                \
    template void group_moments_real<Level::BULKGEN_LEVEL, VALUE, INDEX>(               \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t, \
        const RealMoments&) noexcept;
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE

}  // namespace bulkgen
