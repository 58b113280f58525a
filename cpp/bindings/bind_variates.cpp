#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/variates.hpp"
#include "sparse_rows.hpp"

namespace bulkgen::bindings {

void register_variates(py::module_& module) {
    module.def(
        "variates",
        [](Array<double>& out, const Array<double>& parameters, std::uint8_t law, std::uint64_t key,
           std::uint32_t purpose, std::uint64_t first_cell) {
            require(out.ndim() == 2, "out must have two dimensions: cells x values");
            const auto values = output(out);
            const auto given = input(parameters);
            require(given.size() == 3, "parameters must hold three numbers");
            require(law <= static_cast<std::uint8_t>(Law::beta), "law must be the number of a law");
            const bool counted = law == static_cast<std::uint8_t>(Law::binomial) ||
                                 law == static_cast<std::uint8_t>(Law::geometric_sum);
            require(!counted || (given[0] >= 0.0 && given[0] <= 0x1p53),
                    "a number of trials must lie in [0, 2^53]");
            checked_purpose(purpose);
            if (values.empty()) return;
            const LawParameters with{given[0], given[1], given[2]};
            const auto n_values = static_cast<std::size_t>(out.shape(1));
            py::gil_scoped_release release;
            at_level(chosen_level, [&](auto level) {
                variates<level.level>(static_cast<Law>(law), with, key, purpose, first_cell, n_values,
                                      values);
            });
        },
        py::arg("out").noconvert(), py::arg("parameters").noconvert(), py::kw_only(), py::arg("law"),
        py::arg("key"), py::arg("purpose"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
