#include "bulkgen/thin_rows.hpp"

#include "bulkgen/discrete.hpp"
#include "bulkgen/instantiate.hpp"
#include "bulkgen/word_stream.hpp"

namespace bulkgen {

namespace {

/// The whole number of molecules that a stored value stands for.
template <typename Value>
std::int64_t molecules(Value value) noexcept {
    const auto x = static_cast<double>(value);
    return x >= 1.0 ? static_cast<std::int64_t>(x < detail::most_count ? x : detail::most_count) : 0;
}

/// A word below `whole` keeps a molecule; one equal to it leaves it to a further word, below `rest` / 1.
struct Threshold {
    explicit Threshold(double p) noexcept {
        const double inside = p > 0.0 ? (p < 1.0 ? p : 1.0) : 0.0;
        const double scaled = inside * 0x1p32;
        whole = scaled < 0x1p32 ? static_cast<std::uint32_t>(scaled) : 0xffffffffU;
        rest = scaled - static_cast<double>(whole);
    }
    std::uint32_t whole;
    double rest;
};

}  // namespace

template <Level level, typename Value, typename Index>
std::size_t thin_rows(const SparseRows& rows, const Csr<Value, Index>& matrix,
                      std::span<const double> probability, std::uint64_t key, std::uint32_t purpose,
                      std::uint64_t first_cell) noexcept {
    rows.indptr[0] = 0;
    std::size_t slot = 0;
    for (std::size_t r = 0; r < rows.cells(); ++r) {
        const std::size_t begin = matrix.begin(r), n_entries = matrix.end(r) - begin;
        if (n_entries > rows.columns.size() - slot) return r;
        const double p = probability[r];
        const Threshold threshold(p);
        const std::size_t words_of_entries = (n_entries + tile_size - 1) / tile_size * tile_size;
        WordStream further(key, purpose, first_cell + r, words_of_entries);
        for (std::size_t first = 0; first < n_entries; first += tile_size) {
            const std::size_t n = n_entries - first < tile_size ? n_entries - first : tile_size;
            const Value* values = matrix.data.data() + begin + first;
            const Index* columns = matrix.indices.data() + begin + first;
            alignas(64) std::uint32_t words[tile_size];
            alignas(64) float kept[tile_size];
            alignas(64) std::uint32_t undecided[tile_size];
            philox_tile(key, purpose, first_cell + r, first, words);
            for (std::size_t i = 0; i < n; ++i) {
                kept[i] = words[i] < threshold.whole ? 1.0F : 0.0F;
                const std::uint32_t many = values[i] != Value{1} ? 1 : 0;
                undecided[i] = many | (words[i] == threshold.whole ? 1U : 0U);
            }
            for (std::size_t i = 0; i < n; ++i) {
                if (undecided[i] == 0) continue;
                if (values[i] == Value{1}) {
                    kept[i] = further.uniform() < threshold.rest ? 1.0F : 0.0F;
                } else {
                    kept[i] = static_cast<float>(binomial(further, molecules(values[i]), p));
                }
            }
            for (std::size_t i = 0; i < n; ++i) {
                rows.columns[slot] = static_cast<std::int32_t>(columns[i]);
                rows.values[slot] = kept[i];
                slot += kept[i] > 0.0F ? 1 : 0;
            }
        }
        rows.indptr[r + 1] = static_cast<std::int64_t>(slot);
    }
    return rows.cells();
}

#define BULKGEN_INSTANTIATE(VALUE, INDEX)                                                                   \
    template std::size_t thin_rows<Level::BULKGEN_LEVEL, VALUE, INDEX>(                                     \
        const SparseRows&, const Csr<VALUE, INDEX>&, std::span<const double>, std::uint64_t, std::uint32_t, \
        std::uint64_t) noexcept;
BULKGEN_FOR_EACH_CSR(BULKGEN_INSTANTIATE)
#undef BULKGEN_INSTANTIATE

}  // namespace bulkgen
