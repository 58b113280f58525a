#include "arrays.hpp"
#include "bulkgen/checked/group_moments.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Number, typename Value, typename Index, typename Entry>
void bind_moments(py::module_& module, const char* name, Entry entry) {
    module.def(
        name,
        [entry](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
                const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets, Array<Number>& moments,
                std::size_t n_genes, std::size_t first_group, std::size_t last_group, std::size_t first_gene,
                std::size_t last_gene) {
            return rows_added(unlocked(entry, matrix_of(indptr, indices, data), groups_of(rows, offsets),
                                       GeneRange{first_gene, last_gene, n_genes}, first_group, last_group,
                                       output(moments)));
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("moments").noconvert(),
        py::kw_only(), py::arg("n_genes"), py::arg("first_group"), py::arg("last_group"),
        py::arg("first_gene"), py::arg("last_gene"));
}

template <typename Value, typename Index>
void bind(py::module_& module) {
    bind_moments<std::int64_t, Value, Index>(module, "group_moments_integer",
                                             checked::group_moments_integer<Value, Index>);
    bind_moments<double, Value, Index>(module, "group_moments_real",
                                       checked::group_moments_real<Value, Index>);
}

}  // namespace

void register_group_moments(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
