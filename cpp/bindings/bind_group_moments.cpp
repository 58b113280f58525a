#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/group_moments.hpp"
#include "bulkgen/instantiate.hpp"

namespace bulkgen::bindings {

namespace {

template <typename... Spans>
void require_length(std::size_t length, const Spans&... spans) {
    require(((spans.size() == length) && ...), "every accumulator must have groups x n_genes elements");
}

template <typename Value, typename Index>
void bind(py::module_& module) {
    module.def(
        "group_moments_integer",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets, Array<std::int64_t>& nonzeros,
           Array<std::int64_t>& sum, Array<std::int64_t>& sum_squares, Array<double>& largest,
           std::size_t n_genes, std::size_t first_group, std::size_t last_group) {
            const auto matrix = checked_csr(indptr, indices, data);
            const auto groups = checked_groups(rows, offsets, matrix.rows());
            const std::size_t n_groups = groups.offsets.size() - 1;
            require_range(first_group, last_group, n_groups, "group");
            const IntegerMoments out{output(nonzeros), output(sum), output(sum_squares), output(largest)};
            require_length(n_groups * n_genes, out.nonzeros, out.sum, out.sum_squares, out.largest);
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                group_moments_integer<level.level>(matrix, groups, n_genes, first_group, last_group, out);
            });
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("nonzeros").noconvert(),
        py::arg("sum").noconvert(), py::arg("sum_squares").noconvert(), py::arg("largest").noconvert(),
        py::kw_only(), py::arg("n_genes"), py::arg("first_group"), py::arg("last_group"));
    module.def(
        "group_moments_real",
        [](const Array<std::int64_t>& indptr, const Array<Index>& indices, const Array<Value>& data,
           const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets, Array<std::int64_t>& nonzeros,
           Array<double>& sum, Array<double>& mean, Array<double>& squares, Array<double>& largest,
           std::size_t n_genes, std::size_t first_group, std::size_t last_group) {
            const auto matrix = checked_csr(indptr, indices, data);
            const auto groups = checked_groups(rows, offsets, matrix.rows());
            const std::size_t n_groups = groups.offsets.size() - 1;
            require_range(first_group, last_group, n_groups, "group");
            const RealMoments out{output(nonzeros), output(sum), output(mean), output(squares),
                                  output(largest)};
            require_length(n_groups * n_genes, out.nonzeros, out.sum, out.mean, out.squares, out.largest);
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                group_moments_real<level.level>(matrix, groups, n_genes, first_group, last_group, out);
            });
        },
        py::arg("indptr").noconvert(), py::arg("indices").noconvert(), py::arg("data").noconvert(),
        py::arg("rows").noconvert(), py::arg("offsets").noconvert(), py::arg("nonzeros").noconvert(),
        py::arg("sum").noconvert(), py::arg("mean").noconvert(), py::arg("squares").noconvert(),
        py::arg("largest").noconvert(), py::kw_only(), py::arg("n_genes"), py::arg("first_group"),
        py::arg("last_group"));
}

}  // namespace

void register_group_moments(py::module_& module) {
#define BULKGEN_BIND(VALUE, INDEX) bind<VALUE, INDEX>(module);
    BULKGEN_FOR_EACH_CSR(BULKGEN_BIND)
#undef BULKGEN_BIND
}

}  // namespace bulkgen::bindings
