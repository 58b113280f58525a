// Rank-value encoding of one row: what rank_tokens runs over a sparse matrix, and what a kernel that makes
// rows runs on each of them without storing a matrix. Source: Theodoris et al., Nature 618:616 (2023);
// docs/design/tokens.md for the semantics, docs/design/kernels.md for the algorithm.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

namespace bulkgen {

/// What each column of a matrix means to a model.
struct ColumnTokens {
    std::span<const std::int32_t> token;         // -1: not in the vocabulary
    std::span<const double> median;              // > 0
    std::span<const std::int32_t> first_column;  // first column of the same gene; empty: no gene has two
};

struct RankLimits {
    std::size_t most_genes;  // genes kept per cell, special tokens not counted
    std::int32_t cls;        // put first; -1: none
    std::int32_t eos;        // put last; -1: none
};

/// One cell. Columns strictly ascend; without them the row is dense: entry i is column i.
template <typename Value, typename Index>
struct Row {
    const Index* columns;
    const Value* values;
    std::size_t size;
};

/// Digits of the two sorting passes; a row's counts of both digits fit into the first-level cache.
static constexpr unsigned most_digit_bits = 11;
static constexpr std::size_t histogram_size = std::size_t{2} << most_digit_bits;

/// The sum of the columns of one gene: exact for integers, else in column order.
template <typename Value>
using GeneSum = std::conditional_t<std::is_integral_v<Value>, std::uint64_t, double>;

/// What encode_row works in, allocated once for many rows by the caller.
template <typename Value>
struct RowScratch {
    std::span<double> divisor;           // columns + 1, filled by fill_divisors
    std::span<GeneSum<Value>> sums;      // columns, zeros; empty where first_column is
    std::span<std::uint32_t> histogram;  // histogram_size
    std::span<std::int64_t> keys;        // the longest row, as all below
    std::span<std::uint64_t> packed;     // a gene's sorting digits above its entry in the row
    std::span<std::uint64_t> sorted;
    std::span<std::uint32_t> shared;  // entries that stand for genes of several columns
};

struct EncodedRow {
    std::size_t genes;   // with a token and a count that is not zero, before the cut
    std::size_t tokens;  // written, special tokens included
};

/// What counts are divided by: the median; 0 for a column without token and for the one after the last, where
/// columns out of range are sent; minus the median where a gene has several columns, which are added first.
static inline void fill_divisors(const ColumnTokens& columns, std::span<double> divisor) noexcept {
    const std::size_t n = columns.token.size();
    for (std::size_t c = 0; c < n; ++c) divisor[c] = columns.token[c] < 0 ? 0.0 : columns.median[c];
    divisor[n] = 0.0;
    for (std::size_t c = 0; c < columns.first_column.size(); ++c) {
        const auto first = static_cast<std::size_t>(columns.first_column[c]);
        if (first == c || columns.token[c] < 0) continue;
        divisor[c] = -columns.median[c];
        divisor[first] = -columns.median[first];
    }
}

/// A value's key: the bits of value / median, which order as the quotients do, plus 1. 0: no gene of the
/// cell.
static constexpr std::int64_t no_gene = 0;
/// A column whose gene has several; it gets a key when they are added.
static constexpr std::int64_t shared_gene = std::numeric_limits<std::int64_t>::min();

static constexpr std::int64_t largest_key = std::numeric_limits<std::int64_t>::max();

static inline std::int64_t key_of(double quotient) noexcept {
    // unsigned: a NaN may wrap
    return static_cast<std::int64_t>(std::bit_cast<std::uint64_t>(quotient) + 1);
}

struct KeyRange {
    std::int64_t smallest = largest_key;
    std::int64_t largest = no_gene;
    std::size_t genes = 0;
    bool shared = false;
};

/// The keys of a row. One division per entry, in a loop without branches that vectorises.
template <bool dense, typename Value, typename Index>
static KeyRange fill_keys(const Row<Value, Index>& row, std::span<const double> divisor,
                          std::int64_t* keys) noexcept {
    using Unsigned = std::make_unsigned_t<Index>;
    // copies, since the keys could overlap with what is reached through the row
    const Index* const columns = row.columns;
    const Value* const values = row.values;
    const double* const divisors = divisor.data();
    const std::size_t n = row.size;
    const auto outside = static_cast<Unsigned>(divisor.size() - 1);
    // masks, not branches: a loop with control flow does not vectorise
    const auto where = [](bool condition) { return -static_cast<std::int64_t>(condition); };
    for (std::size_t i = 0; i < n; ++i) {
        double divide_by;
        if constexpr (dense) {
            divide_by = divisors[i];
        } else {
            const auto column = static_cast<Unsigned>(columns[i]);
            divide_by = divisors[static_cast<Index>(column < outside ? column : outside)];
        }
        const auto value = static_cast<double>(values[i]);
        const std::int64_t key = key_of(value / divide_by);
        keys[i] =
            ((key & where(divide_by > 0.0)) | (shared_gene & where(divide_by < 0.0))) & where(value > 0.0);
    }
    std::int64_t smallest = largest_key, largest = no_gene, every = 0, genes = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::int64_t key = keys[i];
        const std::int64_t present = (key & where(key > no_gene)) | (largest_key & where(key <= no_gene));
        smallest = present < smallest ? present : smallest;
        largest = key > largest ? key : largest;
        genes -= where(key > no_gene);
        every |= key;
    }
    KeyRange range;
    range.smallest = smallest;
    range.largest = largest;
    range.genes = static_cast<std::size_t>(genes);
    range.shared = every < 0;
    return range;
}

