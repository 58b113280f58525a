#include <algorithm>
#include <array>
#include <vector>

#include "bindings.hpp"
#include "bulkgen/copula.hpp"
#include "negative_binomial_plan.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

namespace {

CorrelatedGenes checked_correlated(const Array<std::int32_t>& gene, const Array<double>& rate,
                                   const Array<double>& dispersion, const Array<float>& loadings,
                                   const Array<double>& own, std::size_t n_genes) {
    const CorrelatedGenes genes{input(gene), input(rate), input(dispersion), input(loadings), input(own)};
    const std::size_t n = genes.gene.size();
    for (const std::int32_t g : genes.gene) {
        require(g >= 0 && static_cast<std::size_t>(g) < n_genes, "gene must hold genes of the table");
    }
    require(genes.rate.size() == n && genes.dispersion.size() == n && genes.own.size() == n,
            "gene, rate, dispersion and own must have equal length");
    for (const double f : genes.dispersion) require(f >= 0.0, "dispersion must not be below 0");
    require(loadings.ndim() == 2 && static_cast<std::size_t>(loadings.shape(1)) == n,
            "loadings must have shape (factors, correlated genes)");
    return genes;
}

/// The rate that makes the most molecules, or one that no cell can have.
double largest_rate(std::span<const double> rates) {
    double largest = 0.0;
    for (const double rate : rates) {
        if (!(rate >= 0.0)) return rate;
        largest = std::max(largest, rate);
    }
    return largest;
}

}  // namespace

void register_copula(py::module_& module) {
    module.def(
        "copula",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<double>& sizes, const Array<std::uint64_t>& threshold,
           const Array<std::int32_t>& other, const Array<double>& overdispersion,
           const Array<double>& inflation, const Array<std::int32_t>& gene, const Array<double>& rate,
           const Array<double>& dispersion, const Array<float>& loadings, const Array<double>& own,
           double total_rate, std::uint64_t key, const std::array<std::uint32_t, 5>& purposes,
           std::uint64_t first_cell) {
            const SparseRows rows = checked_rows(indptr, columns, values);
            const NegativeBinomialPlan independent =
                checked_negative_binomial(sizes, threshold, other, overdispersion, inflation, total_rate);
            const std::size_t n_genes = independent.table.other.size();
            const CorrelatedGenes correlated =
                checked_correlated(gene, rate, dispersion, loadings, own, n_genes);
            require_total(independent.sizes, largest_rate(correlated.rate));
            for (const std::uint32_t purpose : purposes) checked_purpose(purpose);
            std::vector<double> factors(static_cast<std::size_t>(loadings.shape(0)));
            py::gil_scoped_release release;
            RowCountsMemory memory(n_genes);
            return at_level(chosen_level, [&](auto level) {
                return copula<level.level>(
                    rows, independent, correlated, key,
                    {{purposes[0], purposes[1], purposes[2]}, purposes[3], purposes[4]}, first_cell,
                    memory.view(), factors);
            });
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("sizes").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert(),
        py::arg("overdispersion").noconvert(), py::arg("inflation").noconvert(), py::arg("gene").noconvert(),
        py::arg("rate").noconvert(), py::arg("dispersion").noconvert(), py::arg("loadings").noconvert(),
        py::arg("own").noconvert(), py::kw_only(), py::arg("total_rate"), py::arg("key"), py::arg("purposes"),
        py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
