// Donors chosen, and moved by ratios.
#include "bulkgen/checked/donor_shift.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

void call_choice(Input& in) {
    const Exact<std::int64_t> donors = in.array(in.up_to(40), [&] { return in.wild<std::int64_t>(); });
    Exact<std::int64_t> out = in.room<std::int64_t>(in.up_to(40));
    const std::uint64_t key = in.word(), first_cell = in.word();
    const bool shared = in.flag();
    const std::uint32_t purpose = in.purpose();
    checked::choose_donors(best_level(), key, purpose, first_cell, shared, donors, out.view());
    for (std::size_t cell = 0; cell < out.size(); ++cell) {
        std::int64_t alone = 0;
        checked::choose_donors(best_level(), key, purpose, first_cell + cell, shared, donors, {&alone, 1});
        LAW(alone == out[cell]);
    }
}

void call_shift(Input& in) {
    const std::size_t n_genes = 1 + in.up_to(300);
    const Matrix<float, std::int32_t> donors(in, n_genes);
    const std::size_t n_donors = donors.indptr.size() - (donors.indptr.size() > 0 ? 1 : 0);
    const AliasArrays table(in, n_genes);
    const auto number = [&] { return in.rarely() ? in.wild<double>() : in.positive(); };
    const Exact<double> overdispersion = in.array(n_genes, number), ratio = in.array(n_genes, number);
    const Exact<double> log_ratio = in.array(in.flag() ? n_genes : 0, [&] { return number() - 1.0; });
    const double keep = in.flag() ? 1.0 : number() / 4.0;
    double total = number();
    if (total > 10.0 && total < 0x1p30) total = 10.0;
    const DonorShiftPlan plan{overdispersion, ratio, log_ratio,    number(),
                              number(),       keep,  table.view(), total};
    std::vector<double> of_donors(n_donors);
    for (double& size : of_donors) size = 500.0 * in.byte() / 255.0;
    Exact<double> sizes = in.maybe_spoiled(of_donors);
    for (double& size : sizes.view()) {
        if (size > 500.0 && size < 0x1p31) size = 500.0;
    }
    const std::size_t n_cells = n_donors > 0 ? in.up_to(4) : 0;
    const Exact<std::int64_t> donor =
        in.array(n_cells, [&] { return static_cast<std::int64_t>(in.up_to(n_donors - 1)); });
    const DonorShiftPurposes purposes{in.purpose(), in.purpose(), in.purpose(), in.purpose()};
    const std::uint64_t key = in.word(), first_cell = in.word();
    expect_cells(in, n_cells, table.n_genes(), first_cell, [&](const SparseRows& rows, std::uint64_t first) {
        // one cell of the chosen ones, or all
        std::span<const std::int64_t> chosen = donor;
        if (rows.cells() != chosen.size() && first - first_cell < chosen.size()) {
            chosen = chosen.subspan(static_cast<std::size_t>(first - first_cell), 1);
        }
        return checked::donor_shift(best_level(), rows, plan, donors.view(), sizes, chosen, key, purposes,
                                    first);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] { return in.byte() % 4 == 0 ? call_choice(in) : call_shift(in); });
}
