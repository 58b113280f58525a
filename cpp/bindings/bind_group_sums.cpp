#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/group_sums.hpp"
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
            const auto matrix = checked_csr(indptr, indices, data);
            const auto groups = checked_groups(rows, offsets, matrix.rows());
            const std::size_t n_groups = groups.offsets.size() - 1;
            require_range(first_group, last_group, n_groups, "group");
            require_range(first_gene, last_gene, n_genes, "gene");
            const auto sums = output(out);
            require(has_shape(sums.size(), n_groups, n_genes), "out must have groups x n_genes elements");
            RowsAdded added;
            {
                py::gil_scoped_release release;
                at_level(chosen_level, [&](auto level) {
                    added = group_sums_dense<level.level>(matrix, groups, {first_gene, last_gene, n_genes},
                                                          first_group, last_group, sums);
                });
            }
            return rows_added(added);
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
            const auto matrix = checked_csr(indptr, indices, data);
            const auto groups = checked_groups(rows, offsets, matrix.rows());
            const std::size_t n_groups = groups.offsets.size() - 1;
            require_range(first_group, last_group, n_groups, "group");
            const auto pointers = input(out_indptr);
            const auto out_columns = output(out_indices);
            const auto out_values = output(out_data);
            const auto counts = output(out_counts);
            require(n_genes <= 0x7fffffffU, "n_genes must fit the int32 of out_indices");
            require(pointers.size() == n_groups + 1,
                    "out_indptr must have one element more than there are groups");
            require(counts.size() == n_groups, "out_counts must have one element per group");
            require(out_columns.size() == out_values.size(),
                    "out_indices and out_data must have equal length");
            for (std::size_t g = first_group; g < last_group; ++g) {
                require(pointers[g] >= 0 && pointers[g] <= pointers[g + 1] &&
                            static_cast<std::size_t>(pointers[g + 1]) <= out_values.size(),
                        "out_indptr must be monotone and within the outputs");
            }
            RowsAdded added;
            {
                py::gil_scoped_release release;
                std::vector<Sum> totals(n_genes);
                at_level(chosen_level, [&](auto level) {
                    added =
                        group_sums<level.level>(matrix, groups, n_genes, first_group, last_group,
                                                std::span(totals), pointers, out_columns, out_values, counts);
                });
            }
            for (std::size_t g = first_group; added.bad_row < 0 && g < last_group; ++g) {
                require(counts[g] <= pointers[g + 1] - pointers[g],
                        "out_indptr has too few slots for the genes of a group");
            }
            return rows_added(added);
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
            const auto matrix = checked_csr(indptr, indices, data);
            const auto groups = checked_groups(rows, offsets, matrix.rows());
            const std::size_t n_groups = groups.offsets.size() - 1;
            require_range(first_group, last_group, n_groups, "group");
            const auto counts = output(out);
            require(counts.size() == n_groups, "out must have one element per group");
            RowsAdded added;
            {
                py::gil_scoped_release release;
                std::vector<std::uint8_t> seen(n_genes);
                at_level(chosen_level, [&](auto level) {
                    added = group_sums_count<level.level>(matrix, groups, n_genes, first_group, last_group,
                                                          std::span(seen), counts);
                });
            }
            return rows_added(added);
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
