// Rank-value encoding. Rows alone must give what they give together.
#include "bulkgen/checked/rank_tokens.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

template <typename Value, typename Index, typename Token>
void call(Input& in) {
    const std::size_t n_columns = in.up_to(700);
    const ColumnArrays columns(in, n_columns);
    const Matrix<Value, Index> matrix(in, n_columns + in.up_to(2));
    const std::size_t n_rows = matrix.indptr.size() - (matrix.indptr.size() > 0 ? 1 : 0);
    const RankLimits limits{in.place(64), in.flag() ? -1 : in.wild<std::int32_t>(),
                            in.flag() ? -1 : in.wild<std::int32_t>()};
    const std::size_t last = in.flag() ? n_rows : in.place(n_rows);
    const std::size_t first = in.flag() ? 0 : in.place(last);
    const std::size_t most = matrix.data.size() + 2 * n_rows;
    Exact<Token> tokens = in.room<Token>(in.rarely() ? in.up_to(most) : most);
    Exact<float> counts = in.room<float>(in.flag() ? tokens.size() : 0);
    Exact<std::int64_t> lengths = in.room<std::int64_t>(n_rows), genes = in.room<std::int64_t>(n_rows);
    const TokenOutput<Token> out{tokens.view(), counts.view(), lengths.view(), genes.view()};
    checked::rank_tokens(best_level(), matrix.view(), columns.view(), limits, first, last, out);

    std::size_t end = 0;
    for (std::size_t row = first; row < last; ++row) {
        const auto length = static_cast<std::size_t>(lengths[row]);
        LAW(lengths[row] >= 0 && length <= tokens.size() - end);
        LAW(length <= std::min(static_cast<std::size_t>(genes[row]), limits.most_genes) + 2);
        Exact<Token> alone(std::vector<Token>(tokens.size() - end));
        const TokenOutput<Token> of_row{alone.view(), {}, lengths.view(), genes.view()};
        checked::rank_tokens(best_level(), matrix.view(), columns.view(), limits, row, row + 1, of_row);
        LAW(static_cast<std::size_t>(lengths[row]) == length);
        for (std::size_t i = 0; i < length; ++i) LAW(alone[i] == tokens[end + i]);
        end += length;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] {
        switch (in.byte() % 4) {
            case 0:
                return call<float, std::int32_t, std::int16_t>(in);
            case 1:
                return call<double, std::int64_t, std::int32_t>(in);
            case 2:
                return call<std::int32_t, std::int64_t, std::int16_t>(in);
            default:
                return call<std::int64_t, std::int32_t, std::int32_t>(in);
        }
    });
}
