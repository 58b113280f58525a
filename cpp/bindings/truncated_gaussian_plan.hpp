// The arrays of a truncated Gaussian plan as spans, checked so that no gene is read or written out of range.
#pragma once

#include <pybind11/stl.h>

#include <array>

#include "arrays.hpp"
#include "bulkgen/philox.hpp"
#include "bulkgen/truncated_gaussian.hpp"

namespace bulkgen::bindings {

/// Row `row` of a C-contiguous matrix.
template <typename T>
std::span<const T> matrix_row(const Array<T>& matrix, std::size_t row) {
    const auto length = static_cast<std::size_t>(matrix.shape(1));
    return input(matrix).subspan(row * length, length);
}

inline TruncatedGaussianPlan checked_plan(const Array<float>& common, const Array<std::uint32_t>& keep,
                                          const Array<std::uint32_t>& odd_gene,
                                          const Array<std::uint8_t>& odd_proposal, const Array<double>& odd,
                                          bool inverse, bool round, std::size_t n_genes) {
    require(n_genes < (std::size_t{1} << 32) - tile_size, "at most 2^32 genes can be addressed");
    const std::size_t tiles = (n_genes + tile_size - 1) / tile_size;
    require(common.ndim() == 3 && static_cast<std::size_t>(common.shape(0)) == tiles &&
                common.shape(1) == 7 && common.shape(2) == static_cast<py::ssize_t>(tile_size),
            "common must have shape (genes / 256, rounded up; 7; 256)");
    const auto masked = input(keep);
    require(masked.empty() || masked.size() == tiles * tile_size,
            "keep must be empty or have an element per gene of the tiles");
    const auto genes = input(odd_gene);
    require(odd.ndim() == 2 && odd.shape(0) == 7 && static_cast<std::size_t>(odd.shape(1)) == genes.size() &&
                input(odd_proposal).size() == genes.size(),
            "odd must have shape (7, odd genes), odd_proposal one element per odd gene");
    for (std::size_t i = 0; i < genes.size(); ++i) {
        require(genes[i] < n_genes && (i == 0 || genes[i - 1] < genes[i]),
                "odd_gene must be ascending genes of the rows of out");
    }
    const auto whole = [&](std::size_t row) { return matrix_row(odd, row); };
    return {
        inverse ? Sampler::inverse : Sampler::rejection,
        round,
        {input(common), masked},
        {genes, input(odd_proposal), whole(0), whole(1), whole(2), whole(3), whole(4), whole(5), whole(6)}};
}

inline TruncatedGaussianPurposes checked_purposes(const std::array<std::uint32_t, 3>& purposes) {
    for (const std::uint32_t purpose : purposes) require(purpose < 256, "a purpose must be below 256");
    return {purposes[0], purposes[1], purposes[2]};
}

}  // namespace bulkgen::bindings
