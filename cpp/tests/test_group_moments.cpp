#include <cmath>
#include <limits>
#include <vector>

#include "bulkgen/group_moments.hpp"
#include "check.hpp"

using namespace bulkgen;

template <Level level>
void test() {
    const std::vector<std::int64_t> indptr{0, 2, 3, 5};
    const std::vector<std::int64_t> indices{0, 2, 2, 0, 2};
    const std::vector<double> data{1, 2, 5, 4, 3};
    const Csr<double, std::int64_t> matrix{indptr, indices, data};
    const std::vector<std::int64_t> rows{0, 1, 2}, offsets{0, 3};
    const double none = -std::numeric_limits<double>::infinity();
    std::vector<std::int64_t> nonzeros(3), sum(3), squares(3);
    std::vector<double> largest(3, none);
    group_moments_integer<level>(matrix, Groups{rows, offsets}, 3, 0, 1, {nonzeros, sum, squares, largest});
    CHECK((nonzeros == std::vector<std::int64_t>{2, 0, 3}));
    CHECK((sum == std::vector<std::int64_t>{5, 0, 10}));
    CHECK((squares == std::vector<std::int64_t>{17, 0, 38}));
    CHECK((largest == std::vector<double>{4, none, 5}));

    std::vector<std::int64_t> count(3);
    std::vector<double> total(3), mean(3), deviations(3), most(3, none);
    const RealMoments out{count, total, mean, deviations, most};
    // two blocks of rows give the same accumulators as one
    const std::vector<std::int64_t> first{0, 1}, first_offsets{0, 2}, last{2}, last_offsets{0, 1};
    group_moments_real<level>(matrix, Groups{first, first_offsets}, 3, 0, 1, out);
    group_moments_real<level>(matrix, Groups{last, last_offsets}, 3, 0, 1, out);
    std::vector<std::int64_t> count1(3);
    std::vector<double> total1(3), mean1(3), deviations1(3), most1(3, none);
    group_moments_real<level>(matrix, Groups{rows, offsets}, 3, 0, 1,
                              {count1, total1, mean1, deviations1, most1});
    CHECK(total == total1 && mean == mean1 && deviations == deviations1 && most == most1 && count == count1);
    CHECK(std::abs(mean[2] - 10.0 / 3.0) < 1e-15 && std::abs(deviations[2] - 14.0 / 3.0) < 1e-14);
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
