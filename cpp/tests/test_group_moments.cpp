#include <cmath>
#include <vector>

#include "bulkgen/group_moments.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

using Real = Csr<double, std::int64_t>;

template <Level level>
void add(const Real& matrix, const Groups& groups, GeneRange genes, std::vector<RealMoments>& out) {
    CHECK(group_moments_real<level>(matrix, groups, genes, 0, 1, std::span(out)).bad_row == -1);
}

bool same(const RealMoments& a, const RealMoments& b) {
    return a.nonzeros == b.nonzeros && a.sum == b.sum && a.mean == b.mean && a.squares == b.squares &&
           a.largest == b.largest;
}

}  // namespace

template <Level level>
void test() {
    const std::vector<std::int64_t> indptr{0, 2, 3, 5};
    const std::vector<std::int64_t> indices{0, 2, 2, 0, 2};
    const std::vector<double> data{1, 2, 5, 4, 3};
    const Real matrix{indptr, indices, data};
    const std::vector<std::int64_t> rows{0, 1, 2}, offsets{0, 3};
    const Groups all{rows, offsets};
    std::vector<IntegerMoments> whole(3);
    CHECK(group_moments_integer<level>(matrix, all, {0, 3, 3}, 0, 1, std::span(whole)).largest == 5.0);
    CHECK(whole[0].nonzeros == 2 && whole[0].sum == 5 && whole[0].sum_squares == 17 && whole[0].largest == 4);
    CHECK(whole[1].nonzeros == 0 && whole[1].sum == 0 && whole[1].sum_squares == 0 && whole[1].largest == 0);
    CHECK(whole[2].nonzeros == 3 && whole[2].sum == 10 && whole[2].sum_squares == 38 &&
          whole[2].largest == 5);

    std::vector<RealMoments> once(3), blocks(3), ranges(3);
    add<level>(matrix, all, {0, 3, 3}, once);
    // two blocks of rows, or two ranges of genes, give the same accumulators as one
    const std::vector<std::int64_t> first{0, 1}, first_offsets{0, 2}, last{2}, last_offsets{0, 1};
    add<level>(matrix, Groups{first, first_offsets}, {0, 3, 3}, blocks);
    add<level>(matrix, Groups{last, last_offsets}, {0, 3, 3}, blocks);
    add<level>(matrix, all, {0, 2, 3}, ranges);
    add<level>(matrix, all, {2, 3, 3}, ranges);
    for (std::size_t gene = 0; gene < 3; ++gene) {
        CHECK(same(once[gene], blocks[gene]) && same(once[gene], ranges[gene]));
    }
    CHECK(std::abs(once[2].mean - 10.0 / 3.0) < 1e-15 && std::abs(once[2].squares - 14.0 / 3.0) < 1e-14);

    std::vector<double> fractional = data;
    fractional[2] = 0.5;
    CHECK(group_moments_integer<level>(Real{indptr, indices, fractional}, all, {0, 3, 3}, 0, 1,
                                       std::span(whole))
              .bad_row == 1);
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
