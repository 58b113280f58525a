#include "bulkgen/thin_rows.hpp"

#include <cmath>

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

/// What one word decides: how many of n <= 8 molecules are kept. For each n the chances that more than 0, 1,
/// ... are, times 2^32 and cut into a whole number and the rest; a word equal to a whole number leaves it to
/// the rest.
class SmallBinomials {
  public:
    static constexpr std::size_t most = 8;

    explicit SmallBinomials(double p) noexcept {
        const double kept = p > 0.0 ? (p < 1.0 ? p : 1.0) : 0.0;
        double coefficients[most + 1] = {1.0};
        double kept_power[most + 1] = {1.0}, lost_power[most + 1] = {1.0};
        for (std::size_t n = 1; n <= most; ++n) {
            kept_power[n] = kept_power[n - 1] * kept;
            lost_power[n] = lost_power[n - 1] * (1.0 - kept);
            for (std::size_t k = n; k > 0; --k) coefficients[k] += coefficients[k - 1];
            // from the rarest side on, so that small chances keep their precision
            double more = 0.0;
            for (std::size_t k = n; k > 0; --k) {
                more += coefficients[k] * kept_power[k] * lost_power[n - k];
                const double scaled = (more < 1.0 ? more : 1.0) * 0x1p32;
                const double whole = scaled < 0x1p32 ? std::floor(scaled) : 0x1p32 - 1.0;
                whole_[n][k - 1] = static_cast<std::uint32_t>(whole);
                rest_[n][k - 1] = scaled - whole;
            }
        }
    }

    /// The whole number for one molecule.
    std::uint32_t whole() const noexcept { return whole_[1][0]; }

    std::int64_t count(std::size_t n, std::uint32_t word, WordStream& further) const noexcept {
        std::int64_t below = 0, equal = 0;
        for (std::size_t k = 0; k < most; ++k) {
            below += word < whole_[n][k] ? 1 : 0;
            equal += word == whole_[n][k] ? 1 : 0;
        }
        if (equal == 0) return below;
        const double u = further.uniform();
        for (std::size_t k = 0; k < most; ++k) below += word == whole_[n][k] && u < rest_[n][k] ? 1 : 0;
        return below;
    }

  private:
    std::uint32_t whole_[most + 1][most] = {};
    double rest_[most + 1][most] = {};
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
        const SmallBinomials small(p);
        const std::uint32_t whole = small.whole();
        const std::size_t words_of_entries = (n_entries + tile_size - 1) / tile_size * tile_size;
        WordStream further(key, purpose, first_cell + r, words_of_entries);
        for (std::size_t first = 0; first < n_entries; first += tile_size) {
            const std::size_t n = n_entries - first < tile_size ? n_entries - first : tile_size;
            const Value* values = matrix.data.data() + begin + first;
            const Index* columns = matrix.indices.data() + begin + first;
            alignas(64) std::uint32_t words[tile_size];
            alignas(64) float kept[tile_size];
            alignas(64) std::uint8_t single[tile_size];
            std::uint16_t others[tile_size + 1];
            philox_tile(key, purpose, first_cell + r, first, words);
            for (std::size_t i = 0; i < n; ++i) {
                kept[i] = words[i] < whole ? 1.0F : 0.0F;
                single[i] = (values[i] == Value{1} ? 1 : 0) & (words[i] != whole ? 1 : 0);
            }
            std::size_t n_others = 0;
            for (std::size_t i = 0; i < n; ++i) {
                others[n_others] = static_cast<std::uint16_t>(i);
                n_others += 1U - single[i];
            }
            for (std::size_t j = 0; j < n_others; ++j) {
                const std::size_t i = others[j];
                const std::int64_t count = molecules(values[i]);
                kept[i] =
                    static_cast<float>(count <= std::int64_t{SmallBinomials::most}
                                           ? small.count(static_cast<std::size_t>(count), words[i], further)
                                           : binomial(further, count, p));
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
