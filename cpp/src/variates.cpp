#include "bulkgen/variates.hpp"

#include "bulkgen/discrete.hpp"

namespace bulkgen {

namespace {

double variate(WordStream& stream, Law law, const LawParameters& with) noexcept {
    switch (law) {
        case Law::bernoulli:
            return bernoulli(stream, with.first) ? 1.0 : 0.0;
        case Law::poisson:
            return static_cast<double>(poisson(stream, with.first));
        case Law::binomial:
            return static_cast<double>(binomial(stream, static_cast<std::int64_t>(with.first), with.second));
        case Law::log_series:
            return static_cast<double>(log_series(stream, with.first, with.second));
        case Law::geometric:
            return static_cast<double>(geometric(stream, with.first, with.second));
        case Law::geometric_sum:
            return static_cast<double>(
                geometric_sum(stream, static_cast<std::int64_t>(with.first), with.second, with.third));
        case Law::gamma:
            return gamma(stream, with.first);
        case Law::beta:
            return beta(stream, with.first, with.second);
    }
    return 0.0;
}

}  // namespace

template <Level level>
void variates(Law law, const LawParameters& parameters, std::uint64_t key, std::uint32_t purpose,
              std::uint64_t first_cell, std::size_t n_values, std::span<double> out) noexcept {
    const std::size_t n_cells = out.size() / n_values;
    for (std::size_t c = 0; c < n_cells; ++c) {
        WordStream stream(key, purpose, first_cell + c);
        for (std::size_t i = 0; i < n_values; ++i) out[c * n_values + i] = variate(stream, law, parameters);
    }
}

template void variates<Level::BULKGEN_LEVEL>(Law, const LawParameters&, std::uint64_t, std::uint32_t,
                                             std::uint64_t, std::size_t, std::span<double>) noexcept;

}  // namespace bulkgen
