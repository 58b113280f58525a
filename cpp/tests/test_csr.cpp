#include <limits>
#include <vector>

#include "bulkgen/csr.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

template <Level level>
struct Case {
    std::vector<std::int64_t> indptr{0, 2, 2, 4};
    std::vector<std::int32_t> indices{0, 3, 1, 2};
    std::vector<float> data{1, 2, 3, 4};

    CsrReport check() const {
        return check_csr<level>(Csr<float, std::int32_t>{indptr, indices, data}, 4, 0, indptr.size() - 1);
    }
};

bool clean(const CsrReport& r) {
    return r.bad_pointer < 0 && r.bad_index < 0 && r.unsorted < 0 && r.not_finite < 0 && r.negative < 0 &&
           r.fractional < 0;
}

}  // namespace

template <Level level>
void test() {
    CHECK(clean(Case<level>{}.check()) && Case<level>{}.check().largest == 4.0);
    for (const std::vector<std::int64_t>& indptr :
         {std::vector<std::int64_t>{1, 2, 2, 4}, {0, 2, 2, 5}, {0, 3, 2, 4}, {0, -1, 2, 4}, {0, 9, 9, 4}}) {
        Case<level> bad;
        bad.indptr = indptr;
        CHECK(bad.check().bad_pointer >= 0);
    }
    Case<level> bad;
    bad.indices = {0, 4, 1, 2};
    CHECK(bad.check().bad_index == 1);
    bad.indices = {0, -1, 1, 2};
    CHECK(bad.check().bad_index == 1 && bad.check().unsorted == 0);
    bad = Case<level>{};
    bad.indices = {0, 3, 2, 2};
    CHECK(bad.check().unsorted == 2);
    bad = Case<level>{};
    bad.data = {1, std::numeric_limits<float>::quiet_NaN(), -3, 0.5F};
    CHECK(bad.check().not_finite == 1 && bad.check().negative == 2 && bad.check().fractional == 3);
    bad.data = {1, 2, std::numeric_limits<float>::infinity(), 4};
    CHECK(bad.check().not_finite == 2);
    // a row whose flags all but one were met already is still looked at for the last
    bad.data = {0.5F, 2, 3.5F, -1};
    CHECK(bad.check().fractional == 0 && bad.check().negative == 3 && bad.check().largest == 3.5);
    // negative zero and whole numbers beyond the mantissa are counts
    bad.data = {-0.0F, 16777216.0F, 0x1p100F, 8388609.0F};
    CHECK(clean(bad.check()) && bad.check().largest == 0x1p100);
}

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
