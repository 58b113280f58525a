// Thinning of rows of a longer matrix. A row alone must be what it is among others.
#include "bulkgen/checked/thin_rows.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

template <typename Value, typename Index>
void call(Input& in) {
    const Matrix<Value, Index> matrix(in, in.up_to(700));
    const std::size_t n_rows = matrix.indptr.size() - (matrix.indptr.size() > 0 ? 1 : 0);
    const Exact<double> probability =
        in.array(n_rows, [&] { return in.rarely() ? in.wild<double>() : in.byte() / 255.0; });
    CellArrays cells(in, n_rows, in.rarely() ? in.up_to(matrix.data.size()) : matrix.data.size());
    const std::uint64_t key = in.word(), first_cell = in.word();
    const std::uint32_t purpose = in.purpose();
    const std::size_t written =
        checked::thin_rows(best_level(), cells.view(), matrix.view(), probability, key, purpose, first_cell);
    LAW(written <= n_rows && cells.indptr[0] == 0);
    for (std::size_t row = 0; row < written; ++row) {
        const auto begin = static_cast<std::size_t>(cells.indptr[row]);
        const auto end = static_cast<std::size_t>(cells.indptr[row + 1]);
        const auto entries = static_cast<std::size_t>(matrix.indptr[row + 1] - matrix.indptr[row]);
        LAW(begin <= end && end <= cells.columns.size() && end - begin <= entries);
        for (std::size_t i = begin; i < end; ++i) LAW(cells.values[i] >= 1.0F);
        Input none(nullptr, 0);
        CellArrays alone(none, 0, 0);
        alone.indptr = Exact<std::int64_t>(std::vector<std::int64_t>(2));
        alone.columns = Exact<std::int32_t>(std::vector<std::int32_t>(entries));
        alone.values = Exact<float>(std::vector<float>(entries));
        const Csr<Value, Index> one{std::span<const std::int64_t>(matrix.indptr).subspan(row, 2),
                                    matrix.indices, matrix.data};
        LAW(checked::thin_rows(best_level(), alone.view(), one,
                               std::span<const double>(probability).subspan(row, 1), key, purpose,
                               first_cell + row) == 1);
        cells.expect_same(row, alone);
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
