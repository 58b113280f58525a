#include <vector>

#include "bulkgen/group_sums.hpp"
#include "check.hpp"

using namespace bulkgen;

template <Level level>
void test() {
    // rows: {g0: 1, g70: 2}, {g70: 5}, {}, {g1: 0 (explicit), g70: 7}; a column outside the genes is skipped
    const std::vector<std::int64_t> indptr{0, 2, 3, 3, 6};
    const std::vector<std::int32_t> indices{0, 70, 70, 1, 70, 99};
    const std::vector<std::int32_t> data{1, 2, 5, 0, 7, 3};
    const std::vector<std::int64_t> rows{1, 0, 3, 2}, offsets{0, 2, 2, 4};
    const Csr<std::int32_t, std::int32_t> matrix{indptr, indices, data};
    const Groups groups{rows, offsets};
    std::vector<std::uint64_t> seen(2);
    std::vector<std::int64_t> counts(3), totals(71);
    group_sums_count<level>(matrix, groups, 71, 0, 3, std::span(seen), std::span(counts));
    CHECK((counts == std::vector<std::int64_t>{2, 0, 1}));
    const std::vector<std::int64_t> out_indptr{0, 2, 2, 3};
    std::vector<std::int32_t> out_indices(3, -1);
    std::vector<std::int64_t> out_data(3, -1);
    // group by group equals all at once
    for (std::size_t group = 0; group < 3; ++group) {
        group_sums<level>(matrix, groups, 71, group, group + 1, std::span(seen), std::span(totals),
                          std::span(out_indptr), std::span(out_indices), std::span(out_data));
    }
    CHECK((out_indices == std::vector<std::int32_t>{0, 70, 70}));
    CHECK((out_data == std::vector<std::int64_t>{1, 7, 7}));
    CHECK((seen == std::vector<std::uint64_t>(2)) && (totals == std::vector<std::int64_t>(71)));
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