template <typename Value, typename Index>
static std::size_t column_of(const Row<Value, Index>& row, std::size_t entry) noexcept {
    return row.columns == nullptr ? entry : static_cast<std::size_t>(row.columns[entry]);
}

/// The sum as a number: sums of integers are kept unsigned, so that they cannot overflow into undefined
/// behaviour.
template <typename Value>
static auto number(GeneSum<Value> sum) noexcept {
    return static_cast<std::conditional_t<std::is_integral_v<Value>, std::int64_t, double>>(sum);
}

/// A sum of integers that passes the largest one stays there; it is never 0 again.
template <typename Value>
static GeneSum<Value> add_count(GeneSum<Value> sum, Value value) noexcept {
    const GeneSum<Value> more = sum + static_cast<GeneSum<Value>>(value);
    if constexpr (std::is_integral_v<Value>) {
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        return more > most ? most : more;
    }
    return more;
}

/// Add the columns of each gene that has several; the first of its entries gets the key, and stands for the
/// gene. Returns how many such genes the row has.
template <typename Value, typename Index>
static std::size_t add_shared_genes(const ColumnTokens& columns, const Row<Value, Index>& row,
                                    const RowScratch<Value>& scratch, KeyRange& range) noexcept {
    std::size_t found = 0;
    for (std::size_t i = 0; i < row.size; ++i) {
        if (scratch.keys[i] != shared_gene) continue;
        const auto first = static_cast<std::size_t>(columns.first_column[column_of(row, i)]);
        // what is added is above zero
        if (scratch.sums[first] == 0) scratch.shared[found++] = static_cast<std::uint32_t>(i);
        scratch.sums[first] = add_count<Value>(scratch.sums[first], row.values[i]);
        scratch.keys[i] = no_gene;
    }
    for (const std::uint32_t i : scratch.shared.first(found)) {
        const auto first = static_cast<std::size_t>(columns.first_column[column_of(row, i)]);
        const std::int64_t key =
            key_of(static_cast<double>(number<Value>(scratch.sums[first])) / columns.median[first]);
        // only a sum that overflowed is not above zero
        if (key <= no_gene) continue;
        scratch.keys[i] = key;
        range.smallest = std::min(range.smallest, key);
        range.largest = std::max(range.largest, key);
        ++range.genes;
    }
    return found;
}

namespace {

/// How far a key lies below the largest, in steps that two digits number.
struct Quantiser {
    std::int64_t largest;
    unsigned digit_bits;
    unsigned shift;

    Quantiser(const KeyRange& range, unsigned bits) noexcept : largest(range.largest), digit_bits(bits) {
        const auto width =
            static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(range.largest - range.smallest)));
        shift = width > 2 * digit_bits ? width - 2 * digit_bits : 0;
    }
    std::uint64_t operator()(std::int64_t key) const noexcept {
        return static_cast<std::uint64_t>(largest - key) >> shift;
    }
};

}  // namespace

