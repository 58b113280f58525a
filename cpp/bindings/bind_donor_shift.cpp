#include "arrays.hpp"
#include "bulkgen/checked/donor_shift.hpp"

namespace bulkgen::bindings {

void register_donor_shift(py::module_& module) {
    module.def(
        "choose_donors",
        [](Array<std::int64_t>& out, const Array<std::int64_t>& donors, bool shared, std::uint64_t key,
           std::uint32_t purpose, std::uint64_t first_cell) {
            unlocked(checked::choose_donors, key, purpose, first_cell, shared, input(donors), output(out));
        },
        py::arg("out").noconvert(), py::arg("donors").noconvert(), py::kw_only(), py::arg("shared"),
        py::arg("key"), py::arg("purpose"), py::arg("first_cell"));
    module.def(
        "donor_shift",
        [](Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values,
           const Array<std::int64_t>& donor, const Array<std::int64_t>& donor_indptr,
           const Array<std::int32_t>& donor_columns, const Array<float>& donor_values,
           const Array<double>& sizes, const Array<double>& overdispersion, const Array<double>& ratio,
           const Array<double>& log_ratio, const Array<std::uint64_t>& threshold,
           const Array<std::int32_t>& other, double alpha, double beta, double keep, double total_addition,
           std::uint64_t key, const std::array<std::uint32_t, 4>& purposes, std::uint64_t first_cell) {
            const AliasTable table{input(threshold), input(other)};
            const DonorShiftPlan plan{
                input(overdispersion), input(ratio), input(log_ratio), alpha, beta, keep, table,
                total_addition};
            return unlocked(checked::donor_shift, rows_of(indptr, columns, values), plan,
                            matrix_of(donor_indptr, donor_columns, donor_values), input(sizes), input(donor),
                            key, DonorShiftPurposes{purposes[0], purposes[1], purposes[2], purposes[3]},
                            first_cell);
        },
        py::arg("indptr").noconvert(), py::arg("columns").noconvert(), py::arg("values").noconvert(),
        py::arg("donor").noconvert(), py::arg("donor_indptr").noconvert(),
        py::arg("donor_columns").noconvert(), py::arg("donor_values").noconvert(),
        py::arg("sizes").noconvert(), py::arg("overdispersion").noconvert(), py::arg("ratio").noconvert(),
        py::arg("log_ratio").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert(),
        py::kw_only(), py::arg("alpha"), py::arg("beta"), py::arg("keep"), py::arg("total_addition"),
        py::arg("key"), py::arg("purposes"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
