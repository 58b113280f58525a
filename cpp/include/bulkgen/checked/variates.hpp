#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/variates.hpp"

namespace bulkgen::checked {

inline void variates(Level level, std::uint8_t number, std::span<const double> parameters, std::uint64_t key,
                     std::uint32_t purpose, std::uint64_t first_cell, std::size_t n_values,
                     std::span<double> out) {
    require(parameters.size() == 3, "parameters must hold three numbers");
    require(number <= static_cast<std::uint8_t>(Law::beta), "law must be the number of a law");
    const auto law = static_cast<Law>(number);
    const bool counted = law == Law::binomial || law == Law::geometric_sum;
    require(!counted || (parameters[0] >= 0.0 && parameters[0] <= 0x1p53),
            "a number of trials must lie in [0, 2^53]");
    require_purposes({purpose});
    require(n_values == 0 ? out.empty() : out.size() % n_values == 0, "out must have shape (cells, values)");
    if (out.empty()) return;
    at_level(level, [&](auto at) {
        bulkgen::variates<at.level>(law, {parameters[0], parameters[1], parameters[2]}, key, purpose,
                                    first_cell, n_values, out);
    });
}

}  // namespace bulkgen::checked
