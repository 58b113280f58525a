// Instruction-set levels: every kernel is compiled once per level, from the same plain loops, and gives the
// same bits at each. One is chosen at run time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkgen {

/// The x86-64 levels of the psABI; every other architecture has the baseline alone.
enum class Level : std::uint8_t { baseline, v3, v4 };

/// The highest level that was compiled and that this processor and operating system run. Pure.
Level best_level() noexcept;

/// "baseline", "x86-64-v3", "x86-64-v4".
std::string_view level_name(Level level) noexcept;
std::optional<Level> level_of_name(std::string_view name) noexcept;

template <Level value>
struct LevelTag {
    static constexpr Level level = value;
};

/// Call run(LevelTag) for a level that best_level() allows: run calls kernel<decltype(tag)::level>(...).
template <typename Run>
decltype(auto) at_level([[maybe_unused]] Level level, Run&& run) {
#ifdef BULKGEN_X86_LEVELS
    if (level == Level::v4) return run(LevelTag<Level::v4>{});
    if (level == Level::v3) return run(LevelTag<Level::v3>{});
#endif
    return run(LevelTag<Level::baseline>{});
}

}  // namespace bulkgen
