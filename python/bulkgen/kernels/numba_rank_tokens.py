"""Numba twin of row_encoder.hpp and rank_tokens: `encode_row` is called by every kernel that has or makes rows."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["encode_row", "fill_divisors", "rank_tokens", "row_scratch"]

_MOST_DIGIT_BITS = 11
_NO_GENE = np.int64(0)
_SHARED_GENE = np.int64(np.iinfo(np.int64).min)
_LARGEST_KEY = np.int64(np.iinfo(np.int64).max)
_ENTRY = np.int64(2**32 - 1)
_MOST_COMPARED = 64


@njit(cache=True, nogil=True)
def fill_divisors(token, median, first_column, divisor):  # type: ignore[no-untyped-def]
    """Median; 0 for no token and for the place after the last; minus the median where a gene has several columns."""
    n = token.size
    for c in range(n):
        divisor[c] = 0.0 if token[c] < 0 else median[c]
    divisor[n] = 0.0
    for c in range(first_column.size):
        first = first_column[c]
        if first != c and token[c] >= 0:
            divisor[c] = -median[c]
            divisor[first] = -median[first]


@njit(cache=True, nogil=True)
def row_scratch(token, median, first_column, sum_type, longest):  # type: ignore[no-untyped-def]
    """Allocate what `encode_row` works in, for rows of at most `longest` entries; sums are int64 or float64."""
    divisor = np.empty(token.size + 1, np.float64)
    fill_divisors(token, median, first_column, divisor)
    return (
        divisor,
        np.zeros(first_column.size, sum_type),
        np.empty(2 << _MOST_DIGIT_BITS, np.uint32),
        np.empty(longest, np.int64),
        np.empty(longest, np.int64),
        np.empty(longest, np.int64),
        np.empty(longest, np.uint32),
        np.empty(longest, np.int64),
    )


@njit(cache=True, nogil=True)
def _fill_keys(columns, values, divisor, keys):  # type: ignore[no-untyped-def]
    """Fill keys as row_encoder.hpp does; return smallest, largest, genes, and whether a gene has several columns."""
    n = values.size
    outside = divisor.size - 1
    quotients = keys.view(np.float64)
    for i in range(n):
        if columns is None:
            divide_by = divisor[i]
        else:
            column = np.int64(columns[i])
            divide_by = divisor[column if column >= 0 and column < outside else outside]
        value = np.float64(values[i])
        if value > 0.0 and divide_by > 0.0:
            quotients[i] = value / divide_by
            keys[i] += 1
        else:
            keys[i] = _SHARED_GENE if value > 0.0 and divide_by < 0.0 else _NO_GENE
    smallest, largest = _LARGEST_KEY, _NO_GENE
    genes = 0
    every = np.int64(0)
    for i in range(n):
        key = keys[i]
        smallest = min(smallest, key if key > _NO_GENE else _LARGEST_KEY)
        largest = max(largest, key)
        genes += key > _NO_GENE
        every |= key
    return smallest, largest, genes, every < 0


@njit(cache=True, nogil=True)
def _first_of(columns, first_column, entry):  # type: ignore[no-untyped-def]
    if columns is None:
        return np.int64(first_column[entry])
    return np.int64(first_column[columns[entry]])


@njit(cache=True, nogil=True, error_model="numpy")
def _add_shared_genes(  # type: ignore[no-untyped-def]
    columns, values, median, first_column, sums, keys, shared, genes, smallest, largest
):
    """Add the columns of each gene that has several; the first of its entries gets the key, and stands for the gene."""
    found = 0
    for i in range(values.size):
        if keys[i] == _SHARED_GENE:
            first = _first_of(columns, first_column, i)
            if sums[first] == 0:
                shared[found] = i
                found += 1
            sums[first] += sums.dtype.type(values[i])
            if sums[first] < 0:
                # passed the largest integer: it stays there
                sums[first] = sums.dtype.type(_LARGEST_KEY)
            keys[i] = _NO_GENE
    quotients = keys.view(np.float64)
    for j in range(found):
        entry = np.int64(shared[j])
        first = _first_of(columns, first_column, entry)
        quotients[entry] = np.float64(sums[first]) / median[first]
        key = keys[entry] + 1
        # only a sum that overflowed is not above zero
        if key > _NO_GENE:
            keys[entry] = key
            smallest = min(smallest, key)
            largest = max(largest, key)
            genes += 1
        else:
            keys[entry] = _NO_GENE
    return found, genes, smallest, largest


@njit(cache=True, nogil=True)
def _steps_to_keep(keys, n, largest, shift, digit_bits, most_genes, counts):  # type: ignore[no-untyped-def]
    """Return how many steps, a multiple of what a digit holds, that hold the first `most_genes` genes."""
    digits = np.int64(1) << digit_bits
    counts[: digits + 1] = 0
    for i in range(n):
        key = keys[i]
        counts[((largest - key) >> shift) >> digit_bits if key > _NO_GENE else digits] += 1
    seen = digit = np.int64(0)
    while digit < digits and seen < most_genes:
        seen += np.int64(counts[digit])
        digit += 1
    return digit << digit_bits


@njit(cache=True, nogil=True)
def _sort_by_steps(genes, other, n, digit_bits, histogram):  # type: ignore[no-untyped-def]
    """Order genes by their steps, stably: a counting sort of each digit."""
    digits = np.int64(1) << digit_bits
    histogram[: 2 * digits] = 0
    mask = digits - 1
    for i in range(n):
        step = genes[i] >> 32
        histogram[step & mask] += 1
        histogram[digits + (step >> digit_bits)] += 1
    before_low = before_high = np.uint32(0)
    for digit in range(digits):
        here_low, here_high = histogram[digit], histogram[digits + digit]
        histogram[digit] = before_low
        histogram[digits + digit] = before_high
        before_low = np.uint32(before_low + here_low)
        before_high = np.uint32(before_high + here_high)
    for i in range(n):
        digit = (genes[i] >> 32) & mask
        other[histogram[digit]] = genes[i]
        histogram[digit] += 1
    for i in range(n):
        digit = digits + ((other[i] >> 32) >> digit_bits)
        genes[histogram[digit]] = other[i]
        histogram[digit] += 1


@njit(cache=True, nogil=True)
def _sift_down(order, genes, first, root, size):  # type: ignore[no-untyped-def]
    """Restore a heap whose largest element comes last in `order` (keys, and columns where keys are equal)."""
    keys, place = order
    while True:
        child = 2 * root + 1
        if child >= size:
            return
        if child + 1 < size:
            i, j = genes[first + child] & _ENTRY, genes[first + child + 1] & _ENTRY
            if keys[i] > keys[j] or (keys[i] == keys[j] and place[i] < place[j]):
                child += 1
        i, j = genes[first + root] & _ENTRY, genes[first + child] & _ENTRY
        if not (keys[i] > keys[j] or (keys[i] == keys[j] and place[i] < place[j])):
            return
        genes[first + root], genes[first + child] = genes[first + child], genes[first + root]
        root = child


@njit(cache=True, nogil=True)
def _settle_steps(genes, n, order, most):  # type: ignore[no-untyped-def]
    """Put genes of the same step into their order; False where a step holds too many to compare them."""
    keys, place = order
    j = 1
    while j < n:
        if genes[j] >> 32 == genes[j - 1] >> 32:
            first = j - 1
            ordered = True
            while j < n and genes[j] >> 32 == genes[first] >> 32:
                a, b = genes[j - 1] & _ENTRY, genes[j] & _ENTRY
                ordered &= keys[a] > keys[b] or (keys[a] == keys[b] and place[a] < place[b])
                j += 1
            if not ordered:
                size = j - first
                if size > most:
                    return False
                for root in range(size // 2 - 1, -1, -1):
                    _sift_down(order, genes, first, root, size)
                for end in range(size - 1, 0, -1):
                    genes[first], genes[first + end] = genes[first + end], genes[first]
                    _sift_down(order, genes, first, 0, end)
        j += 1
    return True


@njit(cache=True, nogil=True)
def _sort_by_keys(genes, other, n, keys, largest, digit_bits, histogram):  # type: ignore[no-untyped-def]
    """Order genes by the whole of their keys, stably, and number the different keys in place of steps."""
    mask = (np.int64(1) << (2 * digit_bits)) - 1
    shift = np.int64(0)
    while shift < 64:
        for i in range(n):
            entry = genes[i] & _ENTRY
            genes[i] = (((largest - keys[entry]) >> shift) & mask) << 32 | entry
        _sort_by_steps(genes, other, n, digit_bits, histogram)
        shift += 2 * digit_bits
    number = np.int64(0)
    previous = largest
    for i in range(n):
        entry = genes[i] & _ENTRY
        number += np.int64(keys[entry] != previous)
        previous = keys[entry]
        genes[i] = number << 32 | entry


@njit(cache=True, nogil=True)
def _rank_genes(size, kept, genes, smallest, largest, scratch):  # type: ignore[no-untyped-def]
    """Put the first `kept` genes of a row into their order; the entries are the lower halves of `packed`."""
    _, _, histogram, keys, packed, other, _, place = scratch
    digit_bits = np.int64(8 if genes < 1024 else _MOST_DIGIT_BITS)
    width = np.int64(0)
    spread = largest - smallest
    while spread > 0:
        spread >>= 1
        width += 1
    shift = max(np.int64(0), width - 2 * digit_bits)
    steps = np.int64(1) << (2 * digit_bits)
    if kept < genes:
        steps = _steps_to_keep(keys, size, largest, shift, digit_bits, kept, histogram)
    n = np.int64(0)
    for i in range(size):
        key = keys[i]
        step = (largest - key) >> shift
        packed[n] = step << 32 | i
        n += np.int64(key > _NO_GENE) & np.int64(step < steps)
    _sort_by_steps(packed, other, n, digit_bits, histogram)
    order = (keys, place)
    if not _settle_steps(packed, n, order, _MOST_COMPARED):
        _sort_by_keys(packed, other, n, keys, largest, digit_bits, histogram)
        _settle_steps(packed, n, order, n)


@njit(cache=True, nogil=True)
def encode_row(  # type: ignore[no-untyped-def]
    token, median, first_column, most_genes, cls, eos, columns, values, scratch, out, out_counts
):
    """Write the tokens of one row from ``out[0]`` on; return its genes before the cut, and its tokens.

    `columns` is None for a dense row; `scratch` is what :func:`row_scratch` gave. Where `out` is too short nothing is
    written and the number of tokens is larger than ``out.size``.
    """
    divisor, sums, _, keys, packed, _, shared, place = scratch
    smallest, largest, genes, any_shared = _fill_keys(columns, values, divisor, keys)
    found = 0
    if any_shared:
        found, genes, smallest, largest = _add_shared_genes(
            columns, values, median, first_column, sums, keys, shared, genes, smallest, largest
        )
    kept = min(genes, most_genes)
    tokens = kept + np.int64(cls >= 0) + np.int64(eos >= 0)
    if tokens <= out.size:
        # where an entry stands among ties: at its column, or at the first of its gene
        for i in range(values.size):
            place[i] = i if columns is None else columns[i]
        for j in range(found):
            place[shared[j]] = _first_of(columns, first_column, shared[j])
        _rank_genes(values.size, kept, genes, smallest, largest, scratch)
        slot = np.int64(cls >= 0)
        if cls >= 0:
            out[0] = cls
        for j in range(kept):
            i = packed[j] & _ENTRY
            if columns is None:
                out[slot + j] = token[i]
            else:
                out[slot + j] = token[columns[i]]
        if eos >= 0:
            out[slot + kept] = eos
        if out_counts.size > 0:
            out_counts[:tokens] = 0.0
            for j in range(kept):
                i = packed[j] & _ENTRY
                column = i
                if columns is not None:
                    column = np.int64(columns[i])
                out_counts[slot + j] = values[i] if divisor[column] > 0.0 else sums[first_column[column]]
    for j in range(found):
        sums[_first_of(columns, first_column, shared[j])] = 0
    return genes, tokens


@njit(cache=True, nogil=True)
def rank_tokens(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    data,
    token,
    median,
    first_column,
    out,
    out_counts,
    lengths,
    genes,
    sum_type,
    most_genes,
    cls,
    eos,
    first_row,
    last_row,
):
    """Tokens of rows, end to end; returns the first row that `out` has no room for, or -1."""
    longest = 0
    for row in range(first_row, last_row):
        longest = max(longest, indptr[row + 1] - indptr[row])
    scratch = row_scratch(token, median, first_column, sum_type, longest)
    slot = 0
    for row in range(first_row, last_row):
        entries = slice(indptr[row], indptr[row + 1])
        n_genes, n_tokens = encode_row(
            token,
            median,
            first_column,
            most_genes,
            cls,
            eos,
            indices[entries],
            data[entries],
            scratch,
            out[slot:],
            out_counts[slot:],
        )
        if n_tokens > out.size - slot:
            return row
        lengths[row] = n_tokens
        genes[row] = n_genes
        slot += n_tokens
    return -1
