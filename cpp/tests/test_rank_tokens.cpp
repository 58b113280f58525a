#include <algorithm>
#include <vector>

#include "bulkgen/rank_tokens.hpp"
#include "bulkgen/row_scratch.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

template <Level level>
void test_matrix() {
    // column 0 -> 4/2 = 2, 1 -> no token, 2 -> 2/1 = 2 (a tie, after column 0), 3 -> 9/3 = 3, 4 -> stored
    // zero, 5 -> outside
    const std::vector<std::int64_t> indptr{0, 6, 6};
    const std::vector<std::int32_t> indices{0, 1, 2, 3, 4, 5};
    const std::vector<float> data{4, 8, 2, 9, 0, 7};
    const std::vector<std::int32_t> token{10, -1, 12, 13, 14};
    const std::vector<double> median{2, 1, 1, 3, 1};
    const Csr<float, std::int32_t> matrix{indptr, indices, data};
    const ColumnTokens columns{token, median, {}};
    RowScratchMemory<float> scratch(columns, 6);
    std::vector<std::int64_t> lengths(2), genes(2);

    std::vector<std::int16_t> plain(3);
    CHECK(rank_tokens<level>(matrix, columns, {2048, -1, -1}, 0, 2, scratch.view(), std::span(plain),
                             std::span<float>(), std::span(lengths), std::span(genes)) == -1);
    CHECK((plain == std::vector<std::int16_t>{13, 10, 12}));
    CHECK((lengths == std::vector<std::int64_t>{3, 0}));

    std::vector<std::int32_t> special(6);
    std::vector<float> values(6, -1.0F);
    CHECK(rank_tokens<level>(matrix, columns, {2, 2, 3}, 0, 2, scratch.view(), std::span(special),
                             std::span(values), std::span(lengths), std::span(genes)) == -1);
    CHECK((special == std::vector<std::int32_t>{2, 13, 10, 3, 2, 3}));
    CHECK((values == std::vector<float>{0, 9, 4, 0, 0, 0}));
    CHECK((lengths == std::vector<std::int64_t>{4, 2}));
    CHECK((genes == std::vector<std::int64_t>{3, 0}));

    // no room for the second row: the first is whole
    std::vector<std::int32_t> little(5, -1);
    CHECK(rank_tokens<level>(matrix, columns, {2, 2, 3}, 0, 2, scratch.view(), std::span(little),
                             std::span<float>(), std::span(lengths), std::span(genes)) == 1);
    CHECK((little == std::vector<std::int32_t>{2, 13, 10, 3, -1}));
}

template <typename Value>
void test_dense_row_with_shared_genes() {
    // columns 1, 3 and 4 are one gene: 1 + 0 + 3 = 4, which ties with column 2 and stands before it
    const std::vector<std::int32_t> token{5, 6, 7, 6, 6};
    const std::vector<double> median{1, 1, 1, 1, 1};
    const std::vector<std::int32_t> first_column{0, 1, 2, 1, 1};
    const std::vector<Value> row{2, 1, 4, 0, 3};
    const ColumnTokens columns{token, median, first_column};
    RowScratchMemory<Value> scratch(columns, row.size());
    // twice: a row leaves no sums behind
    for (int i = 0; i < 2; ++i) {
        std::vector<std::int32_t> out(3);
        std::vector<float> counts(3);
        const EncodedRow encoded =
            encode_row(columns, {2048, -1, -1}, Row<Value, std::int32_t>{nullptr, row.data(), 5},
                       scratch.view(), std::span(out), std::span(counts));
        CHECK(encoded.genes == 3 && encoded.tokens == 3);
        CHECK((out == std::vector<std::int32_t>{6, 7, 5}));
        CHECK((counts == std::vector<float>{4, 4, 2}));
    }
}

void test_keys_that_steps_do_not_tell_apart() {
    // neighbouring doubles beside one far away, in every order of digits and with a cut among them
    constexpr std::size_t n = 3000;
    std::vector<std::int32_t> token(n);
    std::vector<double> median(n, 1.0), row(n);
    for (std::size_t i = 0; i < n; ++i) {
        token[i] = static_cast<std::int32_t>(i);
        row[i] = 1.0 + static_cast<double>(i * 7919 % n / 2) * 0x1p-52;
    }
    row[17] = 1e300;
    const ColumnTokens columns{token, median, {}};
    RowScratchMemory<double> scratch(columns, n);
    std::vector<std::int32_t> expected(token);
    std::sort(expected.begin(), expected.end(), [&](std::int32_t a, std::int32_t b) {
        const double first = row[static_cast<std::size_t>(a)], second = row[static_cast<std::size_t>(b)];
        return first > second || (first == second && a < b);
    });
    for (const std::size_t most : {std::size_t{1}, std::size_t{100}, n - 1, n}) {
        std::vector<std::int32_t> out(most);
        encode_row(columns, {most, -1, -1}, Row<double, std::int64_t>{nullptr, row.data(), n}, scratch.view(),
                   std::span(out), std::span<float>());
        CHECK(std::equal(out.begin(), out.end(), expected.begin()));
    }
}

template <Level level>
void test() {
    test_matrix<level>();
    test_dense_row_with_shared_genes<float>();
    test_dense_row_with_shared_genes<std::int32_t>();
    test_keys_that_steps_do_not_tell_apart();
}

}  // namespace

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
