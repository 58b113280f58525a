#include "arrays.hpp"
#include "bulkgen/checked/rank_tokens.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Value, typename Index, typename Token>
void bind(py::module_& module) {
    module.def(
        "rank_tokens",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int32_t>& token, const Array<double>& median,
           const Array<std::int32_t>& first_column, Array<Token>& out, Array<float>& out_counts,
           Array<std::int64_t>& lengths, Array<std::int64_t>& genes, std::size_t most_genes, std::int32_t cls,
           std::int32_t eos, std::size_t first_row, std::size_t last_row) {
            unlocked(checked::rank_tokens<Value, Index, Token>, matrix_of(indptr, indices, data),
                     columns_of(token, median, first_column), RankLimits{most_genes, cls, eos}, first_row,
                     last_row,
                     TokenOutput<Token>{output(out), output(out_counts), output(lengths), output(genes)});
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("token").noconvert(), py::arg("median").noconvert(), py::arg("first_column").noconvert(),
        py::arg("out").noconvert(), py::arg("out_counts").noconvert(), py::arg("lengths").noconvert(),
        py::arg("genes").noconvert(), py::kw_only(), py::arg("most_genes"), py::arg("cls"), py::arg("eos"),
        py::arg("first_row"), py::arg("last_row"));
}

}  // namespace

void register_rank_tokens(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX)            \
    bind<VALUE, INDEX, std::int16_t>(module); \
    bind<VALUE, INDEX, std::int32_t>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
