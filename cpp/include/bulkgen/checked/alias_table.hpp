#pragma once

#include <vector>

#include "bulkgen/checked/cells.hpp"

namespace bulkgen::checked {

inline void alias_table(Level level, std::span<const double> weights, std::span<std::uint64_t> threshold,
                        std::span<std::int32_t> other) {
    require_gene_number(weights.size());
    require(threshold.size() == weights.size() && other.size() == weights.size(),
            "weights, threshold and other must have equal length");
    std::vector<std::int64_t> mass(weights.size());
    std::vector<std::int32_t> order(weights.size());
    at_level(level, [&](auto at) { bulkgen::alias_table<at.level>(weights, mass, order, threshold, other); });
}

}  // namespace bulkgen::checked
