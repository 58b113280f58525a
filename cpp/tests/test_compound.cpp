// The compound kernels: donors are a permutation per pass, ratio one is the identity, means are those of the
// plan, and a row without room is neither written nor read.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "bulkgen/copula.hpp"
#include "bulkgen/donor_shift.hpp"
#include "bulkgen/donors.hpp"
#include "bulkgen/negative_binomial.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

constexpr std::size_t n_genes = 200;

/// All that kernels write to, and the table of equal weights.
struct Buffers {
    explicit Buffers(std::size_t cells, std::size_t room)
        : indptr(cells + 1),
          columns(room),
          values(room),
          counts(n_genes),
          touched((n_genes + 63) / 64),
          threshold(n_genes, ~std::uint64_t{0}),
          other(n_genes) {
        for (std::size_t g = 0; g < n_genes; ++g) other[g] = static_cast<std::int32_t>(g);
    }
    SparseRows rows() { return {indptr, columns, values}; }
    RowCountsScratch scratch() { return {counts, touched}; }
    AliasTable table() const { return {threshold, other}; }
    double total() const {
        double sum = 0.0;
        for (std::int64_t i = 0; i < indptr.back(); ++i) sum += values[static_cast<std::size_t>(i)];
        return sum;
    }

    std::vector<std::int64_t> indptr;
    std::vector<std::int32_t> columns;
    std::vector<float> values;
    std::vector<std::uint32_t> counts;
    std::vector<std::uint64_t> touched, threshold;
    std::vector<std::int32_t> other;
};

template <Level level>
void test_donors_are_permuted() {
    for (const std::size_t n : {1U, 2U, 3U, 7U, 64U, 1000U}) {
        std::vector<std::int64_t> donors(n), out(3 * n);
        for (std::size_t i = 0; i < n; ++i) donors[i] = static_cast<std::int64_t>(10 + i);
        choose_donors<level>(1, 14, std::uint64_t{3} << 40, false, donors, out);
        for (std::size_t pass = 0; pass < 3; ++pass) {
            const auto begin = out.begin() + static_cast<std::ptrdiff_t>(pass * n);
            CHECK(std::is_permutation(donors.begin(), donors.end(), begin));
        }
    }
}

template <Level level>
void test_negative_binomial_has_its_mean_and_stops_for_want_of_room() {
    constexpr std::size_t cells = 400;
    const std::vector<double> sizes{500.0}, none, overdispersion(n_genes, 0.3 / n_genes);
    Buffers out(cells, cells * n_genes);
    const NegativeBinomialPlan plan{sizes, out.table(), 1.0, overdispersion, none};
    CHECK(negative_binomial<level>(out.rows(), plan, 5, {8, 12, 13}, 0, out.scratch()) == cells);
    const double mean = 500.0 / n_genes;
    const double deviation = std::sqrt((mean + 0.3 * mean * mean) * n_genes * cells);
    CHECK(std::fabs(out.total() - 500.0 * cells) < 4.0 * deviation);
    Buffers small(cells, n_genes + 10);
    const std::size_t written =
        negative_binomial<level>(small.rows(), plan, 5, {8, 12, 13}, 0, small.scratch());
    CHECK(written >= 1 && written < cells);
    for (std::size_t c = 0; c <= written; ++c) CHECK(small.indptr[c] == out.indptr[c]);
    CHECK(std::ranges::all_of(small.counts, [](std::uint32_t count) { return count == 0; }));
}

template <Level level>
void test_copula_without_correlated_genes_is_negative_binomial() {
    const std::vector<double> sizes{300.0}, none, overdispersion(n_genes, 1.0 / n_genes);
    Buffers first(20, 20 * n_genes), second(20, 20 * n_genes);
    const NegativeBinomialPlan plan{sizes, first.table(), 1.0, overdispersion, none};
    negative_binomial<level>(first.rows(), plan, 5, {8, 12, 13}, 9, first.scratch());
    copula<level>(second.rows(), plan, {{}, {}, {}, {}, {}}, 5, {{8, 12, 13}, 18, 19}, 9, second.scratch(),
                  {});
    CHECK(first.indptr == second.indptr && first.columns == second.columns && first.values == second.values);
}

template <Level level>
void test_donor_shift_of_ratio_one_is_the_identity() {
    const std::vector<std::int64_t> indptr{0, 3, 3, 5}, donor{2, 0, 1, 2};
    const std::vector<std::int32_t> columns{0, 7, 199, 64, 70};
    const std::vector<float> values{1.0F, 500.0F, 2.0F, 3.0F, 9.0F};
    const std::vector<double> sizes{503.0, 0.0, 12.0}, ratio(n_genes, 1.0), log_ratio(n_genes, 0.0), none,
        overdispersion(n_genes, 0.01);
    for (const bool responds : {false, true}) {
        Buffers out(4, 4 * n_genes);
        const DonorShiftPlan plan{
            overdispersion, ratio, responds ? std::span<const double>(log_ratio) : none, 2.0, 3.0, 1.0,
            out.table(),    0.0};
        CHECK(donor_shift<level>(out.rows(), plan, {indptr, columns, values}, sizes, donor, 1,
                                 {15, 16, 17, 12}, 0, out.scratch()) == 4);
        CHECK(out.indptr == (std::vector<std::int64_t>{0, 2, 5, 5, 7}));
        CHECK(out.columns[0] == 64 && out.columns[3] == 7 && out.values[3] == 500.0F &&
              out.values[6] == 9.0F);
    }
}

}  // namespace

int main() {
    return bulkgen::tests::at_each_level([](auto tag) {
        constexpr Level level = decltype(tag)::level;
        test_donors_are_permuted<level>();
        test_negative_binomial_has_its_mean_and_stops_for_want_of_room<level>();
        test_copula_without_correlated_genes_is_negative_binomial<level>();
        test_donor_shift_of_ratio_one_is_the_identity<level>();
    });
}
