#include "arrays.hpp"
#include "bulkgen/checked/philox.hpp"

namespace bulkgen::bindings {

void register_philox(py::module_& module) {
    module.def(
        "philox_words",
        [](Array<std::uint32_t>& out, std::uint64_t key, std::uint32_t purpose, std::uint64_t first_cell) {
            const std::size_t n_positions =
                row_length(out, "out must have two dimensions: cells x positions");
            unlocked(checked::philox_words, key, purpose, first_cell, n_positions, output(out));
        },
        py::arg("out").noconvert(), py::kw_only(), py::arg("key"), py::arg("purpose"), py::arg("first_cell"));
    module.def(
        "philox_block",
        [](Array<std::uint32_t>& out, const Array<std::uint32_t>& counter, std::uint64_t key) {
            const auto in = input(counter);
            const auto words = output(out);
            checked::require(in.size() == 4 && words.size() == 4, "counter and out must hold four words");
            const Block block = philox({in[0], in[1], in[2], in[3]}, key);
            for (std::size_t i = 0; i < 4; ++i) words[i] = block[i];
        },
        py::arg("out").noconvert(), py::arg("counter").noconvert(), py::kw_only(), py::arg("key"));
}

}  // namespace bulkgen::bindings
