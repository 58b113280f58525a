#include "arrays.hpp"
#include "bulkgen/checked/copula.hpp"

namespace bulkgen::bindings {

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
            const AliasTable table{input(threshold), input(other)};
            const char* shape = "loadings must have shape (factors, correlated genes)";
            checked::require(row_length(loadings, shape) == static_cast<std::size_t>(gene.size()), shape);
            return unlocked(
                checked::copula, rows_of(indptr, columns, values),
                NegativeBinomialPlan{input(sizes), table, total_rate, input(overdispersion),
                                     input(inflation)},
                CorrelatedGenes{input(gene), input(rate), input(dispersion), input(loadings), input(own)},
                static_cast<std::size_t>(loadings.shape(0)), key,
                CopulaPurposes{{purposes[0], purposes[1], purposes[2]}, purposes[3], purposes[4]},
                first_cell);
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("sizes").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert(),
        py::arg("overdispersion").noconvert(), py::arg("inflation").noconvert(), py::arg("gene").noconvert(),
        py::arg("rate").noconvert(), py::arg("dispersion").noconvert(), py::arg("loadings").noconvert(),
        py::arg("own").noconvert(), py::kw_only(), py::arg("total_rate"), py::arg("key"), py::arg("purposes"),
        py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
