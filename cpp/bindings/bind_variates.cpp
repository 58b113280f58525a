#include "arrays.hpp"
#include "bulkgen/checked/variates.hpp"

namespace bulkgen::bindings {

void register_variates(py::module_& module) {
    module.def(
        "variates",
        [](Array<double>& out, const Array<double>& parameters, std::uint8_t law, std::uint64_t key,
           std::uint32_t purpose, std::uint64_t first_cell) {
            const std::size_t n_values = row_length(out, "out must have two dimensions: cells x values");
            unlocked(checked::variates, law, input(parameters), key, purpose, first_cell, n_values,
                     output(out));
        },
        py::arg("out").noconvert(), py::arg("parameters").noconvert(), py::kw_only(), py::arg("law"),
        py::arg("key"), py::arg("purpose"), py::arg("first_cell"));
}

}  // namespace bulkgen::bindings
