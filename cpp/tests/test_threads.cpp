// Threads share what kernels read and write ranges of their own: the bits are those of one thread, and
// ThreadSanitizer (preset `thread`) sees no race.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "bulkgen/checked/alias_table.hpp"
#include "bulkgen/checked/copula.hpp"
#include "bulkgen/checked/csr.hpp"
#include "bulkgen/checked/donor_shift.hpp"
#include "bulkgen/checked/group_moments.hpp"
#include "bulkgen/checked/group_sums.hpp"
#include "bulkgen/checked/multinomial.hpp"
#include "bulkgen/checked/philox.hpp"
#include "bulkgen/checked/poisson_log_normal.hpp"
#include "bulkgen/checked/rank_tokens.hpp"
#include "bulkgen/checked/thin_rows.hpp"
#include "bulkgen/checked/truncated_gaussian_tokens.hpp"
#include "check.hpp"

using namespace bulkgen;

namespace {

constexpr std::size_t n_threads = 4;
constexpr std::size_t n_rows = 61, n_genes = 301, n_groups = 5;

/// run(first, last) on consecutive ranges that cover [0, size), one for each thread.
template <typename Run>
void in_ranges(std::size_t threads, std::size_t size, Run&& run) {
    std::vector<std::thread> pool;
    for (std::size_t t = 0; t < threads; ++t) {
        pool.emplace_back(
            [&run, first = size * t / threads, last = size * (t + 1) / threads] { run(first, last); });
    }
    for (std::thread& thread : pool) thread.join();
}

/// work(threads) gives a result, the same for any number of them.
template <typename Work>
void expect_same_bits(Work&& work) {
    const auto one = work(std::size_t{1});
    const auto many = work(n_threads);
    CHECK(one.size() == many.size() &&
          std::memcmp(one.data(), many.data(), one.size() * sizeof(one[0])) == 0);
}

struct Cells {
    Cells() {
        std::uint64_t state = 1;
        const auto next = [&state] {
            return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33;
        };
        for (std::size_t row = 0; row < n_rows; ++row) {
            for (std::size_t gene = next() % 5; gene < n_genes; gene += 1 + next() % 6) {
                indices.push_back(static_cast<std::int32_t>(gene));
                data.push_back(static_cast<float>(1 + next() % 9));
            }
            indptr.push_back(static_cast<std::int64_t>(data.size()));
            sizes.push_back(static_cast<double>(200 + next() % 300));
        }
        std::vector<double> weights(n_genes);
        for (double& weight : weights) weight = static_cast<double>(1 + next() % 50);
        threshold.resize(n_genes);
        other.resize(n_genes);
        checked::alias_table(best_level(), weights, threshold, other);
        rows.resize(n_rows);
        std::iota(rows.begin(), rows.end(), 0);
        std::iota(token.begin(), token.end(), 3);
    }
    Csr<float, std::int32_t> matrix() const { return {indptr, indices, data}; }
    AliasTable table() const { return {threshold, other}; }
    Groups groups() const { return {rows, offsets}; }
    ColumnTokens columns() const { return {token, number, {}}; }

