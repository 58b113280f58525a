#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "bulkgen/multinomial.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

struct Table {
    explicit Table(const std::vector<double>& weights) : threshold(weights.size()), other(weights.size()) {
        std::vector<std::int64_t> mass(weights.size());
        std::vector<std::int32_t> order(weights.size());
        alias_table<Level::baseline>(weights, mass, order, threshold, other);
    }
    AliasTable view() const { return {threshold, other}; }
    std::vector<std::uint64_t> threshold;
    std::vector<std::int32_t> other;
};

/// Every word of a grid: how often each gene comes out.
void test_alias() {
    const Table table({1.0, 0.0, 2.0, 5.0, 0.0, 8.0});
    std::vector<double> seen(6);
    for (std::uint32_t i = 0; i < 16000; ++i) {
        // the middle of the i-th of 16000 even parts of [0, 2^64)
        const std::uint64_t word = ~std::uint64_t{0} / 16000 * i + ~std::uint64_t{0} / 32000;
        seen[static_cast<std::size_t>(alias_gene(table.view(), static_cast<std::uint32_t>(word >> 32),
                                                 static_cast<std::uint32_t>(word)))] += 1.0;
    }
    CHECK(seen[1] == 0.0 && seen[4] == 0.0);
    for (const auto& [gene, share] : {std::pair{0, 1.0}, {2, 2.0}, {3, 5.0}, {5, 8.0}}) {
        CHECK(std::abs(seen[static_cast<std::size_t>(gene)] - share * 1000.0) <= 6.0);
    }
    CHECK(alias_gene(table.view(), 0, 0) >= 0 && alias_gene(table.view(), 0, 0) < 6);
    CHECK(alias_gene(table.view(), ~0U, ~0U) < 6);
    const Table one({3.0});
    CHECK(alias_gene(one.view(), ~0U, ~0U) == 0);
}

void test_row_counts() {
    std::vector<std::uint32_t> counts(130);
    std::vector<std::uint64_t> touched(3);
    const RowCountsScratch scratch{counts, touched};
    RowCounts row(scratch);
    std::vector<std::int64_t> indptr(2);
    std::vector<std::int32_t> columns(4);
    std::vector<float> values(4);
    const SparseRows rows{indptr, columns, values};
    for (const std::int32_t gene : {129, 0, 64, 63, 129}) row.add(gene);
    row.add(5, 0);  // nothing of a gene makes no entry
    CHECK(row.write(rows, 0) == 4);
    CHECK((columns == std::vector<std::int32_t>{0, 63, 64, 129}));
    CHECK((values == std::vector<float>{1, 1, 1, 2}));
    for (const std::int32_t gene : {1, 2}) row.add(gene);
    CHECK(row.write(rows, 3) == RowCounts::no_room);
    CHECK(std::accumulate(counts.begin(), counts.end(), 0U) == 0);
    CHECK(row.write(rows, 4) == 4);
}

}  // namespace

int main() {
    test_alias();
    test_row_counts();
    const Table table({1.0, 0.0, 2.0, 5.0, 0.0, 8.0});
    const std::vector<double> sizes{0.0, 40.0, 1000.0};
    return tests::at_each_level([&](auto level) {
        for (const double concentration : {HUGE_VAL, 3.0}) {
            for (const bool poisson_total : {false, true}) {
                const MultinomialPlan plan{table.view(), sizes, poisson_total, concentration};
                std::vector<std::uint32_t> counts(6);
                std::vector<std::uint64_t> touched(1);
                std::vector<std::int32_t> urn(std::isfinite(concentration) ? urn_size(1000.0) : 0);
                std::vector<std::int64_t> indptr(101);
                std::vector<std::int32_t> columns(600);
                std::vector<float> values(600);
                const auto draw = [&](std::size_t cells, std::size_t room, std::uint64_t first) {
                    const SparseRows rows{std::span(indptr).first(cells + 1), std::span(columns).first(room),
                                          std::span(values).first(room)};
                    return multinomial<level.level>(rows, plan, 9, {8, 10}, first, {counts, touched}, urn);
                };
                CHECK(draw(100, 600, 0) == 100);
                const std::vector<std::int64_t> ends = indptr;
                const std::vector<float> whole = values;
                for (std::size_t c = 0; c < 100; ++c) {
                    const float total =
                        std::accumulate(whole.begin() + ends[c], whole.begin() + ends[c + 1], 0.0F);
                    if (!poisson_total) CHECK(total == 0.0F || total == 40.0F || total == 1000.0F);
                }
                CHECK(draw(100, static_cast<std::size_t>(ends[30]), 0) >= 30);
                CHECK(draw(1, 6, 50) == 1);
                CHECK(indptr[1] == ends[51] - ends[50]);
                for (std::int64_t i = 0; i < indptr[1]; ++i) {
                    CHECK(values[static_cast<std::size_t>(i)] ==
                          whole[static_cast<std::size_t>(ends[50] + i)]);
                }
            }
        }
    });
}