/// The number of steps, a multiple of what a digit holds, that hold the first most_genes genes.
static inline std::uint64_t steps_to_keep(std::span<const std::int64_t> keys, const Quantiser& quantise,
                                          std::size_t most_genes, std::span<std::uint32_t> counts) noexcept {
    const std::size_t digits = std::size_t{1} << quantise.digit_bits;
    std::fill_n(counts.begin(), digits + 1, 0U);
    for (const std::int64_t key : keys) {
        const std::uint64_t digit = quantise(key) >> quantise.digit_bits;
        ++counts[key > no_gene ? digit : digits];
    }
    std::size_t seen = 0, digit = 0;
    while (digit < digits && seen < most_genes) seen += counts[digit++];
    return static_cast<std::uint64_t>(digit) << quantise.digit_bits;
}

/// Order genes by their steps, stably: a counting sort of each digit.
static inline void sort_by_steps(std::span<std::uint64_t> genes, std::span<std::uint64_t> other,
                                 unsigned digit_bits, std::span<std::uint32_t> histogram) noexcept {
    const std::size_t digits = std::size_t{1} << digit_bits;
    std::uint32_t* const low = histogram.data();
    std::uint32_t* const high = low + digits;
    std::fill_n(low, 2 * digits, 0U);
    const std::uint64_t mask = digits - 1;
    for (const std::uint64_t gene : genes) {
        ++low[(gene >> 32) & mask];
        ++high[(gene >> 32) >> digit_bits];
    }
    std::uint32_t before_low = 0, before_high = 0;
    for (std::size_t digit = 0; digit < digits; ++digit) {
        const std::uint32_t here_low = low[digit], here_high = high[digit];
        low[digit] = before_low;
        high[digit] = before_high;
        before_low += here_low;
        before_high += here_high;
    }
    for (const std::uint64_t gene : genes) other[low[(gene >> 32) & mask]++] = gene;
    for (const std::uint64_t gene : other.first(genes.size()))
        genes[high[(gene >> 32) >> digit_bits]++] = gene;
}

/// Genes of one step above which the step is divided further rather than compared gene by gene.
static constexpr std::size_t most_compared = 64;

/// Put genes of the same step into their order. False where a step holds too many to compare them.
template <typename Before>
static bool settle_steps(std::span<std::uint64_t> genes, const Before& before, std::size_t most) noexcept {
    for (std::size_t j = 1; j < genes.size(); ++j) {
        if (genes[j] >> 32 != genes[j - 1] >> 32) continue;
        const std::size_t first = j - 1;
        while (j < genes.size() && genes[j] >> 32 == genes[first] >> 32) ++j;
        const auto together = genes.subspan(first, j - first);
        // ties mostly are in the order of their columns already
        if (std::is_sorted(together.begin(), together.end(), before)) continue;
        if (together.size() > most) return false;
        std::sort(together.begin(), together.end(), before);
    }
    return true;
}

/// Order genes by the whole of their keys, stably, and number the different keys in place of steps.
static inline void sort_by_keys(std::span<std::uint64_t> genes, std::span<std::uint64_t> other,
                                const std::int64_t* keys, std::int64_t largest, unsigned digit_bits,
                                std::span<std::uint32_t> histogram) noexcept {
    const std::uint64_t mask = (std::uint64_t{1} << (2 * digit_bits)) - 1;
    for (unsigned shift = 0; shift < 64; shift += 2 * digit_bits) {
        for (std::uint64_t& gene : genes) {
            const auto entry = static_cast<std::uint32_t>(gene);
            gene = ((static_cast<std::uint64_t>(largest - keys[entry]) >> shift) & mask) << 32 | entry;
        }
        sort_by_steps(genes, other, digit_bits, histogram);
    }
    std::uint64_t number = 0;
    std::int64_t previous = largest;
    for (std::uint64_t& gene : genes) {
        const auto entry = static_cast<std::uint32_t>(gene);
        number += keys[entry] != previous;
        previous = keys[entry];
        gene = number << 32 | entry;
    }
}

