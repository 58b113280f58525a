#include <string>
#include <vector>

#include "arrays.hpp"
#include "bulkgen/checked/require.hpp"

namespace bulkgen::bindings {

std::atomic<Level> chosen_level{best_level()};

void register_level(py::module_& module) {
    module.def("levels", [] {
        std::vector<std::string> names;
        for (const Level level : {Level::baseline, Level::v3, Level::v4}) {
            if (level <= best_level()) names.emplace_back(level_name(level));
        }
        return names;
    });
    module.def("level", [] { return std::string(level_name(chosen_level)); });
    module.def(
        "use_level",
        [](const std::string& name) {
            const auto level = level_of_name(name);
            checked::require(level.has_value() && *level <= best_level(),
                             "not an instruction-set level that this build and this processor have");
            chosen_level = *level;
        },
        py::arg("name"));
}

}  // namespace bulkgen::bindings
