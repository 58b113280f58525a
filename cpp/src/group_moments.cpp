#include "bulkgen/group_moments.hpp"

#include "bulkgen/groups.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen {

template <Level level, typename Value, typename Index>
RowsAdded group_moments_integer(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                                std::size_t first_group, std::size_t last_group,
                                std::span<IntegerMoments> out) noexcept {
    RowsAdded added;
    for (std::size_t group = first_group; group < last_group; ++group) {
        IntegerMoments* moments = out.data() + group * genes.all;
        const auto add = [moments](const Index* columns, const Value* values, std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) {
                const auto count = static_cast<std::int64_t>(values[i]);
                // unsigned: what does not fit wraps, and the caller learns of it from the largest value
                const auto bits = static_cast<std::uint64_t>(count);
                IntegerMoments& gene = moments[columns[i]];
                gene.nonzeros = static_cast<std::int64_t>(static_cast<std::uint64_t>(gene.nonzeros) +
                                                          (count != 0 ? 1 : 0));
                gene.sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(gene.sum) + bits);
                gene.sum_squares =
                    static_cast<std::int64_t>(static_cast<std::uint64_t>(gene.sum_squares) + bits * bits);
                gene.largest = count > gene.largest ? count : gene.largest;
            }
        };
        if (!add_rows<true>(matrix, groups, group, genes, added, add)) break;
    }
    return added;
}

template <Level level, typename Value, typename Index>
RowsAdded group_moments_real(const Csr<Value, Index>& matrix, const Groups& groups, const GeneRange& genes,
                             std::size_t first_group, std::size_t last_group,
                             std::span<RealMoments> out) noexcept {
    RowsAdded added;
    for (std::size_t group = first_group; group < last_group; ++group) {
        RealMoments* moments = out.data() + group * genes.all;
        const auto add = [moments](const Index* columns, const Value* values, std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) {
                const auto x = static_cast<double>(values[i]);
                if (x == 0) continue;
                RealMoments& gene = moments[columns[i]];
                gene.nonzeros += 1;
                gene.sum += x;
                const double delta = x - gene.mean;
                const double mean = gene.mean + delta / gene.nonzeros;
                gene.mean = mean;
                gene.squares += delta * (x - mean);
                gene.largest = x > gene.largest ? x : gene.largest;
            }
        };
        if (!add_rows<false>(matrix, groups, group, genes, added, add)) break;
    }
    return added;
}

#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                                    \
    template RowsAdded group_moments_integer<Level::BULKGEN_LEVEL, VALUE, INDEX>(            \
        const Csr<VALUE, INDEX>&, const Groups&, const GeneRange&, std::size_t, std::size_t, \
        std::span<IntegerMoments>) noexcept;                                                 \
    template RowsAdded group_moments_real<Level::BULKGEN_LEVEL, VALUE, INDEX>(               \
        const Csr<VALUE, INDEX>&, const Groups&, const GeneRange&, std::size_t, std::size_t, \
        std::span<RealMoments>) noexcept;
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE

}  // namespace bulkgen