/// The first `kept` genes of a row in their order, an entry in the lower half of each; more may follow.
template <typename Value, typename Before>
static std::span<const std::uint64_t> rank_genes(std::size_t size, std::size_t kept, const KeyRange& range,
                                                 const RowScratch<Value>& scratch,
                                                 const Before& before) noexcept {
    const std::int64_t* const keys = scratch.keys.data();
    const Quantiser quantise(range, range.genes < 1024 ? 8 : most_digit_bits);
    const std::uint64_t steps =
        kept == range.genes ? std::uint64_t{1} << (2 * quantise.digit_bits)
                            : steps_to_keep(scratch.keys.first(size), quantise, kept, scratch.histogram);
    std::uint64_t* const packed = scratch.packed.data();
    std::size_t n = 0;
    for (std::size_t i = 0; i < size; ++i) {
        const std::uint64_t step = quantise(keys[i]);
        packed[n] = step << 32 | i;
        n += static_cast<std::size_t>(keys[i] > no_gene) & static_cast<std::size_t>(step < steps);
    }
    const auto genes = scratch.packed.first(n);
    sort_by_steps(genes, scratch.sorted, quantise.digit_bits, scratch.histogram);
    if (!settle_steps(genes, before, most_compared)) {
        sort_by_keys(genes, scratch.sorted, keys, range.largest, quantise.digit_bits, scratch.histogram);
        settle_steps(genes, before, n);
    }
    return genes;
}

/// The tokens of one row, from out[0] on; out_counts, where it is not empty, gets their counts (0 for special
/// tokens). Where out is too short, nothing is written and tokens > out.size().
///
/// Pre:  counts finite and >= 0; a dense row has no more entries than there are columns; out_counts is empty
///       or as long as out; first_column[c] <= c, and is its own first column.
/// Law:  descending value; ties by ascending column, a gene of several columns standing at its first; genes
///       without token or count are left out. The order is total, so every algorithm gives the same result.
/// Cost: linear in the row; n log n in equal keys of which some belong to genes of several columns.
template <typename Value, typename Index, typename Token>
static EncodedRow encode_row(const ColumnTokens& columns, const RankLimits& limits,
                             const Row<Value, Index>& row, const RowScratch<Value>& scratch,
                             std::span<Token> out, std::span<float> out_counts) noexcept {
    std::int64_t* const keys = scratch.keys.data();
    KeyRange range = row.columns == nullptr ? fill_keys<true>(row, scratch.divisor, keys)
                                            : fill_keys<false>(row, scratch.divisor, keys);
    const std::size_t shared = range.shared ? add_shared_genes(columns, row, scratch, range) : 0;
    const auto first_of = [&](std::uint32_t entry) {
        const std::size_t column = column_of(row, entry);
        return columns.first_column.empty() ? column : static_cast<std::size_t>(columns.first_column[column]);
    };
    const std::size_t kept = std::min(range.genes, limits.most_genes);
    const std::size_t special = (limits.cls >= 0) + static_cast<std::size_t>(limits.eos >= 0);
    const EncodedRow result{range.genes, kept + special};
    if (result.tokens <= out.size()) {
        const auto genes = rank_genes(row.size, kept, range, scratch, [&](std::uint64_t a, std::uint64_t b) {
            const auto i = static_cast<std::uint32_t>(a), j = static_cast<std::uint32_t>(b);
            return keys[i] > keys[j] || (keys[i] == keys[j] && first_of(i) < first_of(j));
        });
        const std::size_t first = limits.cls >= 0;
        const std::int32_t* const token = columns.token.data();
        Token* const place = out.data() + first;
        if (row.columns == nullptr) {
            for (std::size_t j = 0; j < kept; ++j) {
                place[j] = static_cast<Token>(token[static_cast<std::uint32_t>(genes[j])]);
            }
        } else {
            const Index* const column = row.columns;
            for (std::size_t j = 0; j < kept; ++j) {
                place[j] = static_cast<Token>(token[column[static_cast<std::uint32_t>(genes[j])]]);
            }
        }
        if (limits.cls >= 0) out[0] = static_cast<Token>(limits.cls);
        if (limits.eos >= 0) out[first + kept] = static_cast<Token>(limits.eos);
        if (!out_counts.empty()) {
            std::fill_n(out_counts.begin(), result.tokens, 0.0F);
            for (std::size_t j = 0; j < kept; ++j) {
                const auto i = static_cast<std::uint32_t>(genes[j]);
                const bool alone = scratch.divisor[column_of(row, i)] > 0.0;
                out_counts[first + j] = alone ? static_cast<float>(row.values[i])
                                              : static_cast<float>(number<Value>(scratch.sums[first_of(i)]));
            }
        }
    }
    for (const std::uint32_t i : scratch.shared.first(shared)) scratch.sums[first_of(i)] = 0;
    return result;
}

}  // namespace bulkgen
