#include <vector>

#include "alias_arrays.hpp"
#include "arrays.hpp"
#include "bindings.hpp"
#include "bulkgen/alias.hpp"

namespace bulkgen::bindings {

void register_alias_table(py::module_& module) {
    module.def(
        "alias_table",
        [](const Array<double>& weights, Array<std::uint64_t>& threshold, Array<std::int32_t>& other) {
            const auto in = input(weights);
            const auto thresholds = output(threshold);
            const auto others = output(other);
            require_gene_number(in.size());
            require(thresholds.size() == in.size() && others.size() == in.size(),
                    "weights, threshold and other must have equal length");
            py::gil_scoped_release release;
            std::vector<std::int64_t> mass(in.size());
            std::vector<std::int32_t> order(in.size());
            at_level(chosen_level,
                     [&](auto level) { alias_table<level.level>(in, mass, order, thresholds, others); });
        },
        py::arg("weights").noconvert(), py::arg("threshold").noconvert(), py::arg("other").noconvert());
}

}  // namespace bulkgen::bindings
