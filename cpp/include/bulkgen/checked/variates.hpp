#pragma once

#include "bulkgen/checked/cells.hpp"
#include "bulkgen/variates.hpp"

namespace bulkgen::checked {

/// Numbers that are no parameters end in no variate, or in one that no whole number holds. A chance, a mean
/// or the shape of a gamma law may be any number: what is not above 0 counts as 0.
inline bool law_allows(Law law, const LawParameters& with) {
    const auto trials = [](double n) { return n >= 0.0 && n <= 0x1p53; };
    const auto failure = [](double f, double log_f) { return f >= 0.0 && f < 1.0 && log_f < 0.0; };
    switch (law) {
        case Law::binomial:
            return trials(with.first);
        case Law::log_series:
            return with.first > 0.0 && with.first < 1.0 && with.second < 0.0;
        case Law::geometric:
            return failure(with.first, with.second);
        case Law::geometric_sum:
            return trials(with.first) && failure(with.second, with.third);
        case Law::beta:
            return are_shapes(with.first, with.second);
        default:
            return true;
    }
}

inline void variates(Level level, std::uint8_t number, std::span<const double> parameters, std::uint64_t key,
                     std::uint32_t purpose, std::uint64_t first_cell, std::size_t n_values,
                     std::span<double> out) {
    require(parameters.size() == 3, "parameters must hold three numbers");
    require(number <= static_cast<std::uint8_t>(Law::beta), "law must be the number of a law");
    const auto law = static_cast<Law>(number);
    require(law_allows(law, {parameters[0], parameters[1], parameters[2]}),
            "parameters must be those that the law allows");
    require_purposes({purpose});
    require(n_values == 0 ? out.empty() : out.size() % n_values == 0, "out must have shape (cells, values)");
    if (out.empty()) return;
    at_level(level, [&](auto at) {
        bulkgen::variates<at.level>(law, {parameters[0], parameters[1], parameters[2]}, key, purpose,
                                    first_cell, n_values, out);
    });
}

}  // namespace bulkgen::checked
