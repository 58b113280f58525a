// The arrays of a truncated Gaussian plan.
#pragma once

#include "arrays.hpp"
#include "bulkgen/checked/truncated_gaussian.hpp"

namespace bulkgen::bindings {

inline checked::TruncatedGaussianArrays plan_of(const Array<float>& common, const Array<std::uint32_t>& keep,
                                                const Array<std::uint32_t>& odd_gene,
                                                const Array<std::uint8_t>& odd_proposal,
                                                const Array<double>& odd, bool inverse, bool round) {
    checked::require(common.ndim() == 3 && common.shape(1) == CommonGenes::fields &&
                         common.shape(2) == static_cast<py::ssize_t>(tile_size),
                     "common must have shape (genes / 256, rounded up; 7; 256)");
    checked::require(odd.ndim() == 2 && odd.shape(0) == 7 && odd.shape(1) == odd_gene.size(),
                     "odd must have shape (7, odd genes), odd_proposal one element per odd gene");
    return {input(common), input(keep), input(odd_gene), input(odd_proposal), input(odd), inverse, round};
}

}  // namespace bulkgen::bindings
