#include <vector>

#include "bulkgen/rank_tokens.hpp"
#include "check.hpp"

using namespace bulkgen;

template <Level level>
void test() {
    // values: column 0 -> 4/2 = 2, 1 -> no token, 2 -> 2/1 = 2 (a tie, after column 0), 3 -> 9/3 = 3, 4 ->
    // stored zero
    const std::vector<std::int64_t> indptr{0, 5, 5};
    const std::vector<std::int32_t> indices{0, 1, 2, 3, 4};
    const std::vector<float> data{4, 8, 2, 9, 0};
    const std::vector<std::int32_t> token{10, -1, 12, 13, 14};
    const std::vector<double> median{2, 1, 1, 3, 1};
    const Csr<float, std::int32_t> matrix{indptr, indices, data};
    const ColumnTokens columns{token, median};
    std::vector<std::int64_t> counts(2);
    count_tokens<level>(matrix, std::span(token), 0, 2, std::span(counts));
    CHECK((counts == std::vector<std::int64_t>{3, 0}));
    std::vector<RankedGene> scratch(5);

    std::vector<std::int16_t> plain(3);
    const std::vector<std::int64_t> plain_offsets{0, 3, 3};
    rank_tokens<level>(matrix, columns, {2048, -1, -1}, 0, 2, std::span(plain_offsets), std::span(scratch),
                       std::span(plain), std::span<float>());
    CHECK((plain == std::vector<std::int16_t>{13, 10, 12}));

    std::vector<std::int32_t> special(6);
    std::vector<float> values(6, -1.0F);
    const std::vector<std::int64_t> offsets{0, 4, 6};
    rank_tokens<level>(matrix, columns, {2, 2, 3}, 0, 2, std::span(offsets), std::span(scratch),
                       std::span(special), std::span(values));
    CHECK((special == std::vector<std::int32_t>{2, 13, 10, 3, 2, 3}));
    CHECK((values == std::vector<float>{0, 9, 4, 0, 0, 0}));
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
