#include <array>

#include "bindings.hpp"
#include "bulkgen/donor_shift.hpp"
#include "bulkgen/donors.hpp"
#include "negative_binomial_plan.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

namespace {

DonorShiftPlan checked_shift(const Array<double>& overdispersion, const Array<double>& ratio,
                             const Array<double>& log_ratio, const Array<std::uint64_t>& threshold,
                             const Array<std::int32_t>& other, double alpha, double beta, double keep,
                             double total_addition) {
    const DonorShiftPlan plan{
        input(overdispersion),           input(ratio),  input(log_ratio), alpha, beta, keep,
        checked_alias(threshold, other), total_addition};
    const std::size_t n_genes = plan.table.other.size();
    require(plan.overdispersion.size() == n_genes && plan.ratio.size() == n_genes,
            "overdispersion and ratio must have one element per gene");
    require(plan.log_ratio.empty() || plan.log_ratio.size() == n_genes,
            "log_ratio must be empty or have one element per gene");
    require(plan.log_ratio.empty() || (alpha > 0.0 && beta > 0.0), "alpha and beta must be above 0");
    require(keep > 0.0 && keep <= 1.0, "keep must lie in (0, 1]");
    return plan;
}

}  // namespace

void register_donor_shift(py::module_& module) {
    module.def(
        "choose_donors",
        [](Array<std::int64_t>& out, const Array<std::int64_t>& donors, bool shared, std::uint64_t key,
           std::uint32_t purpose, std::uint64_t first_cell) {
            const auto chosen = output(out);
            const auto from = input(donors);
            require(!from.empty(), "there must be at least one donor");
            checked_purpose(purpose);
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                choose_donors<level.level>(key, purpose, first_cell, shared, from, chosen);
            });
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
            const SparseRows rows = checked_rows(indptr, columns, values);
            const auto donors = checked_csr(donor_indptr, donor_columns, donor_values);
            const DonorShiftPlan plan = checked_shift(overdispersion, ratio, log_ratio, threshold, other,
                                                      alpha, beta, keep, total_addition);
            const auto donor_sizes = checked_sizes(sizes);
            const auto chosen = input(donor);
            require_total(donor_sizes, total_addition);
            require(donor_sizes.size() == donors.rows(), "sizes must have one element per row of the donors");
            require(chosen.size() == rows.indptr.size() - 1, "donor must have one element per cell");
            for (const std::int64_t row : chosen) {
                require(row >= 0 && static_cast<std::size_t>(row) < donors.rows(),
                        "donor must hold rows of the donors");
            }
            for (const std::uint32_t purpose : purposes) checked_purpose(purpose);
            py::gil_scoped_release release;
            RowCountsMemory memory(plan.table.other.size());
            return at_level(chosen_level, [&](auto level) {
                return donor_shift<level.level>(rows, plan, donors, donor_sizes, chosen, key,
                                                {purposes[0], purposes[1], purposes[2], purposes[3]},
                                                first_cell, memory.view());
            });
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
