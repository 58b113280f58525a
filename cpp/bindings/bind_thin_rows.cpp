#include "arrays.hpp"
#include "bulkgen/checked/thin_rows.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Value, typename Index>
void bind(py::module_& module) {
    module.def(
        "thin_rows",
        [](Array<std::int64_t>& out_indptr, Array<std::int32_t>& out_columns, Array<float>& out_values,
           const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<double>& probability, std::uint64_t key, std::uint32_t purpose,
           std::uint64_t first_cell) {
            return unlocked(checked::thin_rows<Value, Index>, rows_of(out_indptr, out_columns, out_values),
                            matrix_of(indptr, indices, data), input(probability), key, purpose, first_cell);
        },
        py::arg("out_indptr").noconvert(), py::arg("out_columns").noconvert(),
        py::arg("out_values").noconvert(), py::arg("indptr").noconvert(), py::arg("indices").noconvert(),
        py::arg("data").noconvert(), py::arg("probability").noconvert(), py::kw_only(), py::arg("key"),
        py::arg("purpose"), py::arg("first_cell"));
}

}  // namespace

void register_thin_rows(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
