// The smallest test harness: CHECK prints what failed, failures() is the exit code.
#pragma once

#include <cstdio>

#include "bulkgen/level.hpp"

namespace bulkgen::tests {
inline int failed = 0;
inline int failures() { return failed == 0 ? 0 : 1; }

/// Run a test at every instruction-set level of this processor; the exit code of the program.
template <typename Test>
int at_each_level(Test&& test) {
    for (const Level level : {Level::baseline, Level::v3, Level::v4}) {
        if (level <= best_level()) at_level(level, test);
    }
    return failures();
}
}  // namespace bulkgen::tests

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            ++bulkgen::tests::failed;                                                    \
        }                                                                                \
    } while (false)
