"""Numba twins of the kernels over sparse matrices: csr, group_moments, group_sums, rank_tokens."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "check_csr",
    "count_tokens",
    "group_moments_integer",
    "group_moments_real",
    "group_sums",
    "group_sums_count",
    "rank_tokens",
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


@njit(cache=True, nogil=True)
def count_tokens(indptr, indices, data, token, out, first_row, last_row):  # type: ignore[no-untyped-def]
    """Count the non-zero genes of each row that have a token."""
    n_columns = token.size
    for row in range(first_row, last_row):
        count = 0
        for i in range(indptr[row], indptr[row + 1]):
            column = np.int64(indices[i])
            if data[i] != 0 and column >= 0 and column < n_columns and token[column] >= 0:
                count += 1
        out[row] = count


@njit(cache=True, nogil=True)
def rank_tokens(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    data,
    token,
    median,
    out_offsets,
    out,
    out_counts,
    most_genes,
    cls,
    eos,
    first_row,
    last_row,
):
    """Tokens by descending value, ties by ascending column; returns False where `out_offsets` does not match."""
    n_columns = token.size
    longest = 0
    for row in range(first_row, last_row):
        longest = max(longest, indptr[row + 1] - indptr[row])
    negated = np.empty(longest, np.float64)
    entry = np.empty(longest, np.int64)
    special = np.int64(cls >= 0) + np.int64(eos >= 0)
    for row in range(first_row, last_row):
        n = 0
        for i in range(indptr[row], indptr[row + 1]):
            column = np.int64(indices[i])
            if data[i] != 0 and column >= 0 and column < n_columns and token[column] >= 0:
                # negated so that an ascending stable sort leaves ties in column order
                negated[n] = -(np.float64(data[i]) / median[column])
                entry[n] = i
                n += 1
        kept = min(n, most_genes)
        slot = out_offsets[row]
        end = out_offsets[row + 1]
        if slot < 0 or end - slot != kept + special or end > out.size:
            return False
        order = np.argsort(negated[:n], kind="mergesort")
        if cls >= 0:
            out[slot] = cls
            if out_counts.size > 0:
                out_counts[slot] = 0.0
            slot += 1
        for j in range(kept):
            i = entry[order[j]]
            out[slot] = token[indices[i]]
            if out_counts.size > 0:
                out_counts[slot] = data[i]
            slot += 1
        if eos >= 0:
            out[slot] = eos
            if out_counts.size > 0:
                out_counts[slot] = 0.0
    return True
