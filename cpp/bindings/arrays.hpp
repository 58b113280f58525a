// NumPy arrays as spans: exact dtype, C-contiguous, no silent copies.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <string>

#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"

namespace bulkgen::bindings {

namespace py = pybind11;

template <typename T>
using Array = py::array_t<T, py::array::c_style>;

template <typename T>
std::span<const T> input(const Array<T>& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

/// Throws ValueError if the array is read-only.
template <typename T>
std::span<T> output(Array<T>& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

inline void require(bool condition, const char* message) {
    if (!condition) throw py::value_error(message);
}

inline void require_range(std::size_t first, std::size_t last, std::size_t size, const char* what) {
    if (first > last || last > size) {
        throw py::value_error(std::string(what) + " range is not within [0, " + std::to_string(size) + "]");
    }
}

/// size == rows x columns x fields, none of the products of which may wrap; columns fit an int32.
inline bool has_shape(std::size_t size, std::size_t rows, std::size_t columns, std::size_t fields = 1) {
    if (columns > 0x7fffffffU) return false;
    const std::size_t row = columns * fields;
    return row == 0 ? size == 0 : size % row == 0 && size / row == rows;
}

/// Pointers monotone from 0 to the number of entries: after this no row reads outside the arrays.
template <typename Value, typename Index>
Csr<Value, Index> checked_csr(const Array<std::int64_t>& indptr, const Array<Index>& indices,
                              const Array<Value>& data) {
    const Csr<Value, Index> matrix{input(indptr), input(indices), input(data)};
    require(!matrix.indptr.empty(), "indptr must have at least one element");
    require(matrix.indices.size() == matrix.data.size(), "indices and data must have equal length");
    require(
        matrix.indptr.front() == 0 && matrix.indptr.back() == static_cast<std::int64_t>(matrix.data.size()),
        "indptr must run from 0 to the number of stored entries");
    for (std::size_t row = 0; row < matrix.rows(); ++row) {
        require(matrix.indptr[row] <= matrix.indptr[row + 1], "indptr must not decrease");
    }
    return matrix;
}

inline Groups checked_groups(const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets,
                             std::size_t n_rows) {
    const Groups groups{input(rows), input(offsets)};
    require(!groups.offsets.empty() && groups.offsets.front() == 0 &&
                groups.offsets.back() == static_cast<std::int64_t>(groups.rows.size()),
            "offsets must run from 0 to the number of grouped rows");
    for (std::size_t g = 0; g + 1 < groups.offsets.size(); ++g) {
        require(groups.offsets[g] <= groups.offsets[g + 1], "offsets must not decrease");
    }
    for (const std::int64_t row : groups.rows) {
        require(row >= 0 && static_cast<std::size_t>(row) < n_rows, "rows must be rows of the matrix");
    }
    return groups;
}

inline py::tuple rows_added(const RowsAdded& added) { return py::make_tuple(added.bad_row, added.largest); }

}  // namespace bulkgen::bindings
