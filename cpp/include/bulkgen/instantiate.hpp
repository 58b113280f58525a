// The value and index types that every sparse kernel is compiled for.
#pragma once

#include <cstdint>

#define BULKGEN_FOR_EACH_CSR(MACRO)   \
    MACRO(float, std::int32_t)        \
    MACRO(float, std::int64_t)        \
    MACRO(double, std::int32_t)       \
    MACRO(double, std::int64_t)       \
    MACRO(std::int32_t, std::int32_t) \
    MACRO(std::int32_t, std::int64_t) \
    MACRO(std::int64_t, std::int32_t) \
    MACRO(std::int64_t, std::int64_t)