    std::vector<std::int64_t> indptr{0}, rows, offsets{0, 7, 7, 30, 31, n_rows};
    std::vector<std::int32_t> indices, other, token = std::vector<std::int32_t>(n_genes);
    std::vector<float> data;
    std::vector<double> sizes, number = std::vector<double>(n_genes, 0.25);
    std::vector<std::uint64_t> threshold;
};

/// draw(rows, first, last) fills the rows of a range of cells. All ranges, end to end.
template <typename Draw>
void expect_same_cells(Draw&& draw) {
    expect_same_bits([&](std::size_t threads) {
        std::vector<std::vector<float>> of_cell(n_rows);
        in_ranges(threads, n_rows, [&](std::size_t first, std::size_t last) {
            std::vector<std::int64_t> indptr(last - first + 1);
            std::vector<std::int32_t> columns((last - first) * n_genes);
            std::vector<float> values(columns.size());
            CHECK(draw(SparseRows{indptr, columns, values}, first, last) == last - first);
            for (std::size_t cell = first; cell < last; ++cell) {
                for (auto i = indptr[cell - first]; i < indptr[cell - first + 1]; ++i) {
                    of_cell[cell].push_back(static_cast<float>(columns[static_cast<std::size_t>(i)]));
                    of_cell[cell].push_back(values[static_cast<std::size_t>(i)]);
                }
            }
        });
        std::vector<float> all;
        for (const auto& cell : of_cell) all.insert(all.end(), cell.begin(), cell.end());
        return all;
    });
}

template <Level level>
void test_sparse(const Cells& cells) {
    expect_same_bits([&](std::size_t threads) {
        std::vector<double> largest(n_rows);
        in_ranges(threads, n_rows, [&](std::size_t first, std::size_t last) {
            const CsrReport report = checked::check_csr(level, cells.matrix(), n_genes, first, last);
            largest[first] = report.largest;
        });
        return std::vector<double>{*std::max_element(largest.begin(), largest.end())};
    });
    expect_same_bits([&](std::size_t threads) {
        std::vector<std::int64_t> out(n_groups * n_genes);
        in_ranges(threads, n_genes, [&](std::size_t first, std::size_t last) {
            checked::group_sums_dense(level, cells.matrix(), cells.groups(), {first, last, n_genes}, 0,
                                      n_groups, std::span(out));
        });
        return out;
    });
    expect_same_bits([&](std::size_t threads) {
        std::vector<double> out(n_groups * n_genes * 5);
        in_ranges(threads, n_genes, [&](std::size_t first, std::size_t last) {
            checked::group_moments_real(level, cells.matrix(), cells.groups(), {first, last, n_genes}, 0,
                                        n_groups, std::span(out));
        });
        return out;
    });
    expect_same_bits([&](std::size_t threads) {
        std::vector<std::int64_t> counts(n_groups), pointers(n_groups + 1);
        in_ranges(threads, n_groups, [&](std::size_t first, std::size_t last) {
            checked::group_sums_count(level, cells.matrix(), cells.groups(), n_genes, first, last,
                                      std::span(counts));
        });
        std::partial_sum(counts.begin(), counts.end(), pointers.begin() + 1);
        std::vector<std::int32_t> columns(static_cast<std::size_t>(pointers.back()));
        std::vector<std::int64_t> values(columns.size());
        in_ranges(threads, n_groups, [&](std::size_t first, std::size_t last) {
            checked::group_sums<float, std::int32_t, std::int64_t>(level, cells.matrix(), cells.groups(),
                                                                   n_genes, first, last, pointers, columns,
                                                                   values, counts);
        });
        return values;
    });
    expect_same_bits([&](std::size_t threads) {
        std::vector<std::int64_t> lengths(n_rows), genes(n_rows);
        std::vector<std::int32_t> tokens(cells.data.size());
        in_ranges(threads, n_rows, [&](std::size_t first, std::size_t last) {
            const auto begin = static_cast<std::size_t>(cells.indptr[first]);
            const auto size = static_cast<std::size_t>(cells.indptr[last]) - begin;
            checked::rank_tokens<float, std::int32_t, std::int32_t>(
                level, cells.matrix(), cells.columns(), {2048, -1, -1}, first, last,
                {std::span(tokens).subspan(begin, size), {}, lengths, genes});
        });
        return tokens;
    });
}

template <Level level>
void test_cells(const Cells& cells) {
    expect_same_cells([&](const SparseRows& rows, std::size_t first, std::size_t last) {
        std::vector<std::int64_t> pointers(cells.indptr.begin() + static_cast<std::ptrdiff_t>(first),
                                           cells.indptr.begin() + static_cast<std::ptrdiff_t>(last) + 1);
        const Csr<float, std::int32_t> part{pointers, cells.indices, cells.data};
        const std::span<const double> kept = cells.number;
        return checked::thin_rows(level, rows, part, kept.first(last - first), 7, 9, first);
    });
    for (const double concentration : {5.0, std::numeric_limits<double>::infinity()}) {
        expect_same_cells([&](const SparseRows& rows, std::size_t first, std::size_t) {
            return checked::multinomial(level, rows, {cells.table(), cells.sizes, true, concentration}, 7,
                                        {8, 10}, first);
        });
    }
    expect_same_cells([&](const SparseRows& rows, std::size_t first, std::size_t) {
        return checked::poisson_log_normal(level, rows, {cells.number, cells.number, cells.sizes}, 7, {8, 11},
                                           first);
    });
    const std::vector<std::int32_t> gene{3, 70, 200};
    const std::vector<float> loadings(6, 0.5F);
    const std::vector<double> three(3, 0.1);
    expect_same_cells([&](const SparseRows& rows, std::size_t first, std::size_t) {
        return checked::copula(level, rows, {cells.sizes, cells.table(), 1.0, cells.number, cells.number},
                               {gene, three, three, loadings, three}, 2, 7, {{8, 12, 13}, 18, 19}, first);
    });
    std::vector<std::int64_t> donor(n_rows);
    checked::choose_donors(level, 7, 14, 0, false, cells.rows, donor);
    const std::vector<double> ratio(n_genes, 1.7);
    expect_same_cells([&](const SparseRows& rows, std::size_t first, std::size_t last) {
        const DonorShiftPlan plan{cells.number, ratio, cells.number, 2.0, 3.0, 0.9, cells.table(), 0.5};
        return checked::donor_shift(level, rows, plan, cells.matrix(), cells.sizes,
                                    std::span<const std::int64_t>(donor).subspan(first, last - first), 7,
                                    {15, 16, 17, 12}, first);
    });
}

template <Level level>
void test_dense(const Cells& cells) {
    expect_same_bits([&](std::size_t threads) {
        std::vector<std::uint32_t> words(n_rows * n_genes);
        in_ranges(threads, n_rows, [&](std::size_t first, std::size_t last) {
            checked::philox_words(level, 7, 1, first, n_genes,
                                  std::span(words).subspan(first * n_genes, (last - first) * n_genes));
        });
        return words;
    });
    std::vector<float> common;
    for (std::size_t tile = 0; tile < (n_genes + tile_size - 1) / tile_size; ++tile) {
        for (const float field : {1.0F, 1.0F, 0.0F, 4.0F, 0.15F, 0.84F, 0.01F}) {
            common.resize(common.size() + tile_size, field);
        }
    }
    const std::vector<std::uint32_t> odd_gene{17, 280};
    const std::vector<std::uint8_t> odd_proposal{1, 2};
    const std::vector<double> odd(14, 1.0);
    for (const bool inverse : {false, true}) {
        const checked::TruncatedGaussianArrays plan{common, {}, odd_gene, odd_proposal, odd, inverse, false};
        expect_same_bits([&](std::size_t threads) {
            std::vector<float> out(n_rows * n_genes);
            in_ranges(threads, n_rows, [&](std::size_t first, std::size_t last) {
                checked::truncated_gaussian(
                    level, plan, 7, {1, 2, 7}, first, n_genes,
                    std::span(out).subspan(first * n_genes, (last - first) * n_genes));
            });
            return out;
        });
        expect_same_bits([&](std::size_t threads) {
            std::vector<std::int16_t> tokens(n_rows * n_genes);
            std::vector<std::int64_t> lengths(n_rows), genes(n_rows);
            in_ranges(threads, n_rows, [&](std::size_t first, std::size_t last) {
                const std::size_t n = last - first;
                checked::truncated_gaussian_tokens<std::int16_t>(
                    level, plan, cells.columns(), {2048, -1, -1}, 7, {1, 2, 7}, first,
                    {std::span(tokens).subspan(first * n_genes, n * n_genes),
                     {},
                     std::span(lengths).subspan(first, n),
                     std::span(genes).subspan(first, n)});
            });
            return lengths;
        });
    }
}

template <Level level>
void test() {
    const Cells cells;
    test_sparse<level>(cells);
    test_cells<level>(cells);
    test_dense<level>(cells);
}

}  // namespace

int main() {
    return tests::at_each_level([](auto level) { test<level.level>(); });
}
