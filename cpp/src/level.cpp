#include "bulkgen/level.hpp"

namespace bulkgen {

Level best_level() noexcept {
#ifdef BULKGEN_X86_LEVELS
    // asks the operating system too: registers that it does not save cannot be used
    __builtin_cpu_init();
    // every feature of the level: a missing LZCNT, say, would give wrong numbers, not a fault
    return __builtin_cpu_supports("x86-64-v4")   ? Level::v4
           : __builtin_cpu_supports("x86-64-v3") ? Level::v3
                                                 : Level::baseline;
#else
    return Level::baseline;
#endif
}

std::string_view level_name(Level level) noexcept {
    return level == Level::v4 ? "x86-64-v4" : (level == Level::v3 ? "x86-64-v3" : "baseline");
}

std::optional<Level> level_of_name(std::string_view name) noexcept {
    for (const Level level : {Level::baseline, Level::v3, Level::v4}) {
        if (level_name(level) == name) return level;
    }
    return std::nullopt;
}

}  // namespace bulkgen
