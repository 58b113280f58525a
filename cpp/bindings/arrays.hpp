// NumPy arrays as spans: exact dtype, C-contiguous, aligned, no silent copies. What a kernel may be given is
// checked behind, in bulkgen/checked.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <span>

#include "bindings.hpp"
#include "bulkgen/csr.hpp"
#include "bulkgen/groups.hpp"
#include "bulkgen/row_encoder.hpp"
#include "bulkgen/sparse_rows.hpp"

namespace bulkgen::bindings {

namespace py = pybind11;

template <typename T>
using Array = py::array_t<T, py::array::c_style>;

/// Throws TypeError where an element does not begin where its type may.
template <typename T>
void require_aligned(const Array<T>& array) {
    if ((array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) {
        throw py::type_error("every array must be aligned to its type");
    }
}

template <typename T>
std::span<const T> input(const Array<T>& array) {
    require_aligned(array);
    return {array.data(), static_cast<std::size_t>(array.size())};
}

/// Throws ValueError if the array is read-only.
template <typename T>
std::span<T> output(Array<T>& array) {
    require_aligned(array);
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

template <typename Value, typename Index>
Csr<Value, Index> matrix_of(const Array<std::int64_t>& indptr, const Array<Index>& indices,
                            const Array<Value>& data) {
    return {input(indptr), input(indices), input(data)};
}

inline Groups groups_of(const Array<std::int64_t>& rows, const Array<std::int64_t>& offsets) {
    return {input(rows), input(offsets)};
}

inline ColumnTokens columns_of(const Array<std::int32_t>& token, const Array<double>& median,
                               const Array<std::int32_t>& first_column) {
    return {input(token), input(median), input(first_column)};
}

inline SparseRows rows_of(Array<std::int64_t>& indptr, Array<std::int32_t>& columns, Array<float>& values) {
    return {output(indptr), output(columns), output(values)};
}

/// The length of the rows of a matrix.
template <typename T>
std::size_t row_length(const Array<T>& matrix, const char* message) {
    if (matrix.ndim() != 2) throw py::value_error(message);
    return static_cast<std::size_t>(matrix.shape(1));
}

/// Check the arguments and run the kernel at the chosen level, without the interpreter lock.
template <typename Entry, typename... Arguments>
auto unlocked(Entry entry, const Arguments&... arguments) {
    py::gil_scoped_release release;
    return entry(chosen_level.load(), arguments...);
}

inline py::tuple rows_added(const RowsAdded& added) { return py::make_tuple(added.bad_row, added.largest); }

}  // namespace bulkgen::bindings
