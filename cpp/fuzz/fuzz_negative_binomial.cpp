// Negative binomial cells, and those of which some genes vary together.
#include "bulkgen/checked/copula.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

/// A mean number of molecules that is soon drawn, or one that is refused.
double bounded(double rate, double largest_size) {
    return rate * largest_size > 5000.0 && rate * largest_size <= 0x1p30 ? 5000.0 / largest_size : rate;
}

double largest_of(const Exact<double>& sizes) {
    double largest = 1e-300;
    for (const double size : sizes) largest = size > largest ? size : largest;
    return largest;
}

void call(Input& in) {
    const std::size_t n_genes = 1 + in.up_to(300);
    const AliasArrays table(in, n_genes);
    const Exact<double> sizes = in.sizes();
    const double largest = largest_of(sizes);
    const auto number = [&] { return in.rarely() ? in.wild<double>() : in.positive() / 8.0; };
    const Exact<double> overdispersion = in.array(n_genes, number);
    const Exact<double> inflation = in.array(in.flag() ? n_genes : 0, [&] { return number() - 0.1; });
    const NegativeBinomialPlan plan{sizes, table.view(), bounded(number(), largest), overdispersion,
                                    inflation};
    const NegativeBinomialPurposes purposes{in.purpose(), in.purpose(), in.purpose()};
    const std::uint64_t key = in.word();
    if (in.flag()) {
        return expect_cells(in, in.up_to(4), table.n_genes(), in.word(),
                            [&](const SparseRows& rows, std::uint64_t first_cell) {
                                return checked::negative_binomial(best_level(), rows, plan, key, purposes,
                                                                  first_cell);
                            });
    }
    std::vector<std::int32_t> genes;
    for (std::size_t g = in.up_to(40); g < n_genes && genes.size() < 40; g += 1 + in.byte() % 8) {
        genes.push_back(static_cast<std::int32_t>(g));
    }
    const Exact<std::int32_t> gene = in.maybe_spoiled(genes);
    const Exact<double> rate =
        in.array(gene.size(), [&] { return bounded(number() / static_cast<double>(gene.size()), largest); });
    const Exact<double> dispersion = in.array(gene.size(), number), own = in.array(gene.size(), number);
    const std::size_t n_factors = in.up_to(5);
    const Exact<float> loadings =
        in.array(n_factors * gene.size(), [&] { return static_cast<float>(in.positive() - 1.0); });
    const CopulaPurposes all{purposes, in.purpose(), in.purpose()};
    expect_cells(in, in.up_to(4), table.n_genes(), in.word(),
                 [&](const SparseRows& rows, std::uint64_t first_cell) {
                     return checked::copula(best_level(), rows, plan, {gene, rate, dispersion, loadings, own},
                                            n_factors, key, all, first_cell);
                 });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] { call(in); });
}
