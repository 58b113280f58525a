#include "bulkgen/group_sums.hpp"

#include <bit>

#include "bulkgen/instantiate.hpp"

namespace bulkgen {

template <Level level, typename Value, typename Index>
void group_sums_count(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                      std::size_t first_group, std::size_t last_group, std::span<std::uint64_t> seen,
                      std::span<std::int64_t> out) noexcept {
    for (std::size_t group = first_group; group < last_group; ++group) {
        for_each_nonzero(matrix, groups, group, n_genes, [&](std::size_t gene, Value) {
            seen[gene / 64] |= std::uint64_t{1} << (gene % 64);
        });
        std::int64_t count = 0;
        for (std::uint64_t& word : seen) {
            count += std::popcount(word);
            word = 0;
        }
        out[group] = count;
    }
}

template <Level level, typename Value, typename Index, typename Sum>
void group_sums(const Csr<Value, Index>& matrix, const Groups& groups, std::size_t n_genes,
                std::size_t first_group, std::size_t last_group, std::span<std::uint64_t> seen,
                std::span<Sum> totals, std::span<const std::int64_t> out_indptr,
                std::span<std::int32_t> out_indices, std::span<Sum> out_data) noexcept {
    for (std::size_t group = first_group; group < last_group; ++group) {
        for_each_nonzero(matrix, groups, group, n_genes, [&](std::size_t gene, Value value) {
            seen[gene / 64] |= std::uint64_t{1} << (gene % 64);
            totals[gene] += static_cast<Sum>(value);
        });
        auto slot = static_cast<std::size_t>(out_indptr[group]);
        for (std::size_t word = 0; word < seen.size(); ++word) {
            for (std::uint64_t bits = seen[word]; bits != 0; bits &= bits - 1) {
                const std::size_t gene = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
                out_indices[slot] = static_cast<std::int32_t>(gene);
                out_data[slot] = totals[gene];
                totals[gene] = 0;
                ++slot;
            }
            seen[word] = 0;
        }
    }
}

#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                                                    \
    template void group_sums_count<Level::BULKGEN_LEVEL, VALUE, INDEX>(                                      \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t,                      \
        std::span<std::uint64_t>, std::span<std::int64_t>) noexcept;                                         \
    template void group_sums<Level::BULKGEN_LEVEL, VALUE, INDEX, std::int64_t>(                              \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t,                      \
        std::span<std::uint64_t>, std::span<std::int64_t>, std::span<const std::int64_t>,                    \
        std::span<std::int32_t>, std::span<std::int64_t>) noexcept;                                          \
    template void group_sums<Level::BULKGEN_LEVEL, VALUE, INDEX, double>(                                    \
        const Csr<VALUE, INDEX>&, const Groups&, std::size_t, std::size_t, std::size_t,                      \
        std::span<std::uint64_t>, std::span<double>, std::span<const std::int64_t>, std::span<std::int32_t>, \
        std::span<double>) noexcept;
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE

}  // namespace bulkgen
