// Alias tables of any weights, and the cells drawn from them; Poisson-log-normal cells.
#include "bulkgen/checked/alias_table.hpp"
#include "bulkgen/checked/multinomial.hpp"
#include "bulkgen/checked/poisson_log_normal.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

void call_table(Input& in) {
    const std::size_t n_genes = in.up_to(400);
    const Exact<double> weights =
        in.array(n_genes, [&] { return in.rarely() ? in.wild<double>() : in.positive() - 0.5; });
    Exact<std::uint64_t> threshold = in.room<std::uint64_t>(n_genes);
    Exact<std::int32_t> other = in.room<std::int32_t>(n_genes);
    checked::alias_table(best_level(), weights, threshold.view(), other.view());
    for (const std::int32_t gene : other) LAW(gene >= 0 && static_cast<std::size_t>(gene) < weights.size());
}

void call_cells(Input& in) {
    const std::size_t n_genes = 1 + in.up_to(300);
    const AliasArrays table(in, n_genes);
    const Exact<double> sizes = in.sizes();
    const double concentration = in.flag()     ? std::numeric_limits<double>::infinity()
                                 : in.rarely() ? in.wild<double>()
                                               : in.positive();
    const MultinomialPlan plan{table.view(), sizes, in.flag(), concentration};
    const CellPurposes purposes{in.purpose(), in.purpose()};
    const std::uint64_t key = in.word();
    expect_cells(in, in.up_to(4), table.n_genes(), in.word(),
                 [&](const SparseRows& rows, std::uint64_t first_cell) {
                     return checked::multinomial(best_level(), rows, plan, key, purposes, first_cell);
                 });
}

void call_log_normal(Input& in) {
    const std::size_t n_genes = 1 + in.up_to(600);
    const auto number = [&] { return in.rarely() ? in.wild<double>() : in.positive() / 8.0; };
    const Exact<double> scale = in.array(n_genes, number), sigma = in.array(n_genes, number);
    const Exact<double> sizes = in.sizes();
    const CellPurposes purposes{in.purpose(), in.purpose()};
    const std::uint64_t key = in.word();
    expect_cells(in, in.up_to(4), scale.size(), in.word(),
                 [&](const SparseRows& rows, std::uint64_t first_cell) {
                     return checked::poisson_log_normal(best_level(), rows, {scale, sigma, sizes}, key,
                                                        purposes, first_cell);
                 });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] {
        switch (in.byte() % 3) {
            case 0:
                return call_table(in);
            case 1:
                return call_log_normal(in);
            default:
                return call_cells(in);
        }
    });
}
