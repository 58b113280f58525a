#include <cmath>
#include <vector>

#include "bulkgen/poisson_log_normal.hpp"
#include "check.hpp"

using namespace bulkgen;

int main() {
    return tests::at_each_level([](auto level) {
        const std::size_t n_genes = 300;
        std::vector<double> scale(n_genes, 0.01), sigma(n_genes, 0.5);
        const std::vector<double> sizes{0.0, 100.0};
        std::vector<std::int64_t> indptr(41);
        std::vector<std::int32_t> columns(40 * n_genes);
        std::vector<float> values(40 * n_genes);
        const auto draw = [&](std::size_t n_cells, std::size_t room, std::uint64_t first) {
            const SparseRows rows{std::span(indptr).first(n_cells + 1), std::span(columns).first(room),
                                  std::span(values).first(room)};
            return poisson_log_normal<level.level>(rows, {scale, sigma, sizes}, 5, {8, 11}, first);
        };
        CHECK(draw(40, columns.size(), 0) == 40);
        const std::vector<std::int64_t> ends = indptr;
        const std::vector<std::int32_t> genes = columns;
        for (std::size_t c = 0; c < 40; ++c) {
            for (std::int64_t i = ends[c] + 1; i < ends[c + 1]; ++i) {
                CHECK(genes[static_cast<std::size_t>(i)] > genes[static_cast<std::size_t>(i - 1)]);
            }
        }
        const auto some = static_cast<std::size_t>(ends[20]);
        CHECK(draw(40, some, 0) >= 20);
        CHECK(draw(40, some - 1, 0) < 20 || ends[19] == ends[20]);
        CHECK(draw(1, n_genes, 33) == 1);
        CHECK(indptr[1] == ends[34] - ends[33]);
        for (std::int64_t i = 0; i < indptr[1]; ++i) {
            CHECK(columns[static_cast<std::size_t>(i)] == genes[static_cast<std::size_t>(ends[33] + i)]);
        }
        // rates that are no rates, and ones beyond every count
        const double odd[] = {std::nan(""), HUGE_VAL, -HUGE_VAL, -1.0, 1e300, 5e-324, 0.0};
        for (std::size_t g = 0; g < n_genes; ++g) {
            scale[g] = odd[g % 7];
            sigma[g] = odd[(g / 7) % 7];
        }
        CHECK(draw(40, columns.size(), 0) == 40);
        for (std::int64_t i = 0; i < indptr[40]; ++i) {
            const float count = values[static_cast<std::size_t>(i)];
            CHECK(count >= 1.0F && count <= 0x1.1p53F);
        }
    });
}
