// Words and single variates of every law.
#include <cstring>

#include "bulkgen/checked/philox.hpp"
#include "bulkgen/checked/variates.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

/// draw(first_cell, out): a cell alone must be what it is among others.
template <typename T, typename Draw>
void expect_cells_of(Input& in, std::size_t n_cells, std::size_t n_values, Draw&& draw) {
    const std::uint64_t first_cell = in.word();
    Exact<T> cells = in.room<T>(n_cells * n_values);
    draw(first_cell, cells.view());
    if (cells.size() == 0) return;
    const std::size_t chosen = in.up_to(cells.size() / n_values - 1);
    Exact<T> alone{std::vector<T>(n_values)};
    draw(first_cell + chosen, alone.view());
    LAW(std::memcmp(alone.begin(), cells.begin() + chosen * n_values, n_values * sizeof(T)) == 0);
}

void call_words(Input& in) {
    const std::size_t n_cells = in.up_to(4), n_positions = in.up_to(900);
    const std::uint64_t key = in.word();
    const std::uint32_t purpose = in.purpose();
    expect_cells_of<std::uint32_t>(
        in, n_cells, n_positions, [&](std::uint64_t first_cell, std::span<std::uint32_t> out) {
            checked::philox_words(best_level(), key, purpose, first_cell, n_positions, out);
        });
}

void call_variates(Input& in) {
    const std::size_t n_cells = in.up_to(3), n_values = in.up_to(20);
    const auto law = static_cast<std::uint8_t>(in.byte() % 9);
    const auto number = [&] { return in.flag() ? in.wild<double>() : in.positive() / 4.0; };
    const Exact<double> parameters = in.maybe_spoiled(std::vector<double>{number(), number(), number()});
    const std::uint64_t key = in.word();
    const std::uint32_t purpose = in.purpose();
    expect_cells_of<double>(in, n_cells, n_values, [&](std::uint64_t first_cell, std::span<double> out) {
        checked::variates(best_level(), law, parameters, key, purpose, first_cell, n_values, out);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] { return in.byte() % 8 == 0 ? call_words(in) : call_variates(in); });
}
