#include "arrays.hpp"
#include "bulkgen/checked/alias_table.hpp"

namespace bulkgen::bindings {

void register_alias_table(py::module_& module) {
    module.def(
        "alias_table",
        [](const Array<double>& weights, Array<std::uint64_t>& threshold, Array<std::int32_t>& other) {
            unlocked(checked::alias_table, input(weights), output(threshold), output(other));
        },
        py::arg("weights").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert());
}

}  // namespace bulkgen::bindings
