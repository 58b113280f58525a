// Truncated Gaussian cells, and their tokens. A cell alone must be what it is among others.
#include <cstring>

#include "bulkgen/checked/truncated_gaussian_tokens.hpp"
#include "input.hpp"

using namespace bulkgen;
using namespace bulkgen::fuzz;

namespace {

/// Plans of any numbers, of which most look like those of genes.
struct PlanArrays {
    PlanArrays(Input& in, std::size_t n_genes)
        : common(in.maybe_spoiled(tiles(in, (n_genes + tile_size - 1) / tile_size))),
          keep(in.maybe_spoiled(std::vector<std::uint32_t>(
              in.flag() ? (n_genes + tile_size - 1) / tile_size * tile_size : 0, 0x80000000U))),
          odd_gene(in.maybe_spoiled(genes(in, n_genes))),
          odd_proposal(in.array(odd_gene.size(), [&] { return static_cast<std::uint8_t>(in.byte() % 10); })),
          odd(in.array(7 * odd_gene.size(),
                       [&] { return in.rarely() ? in.wild<double>() : in.positive() - 2.0; })),
          inverse(in.flag()),
          round(in.flag()) {}
    checked::TruncatedGaussianArrays view() const {
        return {common, keep, odd_gene, odd_proposal, odd, inverse, round};
    }

    Exact<float> common;
    Exact<std::uint32_t> keep, odd_gene;
    Exact<std::uint8_t> odd_proposal;
    Exact<double> odd;
    bool inverse, round;

  private:
    static std::vector<float> tiles(Input& in, std::size_t n_tiles) {
        std::vector<float> values;
        for (std::size_t tile = 0; tile < n_tiles; ++tile) {
            // a gene that is inside its bounds most of the time: what is not is tried again and again
            const auto location = static_cast<float>(in.positive()),
                       width = static_cast<float>(in.positive());
            for (const float field :
                 {location, width, location - width, location + 3 * width, 0.1F, 0.8F, 0.1F}) {
                values.resize(values.size() + tile_size, field);
            }
        }
        for (std::size_t n = values.empty() ? 0 : in.up_to(20); n > 0; --n) {
            values[(in.byte() * std::size_t{256} + in.byte()) % values.size()] = in.wild<float>();
        }
        return values;
    }
    static std::vector<std::uint32_t> genes(Input& in, std::size_t n_genes) {
        std::vector<std::uint32_t> genes;
        const std::size_t step = 1 + in.up_to(40);
        for (std::size_t g = in.up_to(40); g < n_genes; g += 1 + in.byte() % step) {
            genes.push_back(static_cast<std::uint32_t>(g));
        }
        return genes;
    }
};

void call_cells(Input& in) {
    const std::size_t n_genes = in.up_to(600), n_cells = in.up_to(3);
    const PlanArrays plan(in, n_genes);
    const TruncatedGaussianPurposes purposes{in.purpose(), in.purpose(), in.purpose()};
    const std::uint64_t key = in.word(), first_cell = in.word();
    Exact<float> cells = in.room<float>(n_genes * n_cells);
    checked::truncated_gaussian(best_level(), plan.view(), key, purposes, first_cell, n_genes, cells.view());
    if (cells.size() == 0) return;
    const std::size_t chosen = in.up_to(cells.size() / n_genes - 1);
    Exact<float> alone(std::vector<float>(n_genes, -1.0F));
    checked::truncated_gaussian(best_level(), plan.view(), key, purposes, first_cell + chosen, n_genes,
                                alone.view());
    LAW(std::memcmp(alone.begin(), cells.begin() + chosen * n_genes, n_genes * sizeof(float)) == 0);
}

template <typename Token>
void call_tokens(Input& in) {
    const std::size_t n_genes = in.up_to(600), n_cells = in.up_to(3);
    const PlanArrays plan(in, n_genes);
    const ColumnArrays columns(in, n_genes);
    const RankLimits limits{in.place(64), in.flag() ? -1 : in.wild<std::int32_t>(),
                            in.flag() ? -1 : in.wild<std::int32_t>()};
    Exact<Token> tokens = in.room<Token>(n_cells * (in.rarely() ? in.up_to(n_genes) : n_genes + 2));
    Exact<std::int64_t> lengths = in.room<std::int64_t>(n_cells), genes = in.room<std::int64_t>(n_cells);
    const TruncatedGaussianPurposes purposes{in.purpose(), in.purpose(), in.purpose()};
    const TokenOutput<Token> out{tokens.view(), {}, lengths.view(), genes.view()};
    checked::truncated_gaussian_tokens(best_level(), plan.view(), columns.view(), limits, in.word(), purposes,
                                       in.word(), out);
    std::size_t end = 0;
    for (const std::int64_t length : lengths) {
        LAW(length >= 0 && static_cast<std::size_t>(length) <= tokens.size() - end);
        end += static_cast<std::size_t>(length);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    Input in(bytes, size);
    return unless_refused([&] {
        switch (in.byte() % 3) {
            case 0:
                return call_tokens<std::int16_t>(in);
            case 1:
                return call_tokens<std::int32_t>(in);
            default:
                return call_cells(in);
        }
    });
}
