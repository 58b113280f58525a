#include "arrays.hpp"
#include "bulkgen/checked/csr.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

template <typename Value, typename Index>
void bind(py::module_& module) {
    module.def(
        "check_csr",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           std::size_t n_columns, std::size_t first_row, std::size_t last_row) {
            const CsrReport report =
                unlocked(checked::check_csr<Value, Index>, matrix_of(indptr, indices, data), n_columns,
                         first_row, last_row);
            return py::make_tuple(report.bad_pointer, report.bad_index, report.unsorted, report.not_finite,
                                  report.negative, report.fractional, report.largest);
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::kw_only(), py::arg("n_columns"), py::arg("first_row"), py::arg("last_row"));
}

}  // namespace

void register_csr(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
