"""Numba twins of the kernels over sparse matrices: csr, group_moments, group_sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "check_csr",
    "group_moments_integer",
    "group_moments_real",
    "group_sums",
    "group_sums_count",
    "group_sums_dense",
    "value_of",
    "with_bits",
]


# What sums of integers and of real numbers take.
_WHOLE, _ANY = True, False

# Values come as (data, bits, beyond, unit, too_large): their bits read as unsigned integers, whose order is that of
# non-negative numbers; the bits from which on a value is negative, infinite or NaN; a step whose addition leaves no
# bits for a fraction; the bits from which on a value does not fit a 64-bit integer.
_LIMITS = {
    np.float32: (np.uint32(0x7F800000), np.float32(2**23), np.float32(2**63).view(np.uint32)),
    np.float64: (np.uint64(0x7FF0000000000000), np.float64(2**52), np.float64(2**63).view(np.uint64)),
    np.int32: (np.uint32(2**31), np.int32(0), np.uint32(2**31)),
    np.int64: (np.uint64(2**63), np.int64(0), np.uint64(2**63)),
}


def with_bits(data: NDArray[Any]) -> tuple[Any, ...]:
    """Return the stored values as the kernels take them."""
    return data, data.view(np.uint32 if data.dtype.itemsize == 4 else np.uint64), *_LIMITS[data.dtype.type]


def value_of(most: int, values: tuple[Any, ...]) -> float:
    """Return the value with these bits as a double."""
    data, bits = values[:2]
    return float(np.array([most], bits.dtype).view(data.dtype)[0])


@njit(cache=True, nogil=True)
def _columns_increase_within(columns, first, last):  # type: ignore[no-untyped-def]
    """Whether columns are strictly increasing and within [first, last); no branch per entry, so that it vectorises."""
    if columns.size == 0:
        return True
    falls = np.uint8(0)
    for i in range(1, columns.size):
        falls |= np.uint8(columns[i] <= columns[i - 1])
    return falls == 0 and columns[0] >= first and columns[-1] < last


@njit(cache=True, nogil=True)
def _scan_values(values, begin, end):  # type: ignore[no-untyped-def]
    """Whether all are surely finite and not negative, whether one may be fractional, and the largest bits."""
    data, bits, beyond, unit, _ = values
    row, row_bits = data[begin:end], bits[begin:end]
    most = beyond ^ beyond
    for i in range(row_bits.size):
        most = max(most, row_bits[i])
    fractional = np.uint8(0)
    for i in range(row.size):
        fractional |= np.uint8((row[i] + unit) - unit != row[i])
    return most < beyond, fractional != 0, most


@njit(cache=True, nogil=True)
def _values_are_counts(values, begin, end, whole, largest):  # type: ignore[no-untyped-def]
    """Whether every value may be added; the bits of the largest of them and of `largest`."""
    surely, fractional, most = _scan_values(values, begin, end)
    if surely and not (whole and (fractional or most >= values[4])):
        return True, max(largest, most)
    data, bits = values[0], values[1]
    for i in range(begin, end):
        value = np.float64(data[i])
        if not np.isfinite(value) or value < 0 or (whole and (np.trunc(value) != value or value >= 2.0**63)):
            return False, largest
        if value > 0:
            largest = max(largest, bits[i])
    return True, largest


@njit(cache=True, nogil=True)
def _lower_bound(columns, begin, end, key):  # type: ignore[no-untyped-def]
    """Position of the first of increasing columns that is at least `key`, by the steps of the native search."""
    n = end - begin
    while n > 0:
        half = n // 2
        if columns[begin + half] < key:
            begin += half + 1
            n -= half + 1
        else:
            n = half
    return begin


@njit(cache=True, nogil=True)
def _checked_row(indptr, indices, values, row, genes, whole, largest):  # type: ignore[no-untyped-def]
    """Entries of a row in a range of genes, whether they are canonical there, and the largest bits."""
    first, last, n_genes = genes
    begin, end = indptr[row], indptr[row + 1]
    if last - first < n_genes:
        skipped = _lower_bound(indices, begin, end, first) if first > 0 else begin
        if last < n_genes:
            end = _lower_bound(indices, begin, end, last)
        begin = skipped
    if not _columns_increase_within(indices[begin:end], first, last):
        return begin, end, False, largest
    good, largest = _values_are_counts(values, begin, end, whole, largest)
    return begin, end, good, largest


@njit(cache=True, nogil=True)
def check_csr(indptr, indices, values, n_columns, first_row, last_row):  # type: ignore[no-untyped-def]
    """First offender of each kind, in the order of ``CsrReport``; the largest value last."""
    data, bits, beyond = values[:3]
    bad_index = unsorted_row = not_finite = negative = fractional = -1
    most = beyond ^ beyond
    n_entries = data.size
    if indptr[0] != 0 or indptr[-1] != n_entries:
        return 0, bad_index, unsorted_row, not_finite, negative, fractional, most
    for row in range(first_row, last_row):
        begin, end = indptr[row], indptr[row + 1]
        if begin < 0 or begin > end or end > n_entries:
            return row, bad_index, unsorted_row, not_finite, negative, fractional, most
        if not _columns_increase_within(indices[begin:end], 0, n_columns):
            previous = np.int64(-1)
            for i in range(begin, end):
                column = np.int64(indices[i])
                if bad_index < 0 and (column < 0 or column >= n_columns):
                    bad_index = i
                if unsorted_row < 0 and column <= previous:
                    unsorted_row = row
                previous = column
        surely, maybe_fractional, row_most = _scan_values(values, begin, end)
        if surely and not (maybe_fractional and fractional < 0):
            most = max(most, row_most)
            continue
        for i in range(begin, end):
            value = np.float64(data[i])
            if not np.isfinite(value):
                if not_finite < 0:
                    not_finite = i
                continue
            if fractional < 0 and np.trunc(value) != value:
                fractional = i
            if value < 0:
                if negative < 0:
                    negative = i
            elif value > 0:
                most = max(most, bits[i])
    return -1, bad_index, unsorted_row, not_finite, negative, fractional, most


@njit(cache=True, nogil=True)
def group_moments_integer(  # type: ignore[no-untyped-def]
    indptr, indices, values, rows, offsets, genes, first_group, last_group, moments
):
    """Exact integer accumulators; the row that stopped it or -1, and the bits of the largest value."""
    data, n_genes = values[0], genes[2]
    largest = values[2] ^ values[2]
    for group in range(first_group, last_group):
        of_group = moments[group * n_genes : (group + 1) * n_genes]
        for r in range(offsets[group], offsets[group + 1]):
            begin, end, good, largest = _checked_row(indptr, indices, values, rows[r], genes, _WHOLE, largest)
            if not good:
                return rows[r], largest
            for i in range(begin, end):
                gene = np.uint64(indices[i])
                count = np.int64(data[i])
                of_group[gene, 0] += np.int64(count != 0)
                of_group[gene, 1] += count
                of_group[gene, 2] += count * count
                of_group[gene, 3] = max(of_group[gene, 3], count)
    return np.int64(-1), largest


@njit(cache=True, nogil=True)
def group_moments_real(  # type: ignore[no-untyped-def]
    indptr, indices, values, rows, offsets, genes, first_group, last_group, moments
):
    """Welford accumulators of the non-zero values; returns what group_moments_integer returns."""
    data, n_genes = values[0], genes[2]
    largest = values[2] ^ values[2]
    for group in range(first_group, last_group):
        of_group = moments[group * n_genes : (group + 1) * n_genes]
        for r in range(offsets[group], offsets[group + 1]):
            begin, end, good, largest = _checked_row(indptr, indices, values, rows[r], genes, _ANY, largest)
            if not good:
                return rows[r], largest
            for i in range(begin, end):
                x = np.float64(data[i])
                if x == 0:
                    continue
                gene = np.uint64(indices[i])
                nonzeros = of_group[gene, 0] + 1
                of_group[gene, 0] = nonzeros
                of_group[gene, 1] += x
                delta = x - of_group[gene, 2]
                mean = of_group[gene, 2] + delta / nonzeros
                of_group[gene, 2] = mean
                of_group[gene, 3] += delta * (x - mean)
                of_group[gene, 4] = max(of_group[gene, 4], x)
    return np.int64(-1), largest


@njit(cache=True, nogil=True)
def _add_group(indptr, indices, values, rows, offsets, genes, group, whole, largest, totals):  # type: ignore[no-untyped-def]
    """Add the rows of a group; the row that stopped it or -1, and the bits of the largest value."""
    data = values[0]
    to_sum = totals.dtype.type
    for r in range(offsets[group], offsets[group + 1]):
        begin, end, good, largest = _checked_row(indptr, indices, values, rows[r], genes, whole, largest)
        if not good:
            return rows[r], largest
        for i in range(begin, end):
            totals[np.uint64(indices[i])] += to_sum(data[i])
    return np.int64(-1), largest


@njit(cache=True, nogil=True)
def group_sums_dense(  # type: ignore[no-untyped-def]
    indptr, indices, values, rows, offsets, genes, whole, first_group, last_group, out
):
    """Write the sums of each group; returns what group_moments_integer returns."""
    first, last, n_genes = genes
    largest = values[2] ^ values[2]
    for group in range(first_group, last_group):
        totals = out[group * n_genes : (group + 1) * n_genes]
        totals[first:last] = 0
        bad_row, largest = _add_group(indptr, indices, values, rows, offsets, genes, group, whole, largest, totals)
        if bad_row >= 0:
            return bad_row, largest
    return np.int64(-1), largest


@njit(cache=True, nogil=True)
def group_sums_count(indptr, indices, rows, offsets, n_genes, first_group, last_group, out):  # type: ignore[no-untyped-def]
    """Count the genes with a stored entry in each group; the row that stopped it, or -1."""
    seen = np.zeros(n_genes, np.uint8)
    for group in range(first_group, last_group):
        for r in range(offsets[group], offsets[group + 1]):
            columns = indices[indptr[rows[r]] : indptr[rows[r] + 1]]
            if not _columns_increase_within(columns, 0, n_genes):
                return rows[r]
            for i in range(columns.size):
                seen[np.uint64(columns[i])] = 1
        count = np.int64(0)
        for gene in range(n_genes):
            count += seen[gene]
        seen[:] = 0
        out[group] = count
    return np.int64(-1)


@njit(cache=True, nogil=True)
def group_sums(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    values,
    rows,
    offsets,
    n_genes,
    whole,
    first_group,
    last_group,
    out_indptr,
    out_indices,
    out_data,
    out_counts,
):
    """Write the non-zero sums of each group, columns ascending; returns what group_moments_integer returns."""
    totals = np.zeros(n_genes, out_data.dtype)
    genes = (np.int64(0), np.int64(n_genes), np.int64(n_genes))
    largest = values[2] ^ values[2]
    for group in range(first_group, last_group):
        bad_row, largest = _add_group(indptr, indices, values, rows, offsets, genes, group, whole, largest, totals)
        if bad_row >= 0:
            return bad_row, largest
        slot, last = out_indptr[group], out_indptr[group + 1]
        gene = 0
        while gene < n_genes and slot < last:
            out_indices[slot] = gene
            out_data[slot] = totals[gene]
            slot += np.int64(totals[gene] != 0)
            gene += 1
        beyond = np.int64(0)
        while gene < n_genes:
            beyond += np.int64(totals[gene] != 0)
            gene += 1
        out_counts[group] = slot - out_indptr[group] + beyond
        out_indices[slot:last] = 0
        out_data[slot:last] = 0
        totals[:] = 0
    return np.int64(-1), largest
