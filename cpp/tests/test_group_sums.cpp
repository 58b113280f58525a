#include <limits>
#include <vector>

#include "bulkgen/group_sums.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

// rows: {g0: 1, g70: 2}, {g70: 5}, {}, {g1: 0 (explicit), g70: 7}
struct Case {
    std::vector<std::int64_t> indptr{0, 2, 3, 3, 5};
    std::vector<std::int32_t> indices{0, 70, 70, 1, 70};
    std::vector<float> data{1, 2, 5, 0, 7};
    std::vector<std::int64_t> rows{1, 0, 3, 2}, offsets{0, 2, 2, 4};

    Csr<float, std::int32_t> matrix() const { return {indptr, indices, data}; }
    Groups groups() const { return {rows, offsets}; }
};

template <Level level, typename Sum>
RowsAdded dense(const Case& cells, std::vector<Sum>& out, GeneRange genes = {0, 71, 71}) {
    return group_sums_dense<level>(cells.matrix(), cells.groups(), genes, 0, 3, std::span(out));
}

}  // namespace

template <Level level>
void test() {
    const Case cells;
    std::vector<std::int64_t> expected(3 * 71);
    expected[0] = 1;
    expected[70] = 7;
    expected[2 * 71 + 70] = 7;
    std::vector<std::int64_t> out(3 * 71, -1);
    const RowsAdded added = dense<level>(cells, out);
    CHECK(out == expected && added.bad_row == -1 && added.largest == 7.0);
    // ranges of genes equal all at once
    out.assign(out.size(), -1);
    for (const GeneRange genes : {GeneRange{0, 1, 71}, {1, 70, 71}, {70, 71, 71}}) {
        CHECK(dense<level>(cells, out, genes).bad_row == -1);
    }
    CHECK(out == expected);

    std::vector<std::uint8_t> seen(71);
    std::vector<std::int64_t> counts(3), totals(71);
    CHECK(
        group_sums_count<level>(cells.matrix(), cells.groups(), 71, 0, 3, std::span(seen), std::span(counts))
            .bad_row == -1);
    CHECK((counts == std::vector<std::int64_t>{2, 0, 2}));
    const std::vector<std::int64_t> out_indptr{0, 2, 2, 4};
    std::vector<std::int32_t> out_indices(5, -1);
    std::vector<std::int64_t> out_data(5, -1);
    // group by group equals all at once
    for (std::size_t group = 0; group < 3; ++group) {
        group_sums<level>(cells.matrix(), cells.groups(), 71, group, group + 1, std::span(totals),
                          std::span(out_indptr), std::span(out_indices), std::span(out_data),
                          std::span(counts));
    }
    CHECK((out_indices == std::vector<std::int32_t>{0, 70, 70, 0, -1}));
    CHECK((out_data == std::vector<std::int64_t>{1, 7, 7, 0, -1}));
    CHECK((counts == std::vector<std::int64_t>{2, 0, 1}) && (totals == std::vector<std::int64_t>(71)));

    // what no sum of counts may hold stops the pass at its row
    for (const float wrong : {-1.0F, 0.5F, std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity(), 0x1p63F}) {
        Case bad;
        bad.data[2] = wrong;
        CHECK(dense<level>(bad, out).bad_row == 1);
        std::vector<double> real(out.size());
        CHECK(dense<level>(bad, real).bad_row == (wrong == 0.5F || wrong == 0x1p63F ? -1 : 1));
    }
    Case legal;
    legal.data = {-0.0F, 16777216.0F, 0x1p62F, 0, 1};
    CHECK(dense<level>(legal, out).bad_row == -1 && out[70] == (std::int64_t{1} << 62) + 16777216);
    for (const std::vector<std::int32_t>& columns : {std::vector<std::int32_t>{70, 0, 70, 1, 70},
                                                     {0, 71, 70, 1, 70},
                                                     {-1, 70, 70, 1, 70},
                                                     {7, 7, 70, 1, 70}}) {
        Case bad;
        bad.indices = columns;
        CHECK(dense<level>(bad, out).bad_row == 0);
        CHECK(
            group_sums_count<level>(bad.matrix(), bad.groups(), 71, 0, 3, std::span(seen), std::span(counts))
                .bad_row == 0);
    }
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
