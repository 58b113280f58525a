#include <cmath>
#include <vector>

#include "bulkgen/thin_rows.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

struct Output {
    Output(std::size_t n_cells, std::size_t room) : indptr(n_cells + 1), columns(room), values(room) {}
    SparseRows view() { return {indptr, columns, values}; }
    std::vector<std::int64_t> indptr;
    std::vector<std::int32_t> columns;
    std::vector<float> values;
};

/// Two rows of 1,000 entries with counts 0 ... 39, and an empty one between them.
struct Matrix {
    Matrix() {
        for (std::size_t i = 0; i < 2000; ++i) {
            columns.push_back(static_cast<std::int64_t>(i % 1000));
            values.push_back(static_cast<double>(i % 40));
        }
    }
    Csr<double, std::int64_t> view() const { return {indptr, columns, values}; }
    std::vector<std::int64_t> indptr{0, 1000, 1000, 2000};
    std::vector<std::int64_t> columns;
    std::vector<double> values;
};

}  // namespace

int main() {
    return tests::at_each_level([](auto level) {
        const Matrix matrix;
        const std::vector<double> half{0.5, 0.5, 0.5}, all{1.0, 7.0, 1.0}, none{0.0, -1.0, std::nan("")};
        Output out(3, 2000);
        const auto thin = [&](Output& to, const std::vector<double>& p) {
            return thin_rows<level.level, double, std::int64_t>(to.view(), matrix.view(), p, 3, 9, 40);
        };
        CHECK(thin(out, half) == 3);
        CHECK(out.indptr[1] == out.indptr[2]);
        double total = 0.0;
        for (std::int64_t i = 0; i < out.indptr[3]; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const double before = static_cast<double>(out.columns[at] % 40);
            CHECK(out.values[at] >= 1.0F && static_cast<double>(out.values[at]) <= before);
            total += static_cast<double>(out.values[at]);
        }
        // 39,000 molecules: five standard deviations
        CHECK(std::abs(total - 19500.0) < 5.0 * std::sqrt(9750.0));
        Output narrow(3, 1999);
        CHECK(thin(narrow, half) == 3);  // what was lost before makes room
        Output none_at_all(3, 999);
        CHECK(thin(none_at_all, half) == 0);
        CHECK(thin(out, all) == 3);
        CHECK(out.indptr[3] == 2000 - 50);
        CHECK(thin(out, none) == 3);
        CHECK(out.indptr[3] == 0);

        // values that are no counts, and the largest that is one
        const std::vector<double> odd{std::nan(""), HUGE_VAL, -HUGE_VAL, -5.0, 0.5, 0x1p53, 1e300};
        const std::vector<std::int64_t> pointers{0, 7}, columns{0, 1, 2, 3, 4, 5, 6};
        for (const double p : {1e-18, 1e-3, 0.5, 0.999, 1.0}) {
            Output few(1, 7);
            const std::vector<double> chance{p};
            CHECK((thin_rows<level.level, double, std::int64_t>(few.view(), {pointers, columns, odd}, chance,
                                                                3, 9, ~std::uint64_t{0})) == 1);
            for (std::int64_t i = 0; i < few.indptr[1]; ++i) {
                const auto at = static_cast<std::size_t>(i);
                CHECK(few.columns[at] == 1 || few.columns[at] >= 5);
                CHECK(few.values[at] >= 1.0F && few.values[at] <= 0x1p53F);
            }
        }
    });
}
