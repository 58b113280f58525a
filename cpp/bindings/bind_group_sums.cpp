#include "arrays.hpp"
#include "bulkgen/checked/group_sums.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Value, typename Index, typename Sum>
void bind_sums(py::module_& module) {
    module.def(
        "group_sums_dense",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets, Array<Sum>& out,
           std::size_t n_genes, std::size_t first_group, std::size_t last_group, std::size_t first_gene,
           std::size_t last_gene) {
            return rows_added(unlocked(checked::group_sums_dense<Value, Index, Sum>,
                                       matrix_of(indptr, indices, data), groups_of(rows, offsets),
                                       GeneRange{first_gene, last_gene, n_genes}, first_group, last_group,
                                       output(out)));
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("out").noconvert(),
        py::kw_only(), py::arg("n_genes"), py::arg("first_group"), py::arg("last_group"),
        py::arg("first_gene"), py::arg("last_gene"));
    module.def(
        "group_sums",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets,
           const Array<std::int64_t>& out_indptr, Array<std::int32_t>& out_indices, Array<Sum>& out_data,
           Array<std::int64_t>& out_counts, std::size_t n_genes, std::size_t first_group,
           std::size_t last_group) {
            return rows_added(unlocked(checked::group_sums<Value, Index, Sum>,
                                       matrix_of(indptr, indices, data), groups_of(rows, offsets), n_genes,
                                       first_group, last_group, input(out_indptr), output(out_indices),
                                       output(out_data), output(out_counts)));
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("out_indptr").noconvert(),
        py::arg("out_indices").noconvert(), py::arg("out_data").noconvert(),
        py::arg("out_counts").noconvert(), py::kw_only(), py::arg("n_genes"), py::arg("first_group"),
        py::arg("last_group"));
}

template <typename Value, typename Index>
void bind(py::module_& module) {
    module.def(
        "group_sums_count",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets, Array<std::int64_t>& out,
           std::size_t n_genes, std::size_t first_group, std::size_t last_group) {
            return rows_added(unlocked(checked::group_sums_count<Value, Index>,
                                       matrix_of(indptr, indices, data), groups_of(rows, offsets), n_genes,
                                       first_group, last_group, output(out)));
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("out").noconvert(),
        py::kw_only(), py::arg("n_genes"), py::arg("first_group"), py::arg("last_group"));
    bind_sums<Value, Index, std::int64_t>(module);
    bind_sums<Value, Index, double>(module);
}

}  // namespace

void register_group_sums(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
