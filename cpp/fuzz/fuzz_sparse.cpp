// Checks, sums and moments of sparse matrices. Any cut of the genes must give the bits of the whole.
#include <cstring>

#include "bulkgen/checked/csr.hpp"
#include "bulkgen/checked/group_moments.hpp"
#include "bulkgen/checked/group_sums.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

template <typename T>
bool same_bits(const Exact<T>& a, const Exact<T>& b) {
    return a.size() == b.size() &&
           (a.size() == 0 || std::memcmp(a.begin(), b.begin(), a.size() * sizeof(T)) == 0);
}

/// add(genes, out) over all genes, then over two ranges of them.
template <typename T, typename Add>
void expect_any_cut(Input& in, std::size_t n_genes, std::size_t size, Add&& add) {
    // moments are added to what is there
    Exact<T> whole = in.room<T>(size), parts(std::vector<T>(whole.begin(), whole.end()));
    const RowsAdded all = add(GeneRange{0, n_genes, n_genes}, whole.view());
    const std::size_t cut = in.place(n_genes);
    const RowsAdded low = add(GeneRange{0, cut, n_genes}, parts.view());
    const RowsAdded high = add(GeneRange{cut, n_genes, n_genes}, parts.view());
    LAW((all.bad_row < 0) == (low.bad_row < 0 && high.bad_row < 0));
    if (all.bad_row >= 0) return;
    LAW(same_bits(whole, parts));
    LAW(all.largest == std::max(low.largest, high.largest));
}

template <typename Value, typename Index>
void call(Input& in) {
    const std::size_t n_genes = in.rarely() ? in.wild<std::size_t>() % 10'000 : in.up_to(400);
    const Matrix<Value, Index> matrix(in, n_genes);
    const GroupArrays groups(in, matrix.indptr.size() - (matrix.indptr.size() > 0 ? 1 : 0));
    const std::size_t n_groups = groups.offsets.size() - (groups.offsets.size() > 0 ? 1 : 0);
    const Level level = best_level();
    switch (in.byte() % 5) {
        case 0: {
            const std::size_t last = in.place(matrix.indptr.size()), first = in.place(last);
            const CsrReport report = checked::check_csr(level, matrix.view(), n_genes, first, last);
            LAW(report.largest == report.largest && std::isfinite(report.largest));
            break;
        }
        case 1:
            expect_any_cut<std::int64_t>(
                in, n_genes, n_groups * n_genes, [&](const GeneRange& genes, std::span<std::int64_t> out) {
                    return checked::group_sums_dense(level, matrix.view(), groups.view(), genes, 0, n_groups,
                                                     out);
                });
            expect_any_cut<double>(in, n_genes, n_groups * n_genes,
                                   [&](const GeneRange& genes, std::span<double> out) {
                                       return checked::group_sums_dense(level, matrix.view(), groups.view(),
                                                                        genes, 0, n_groups, out);
                                   });
            break;
        case 2:
            expect_any_cut<std::int64_t>(in, n_genes, n_groups * n_genes * 4,
                                         [&](const GeneRange& genes, std::span<std::int64_t> out) {
                                             return checked::group_moments_integer(level, matrix.view(),
                                                                                   groups.view(), genes, 0,
                                                                                   n_groups, out);
                                         });
            break;
        case 3:
            expect_any_cut<double>(in, n_genes, n_groups * n_genes * 5,
                                   [&](const GeneRange& genes, std::span<double> out) {
                                       return checked::group_moments_real(level, matrix.view(), groups.view(),
                                                                          genes, 0, n_groups, out);
                                   });
            break;
        default: {
            Exact<std::int64_t> counts = in.room<std::int64_t>(n_groups);
            const std::size_t last = in.flag() ? n_groups : in.place(n_groups);
            const std::size_t first = in.flag() ? 0 : in.place(last);
            if (checked::group_sums_count(level, matrix.view(), groups.view(), n_genes, first, last,
                                          counts.view())
                    .bad_row >= 0) {
                return;
            }
            std::vector<std::int64_t> pointers(n_groups + 1);
            for (std::size_t g = 0; g < n_groups; ++g) {
                pointers[g + 1] = pointers[g] + (g >= first && g < last ? counts[g] : 0);
            }
            const auto stored = static_cast<std::size_t>(pointers.back());
            const Exact<std::int64_t> out_indptr = in.maybe_spoiled(pointers);
            Exact<std::int32_t> columns = in.room<std::int32_t>(stored);
            const auto sum = [&](auto values) {
                checked::group_sums(level, matrix.view(), groups.view(), n_genes, first, last, out_indptr,
                                    columns.view(), values.view(), counts.view());
            };
            in.flag() ? sum(in.room<double>(stored)) : sum(in.room<std::int64_t>(stored));
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] {
        switch (in.byte() % 4) {
            case 0:
                return call<float, std::int32_t>(in);
            case 1:
                return call<double, std::int64_t>(in);
            case 2:
                return call<std::int32_t, std::int64_t>(in);
            default:
                return call<std::int64_t, std::int32_t>(in);
        }
    });
}
