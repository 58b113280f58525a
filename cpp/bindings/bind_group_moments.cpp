#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/group_moments.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

/// The last axis of an array of accumulators as a struct of that many numbers.
template <typename Moments, typename Number>
std::span<Moments> accumulators(Array<Number>& array, std::size_t n_groups, std::size_t n_genes) {
    static_assert(sizeof(Moments) % sizeof(Number) == 0);
    constexpr std::size_t fields = sizeof(Moments) / sizeof(Number);
    const std::span<Number> numbers = output(array);
    require(has_shape(numbers.size(), n_groups, n_genes, fields),
            "the accumulators must have groups x n_genes x fields elements");
    return {reinterpret_cast<Moments*>(numbers.data()), numbers.size() / fields};
}

template <typename Moments, typename Number, typename Value, typename Index, typename Kernel>
void bind_moments(py::module_& module, const char* name, Kernel kernel) {
    module.def(
        name,
        [kernel](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
                 const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets, Array<Number>& moments,
                 std::size_t n_genes, std::size_t first_group, std::size_t last_group, std::size_t first_gene,
                 std::size_t last_gene) {
            const auto matrix = checked_csr(indptr, indices, data);
            const auto groups = checked_groups(rows, offsets, matrix.rows());
            const std::size_t n_groups = groups.offsets.size() - 1;
            require_range(first_group, last_group, n_groups, "group");
            require_range(first_gene, last_gene, n_genes, "gene");
            const auto out = accumulators<Moments>(moments, n_groups, n_genes);
            RowsAdded added;
            {
                py::gil_scoped_release release;
                at_level(chosen_level, [&](auto level) {
                    added = kernel(level, matrix, groups, GeneRange{first_gene, last_gene, n_genes},
                                   first_group, last_group, out);
                });
            }
            return rows_added(added);
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("moments").noconvert(),
        py::kw_only(), py::arg("n_genes"), py::arg("first_group"), py::arg("last_group"),
        py::arg("first_gene"), py::arg("last_gene"));
}

template <typename Value, typename Index>
void bind(py::module_& module) {
    bind_moments<IntegerMoments, std::int64_t, Value, Index>(
        module, "group_moments_integer", [](auto level, const auto&... arguments) {
            return group_moments_integer<level.level>(arguments...);
        });
    bind_moments<RealMoments, double, Value, Index>(
        module, "group_moments_real",
        [](auto level, const auto&... arguments) { return group_moments_real<level.level>(arguments...); });
}

}  // namespace

void register_group_moments(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
