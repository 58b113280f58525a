"""Numba twins of the kernels over sparse matrices: csr, group_moments, group_sums."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "check_csr",
    "group_moments_integer",
    "group_moments_real",
    "group_sums",
    "group_sums_count",
]


@njit(cache=True, nogil=True)
def check_csr(indptr, indices, data, n_columns, first_row, last_row):  # type: ignore[no-untyped-def]
    """First offender of each kind, in the order of ``CsrReport``."""
    bad_index = unsorted_row = not_finite = negative = fractional = -1
    largest = 0.0
    n_entries = data.size
    if indptr[0] != 0 or indptr[-1] != n_entries:
        return 0, bad_index, unsorted_row, not_finite, negative, fractional, largest
    for row in range(first_row, last_row):
        if indptr[row] < 0 or indptr[row] > indptr[row + 1] or indptr[row + 1] > n_entries:
            return row, bad_index, unsorted_row, not_finite, negative, fractional, largest
        previous = np.int64(-1)
        for i in range(indptr[row], indptr[row + 1]):
            column = np.int64(indices[i])
            if bad_index < 0 and (column < 0 or column >= n_columns):
                bad_index = i
            if unsorted_row < 0 and column <= previous:
                unsorted_row = row
            previous = column
            value = np.float64(data[i])
            if not np.isfinite(value):
                if not_finite < 0:
                    not_finite = i
                continue
            if fractional < 0 and np.trunc(value) != value:
                fractional = i
            if negative < 0 and value < 0:
                negative = i
            largest = max(largest, value)
    return -1, bad_index, unsorted_row, not_finite, negative, fractional, largest


@njit(cache=True, nogil=True)
def group_moments_integer(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    data,
    rows,
    offsets,
    nonzeros,
    total,
    sum_squares,
    largest,
    n_genes,
    first_group,
    last_group,
):
    """Exact integer accumulators."""
    for group in range(first_group, last_group):
        base = group * n_genes
        for r in range(offsets[group], offsets[group + 1]):
            for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
                gene = np.int64(indices[i])
                if data[i] != 0 and gene >= 0 and gene < n_genes:
                    slot = base + gene
                    count = np.int64(data[i])
                    nonzeros[slot] += 1
                    total[slot] += count
                    sum_squares[slot] += count * count
                    largest[slot] = max(largest[slot], np.float64(data[i]))


@njit(cache=True, nogil=True)
def group_moments_real(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    data,
    rows,
    offsets,
    nonzeros,
    total,
    mean,
    squares,
    largest,
    n_genes,
    first_group,
    last_group,
):
    """Welford accumulators of the non-zero values."""
    for group in range(first_group, last_group):
        base = group * n_genes
        for r in range(offsets[group], offsets[group + 1]):
            for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
                gene = np.int64(indices[i])
                if data[i] != 0 and gene >= 0 and gene < n_genes:
                    slot = base + gene
                    x = np.float64(data[i])
                    nonzeros[slot] += 1
                    total[slot] += x
                    delta = x - mean[slot]
                    new_mean = mean[slot] + delta / np.float64(nonzeros[slot])
                    mean[slot] = new_mean
                    squares[slot] += delta * (x - new_mean)
                    largest[slot] = max(largest[slot], x)


@njit(cache=True, nogil=True)
def group_sums_count(indptr, indices, data, rows, offsets, out, n_genes, first_group, last_group):  # type: ignore[no-untyped-def]
    """Count the genes with a non-zero entry in each group."""
    seen = np.full(n_genes, -1, np.int64)
    for group in range(first_group, last_group):
        count = np.int64(0)
        for r in range(offsets[group], offsets[group + 1]):
            for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
                gene = np.int64(indices[i])
                if data[i] != 0 and gene >= 0 and gene < n_genes and seen[gene] != group:
                    seen[gene] = group
                    count += 1
        out[group] = count


@njit(cache=True, nogil=True)
def group_sums(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    data,
    rows,
    offsets,
    out_indptr,
    out_indices,
    out_data,
    n_genes,
    first_group,
    last_group,
):
    """Write the sums of each group, columns ascending; returns False where `out_indptr` does not match."""
    seen = np.zeros(n_genes, np.bool_)
    totals = np.zeros(n_genes, out_data.dtype)
    for group in range(first_group, last_group):
        for r in range(offsets[group], offsets[group + 1]):
            for i in range(indptr[rows[r]], indptr[rows[r] + 1]):
                gene = np.int64(indices[i])
                if data[i] != 0 and gene >= 0 and gene < n_genes:
                    seen[gene] = True
                    totals[gene] += out_data.dtype.type(data[i])
        slot = out_indptr[group]
        if slot < 0 or out_indptr[group + 1] > out_data.size:
            return False
        for column in range(n_genes):
            if seen[column]:
                if slot >= out_indptr[group + 1]:
                    return False
                out_indices[slot] = column
                out_data[slot] = totals[column]
                seen[column] = False
                totals[column] = 0
                slot += 1
        if slot != out_indptr[group + 1]:
            return False
    return True
