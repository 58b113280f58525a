// How an entry point refuses its arguments.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace bulkgen::checked {

/// std::invalid_argument is Python's ValueError.
inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

inline void require_range(std::size_t first, std::size_t last, std::size_t size, const char* what) {
    if (first > last || last > size) {
        throw std::invalid_argument(std::string(what) + " range is not within [0, " + std::to_string(size) +
                                    "]");
    }
}

/// size == rows x columns x fields, none of the products of which may wrap; columns fit an int32.
inline bool has_shape(std::size_t size, std::size_t rows, std::size_t columns, std::size_t fields = 1) {
    if (columns > 0x7fffffffU) return false;
    const std::size_t row = columns * fields;
    return row == 0 ? size == 0 : size % row == 0 && size / row == rows;
}

}  // namespace bulkgen::checked
