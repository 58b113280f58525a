// The smallest test harness: CHECK prints what failed, failures() is the exit code.
#pragma once

#include <cstdio>

namespace bulkgen::tests {
inline int failed = 0;
inline int failures() { return failed == 0 ? 0 : 1; }
}  // namespace bulkgen::tests

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            ++bulkgen::tests::failed;                                                    \
        }                                                                                \
    } while (false)
