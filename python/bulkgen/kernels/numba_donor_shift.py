"""Real cells moved by the bulk's ratios: the twins of ``donors.cpp`` and ``donor_shift.cpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_clusters import (
    FAR,
    GAIN,
    GROWTH,
    UNIFORM,
    add_clusters,
    draw_candidates,
    new_candidates,
    number_of_candidates,
)
from bulkgen.kernels.numba_discrete import beta, binomial, exp_of, geometric_sum
from bulkgen.kernels.numba_math import LANES, log_positive, philox
from bulkgen.kernels.numba_row_counts import add_count, new_counts, write_counts
from bulkgen.kernels.numba_words import fine_uniform, start_stream

__all__ = ["choose_donors", "donor_shift"]

_ROUNDS = 8
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_PURPOSE = np.uint64(24)
_ONE = np.uint64(1)
_STRATUM = np.uint64(40)
_NUMBER = np.uint64((1 << 40) - 1)
_MOST_MOLECULES = 2.0**31
_MOST_INVERTED = 110
_LARGEST_CHANCE = 1.0 - 2.0**-53
#: Rows of a tile of genes.
_RATIO, _EXPOSURE, _KEPT, _GAIN = range(4)


@njit(cache=True, nogil=True)
def _permuted(position, n, key, purpose, pass_):  # type: ignore[no-untyped-def]
    bits = np.uint64(0)
    while np.uint64(n - _ONE) >> bits:
        bits = np.uint64(bits + _ONE)
    low_bits = np.uint64(bits >> _ONE)
    low_mask = np.uint64(np.uint64(_ONE << low_bits) - _ONE)
    high_mask = np.uint64(np.uint64(_ONE << np.uint64(bits - low_bits)) - _ONE)
    value = position
    while True:
        high, low = np.uint64(value >> low_bits), np.uint64(value & low_mask)
        for r in range(_ROUNDS):
            last = np.uint64(np.uint64(purpose << _PURPOSE) | np.uint64(r))
            half = low if r % 2 == 0 else high
            word = philox(half, np.uint64(pass_ & _LOW), np.uint64(pass_ >> _HALF), last, key)[0]
            if r % 2 == 0:
                high = np.uint64(high ^ np.uint64(word & high_mask))
            else:
                low = np.uint64(low ^ np.uint64(word & low_mask))
        value = np.uint64(np.uint64(high << low_bits) | low)
        if value < n:
            return value


@njit(cache=True, nogil=True)
def choose_donors(out, donors, shared, key, purpose, first_cell):  # type: ignore[no-untyped-def]
    """Donor of each cell."""
    n = np.uint64(donors.size)
    for c in range(out.size):
        cell = np.uint64(first_cell + np.uint64(c))
        number = np.uint64(cell & _NUMBER)
        stratum = np.uint64(0) if shared else np.uint64(np.uint64(cell >> _STRATUM) << _STRATUM)
        turn = np.uint64(number // n)
        position = np.uint64(number - np.uint64(turn * n))
        out[c] = donors[_permuted(position, n, key, purpose, np.uint64(stratum | turn))]


@njit(cache=True, nogil=True, error_model="numpy")
def _gained(stream, size, q):  # type: ignore[no-untyped-def]
    if size > 8 or q > 0.5:
        below_one = q if q < _LARGEST_CHANCE else _LARGEST_CHANCE
        return geometric_sum(stream, size, below_one, log_positive(below_one))
    chance = 1.0
    for _ in range(size):
        chance *= 1.0 - q
    u = fine_uniform(stream)
    gain = np.int64(0)
    while u > chance and gain < _MOST_INVERTED:
        u -= chance
        chance *= q * (np.float64(size) + np.float64(gain)) * (1.0 / (np.float64(gain) + 1.0))
        gain += 1
    return gain


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _kept(s, keep):  # type: ignore[no-untyped-def]
    return keep * (s if s < 1.0 else 1.0)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _addition(s, keep):  # type: ignore[no-untyped-def]
    return ((s if s > 1.0 else 1.0) - keep) * (s if s < 1.0 else 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _ratios(response, ratio, log_ratio, gene, tile):  # type: ignore[no-untyped-def]
    if log_ratio.size > 0:
        for i in range(LANES):
            tile[_RATIO, i] = response * log_ratio[gene[i]]
        for i in range(LANES):
            tile[_RATIO, i] = exp_of(tile[_RATIO, i])
    else:
        for i in range(LANES):
            tile[_RATIO, i] = ratio[gene[i]]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_donor(  # type: ignore[no-untyped-def]
    first_entry,
    last_entry,
    size,
    response,
    columns,
    values,
    overdispersion,
    ratio,
    log_ratio,
    keep,
    keep_stream,
    gain_stream,
    gene,
    tile,
    counts,
    touched,
):
    n_genes = ratio.size
    for first in range(first_entry, last_entry, LANES):
        n = min(last_entry - first, LANES)
        for i in range(LANES):
            column = np.int64(columns[first + (i if i < n else 0)])
            gene[i] = column if 0 <= column < n_genes else 0
        _ratios(response, ratio, log_ratio, gene, tile)
        for i in range(LANES):
            tile[_EXPOSURE, i] = overdispersion[gene[i]] * size
        for i in range(LANES):
            s, exposure = tile[_RATIO, i], tile[_EXPOSURE, i]
            tile[_KEPT, i] = _kept(s, keep)
            tile[_GAIN, i] = exposure * _addition(s, keep) / (1.0 + exposure * s)
        for i in range(n):
            value = values[first + i]
            if not (0 <= columns[first + i] < n_genes and value > 0.0 and value < _MOST_MOLECULES):
                continue
            molecules = binomial(keep_stream, np.int64(value), tile[_KEPT, i])
            if molecules == 0:
                continue
            if tile[_GAIN, i] > 0.0:
                molecules += _gained(gain_stream, molecules, tile[_GAIN, i])
            add_count(counts, touched, gene[i], molecules)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_new(  # type: ignore[no-untyped-def]
    key,
    purpose,
    cell,
    size,
    response,
    overdispersion,
    ratio,
    log_ratio,
    keep,
    total_addition,
    threshold,
    other,
    stream,
    memory,
    shift,
    counts,
    touched,
):
    gene, tile = memory[1], memory[2]
    n = number_of_candidates(stream, key, purpose, cell, size * total_addition)
    for first in range(0, n, LANES):
        draw_candidates(key, purpose, cell, first, threshold, other, memory)
        _ratios(response, ratio, log_ratio, gene, shift)
        for i in range(LANES):
            shift[_EXPOSURE, i] = overdispersion[gene[i]] * size
        for i in range(LANES):
            s, exposure = shift[_RATIO, i], shift[_EXPOSURE, i]
            tile[GAIN, i] = exposure * _addition(s, keep)
            tile[FAR, i] = 1.0 + exposure * s
            tile[GROWTH, i] = tile[FAR, i] / (1.0 + exposure * _kept(s, keep))
        if log_ratio.size > 0:
            for i in range(LANES):
                full = ratio[gene[i]]
                tile[UNIFORM, i] *= ((full if full > 1.0 else 1.0) - keep) / _addition(shift[_RATIO, i], keep)
        add_clusters(n - first, memory, counts, touched)


@njit(cache=True, nogil=True)
def donor_shift(  # type: ignore[no-untyped-def]
    indptr,
    columns,
    values,
    donor,
    donor_indptr,
    donor_columns,
    donor_values,
    sizes,
    overdispersion,
    ratio,
    log_ratio,
    threshold,
    other,
    alpha,
    beta_,
    keep,
    total_addition,
    key,
    response_purpose,
    keep_purpose,
    gain_purpose,
    addition_purpose,
    first_cell,
    streams,
    gain_streams,
):
    """Write cells as sparse rows; returns how many had room."""
    counts, touched = new_counts(ratio.size)
    stream, gain_stream, memory = streams[0], gain_streams[0], new_candidates()
    gene, tile = np.empty(LANES, np.int64), np.empty((4, LANES))
    indptr[0] = 0
    end = np.int64(0)
    for c in range(indptr.size - 1):
        cell = np.uint64(first_cell + np.uint64(c))
        size = sizes[donor[c]]
        response = 1.0
        if log_ratio.size > 0:
            start_stream(stream, key, response_purpose, cell, 0)
            response = beta(stream, alpha, beta_)
        start_stream(stream, key, keep_purpose, cell, 0)
        start_stream(gain_stream, key, gain_purpose, cell, 0)
        _add_donor(
            donor_indptr[donor[c]],
            donor_indptr[donor[c] + 1],
            size,
            response,
            donor_columns,
            donor_values,
            overdispersion,
            ratio,
            log_ratio,
            keep,
            stream,
            gain_stream,
            gene,
            tile,
            counts,
            touched,
        )
        _add_new(
            key,
            addition_purpose,
            cell,
            size,
            response,
            overdispersion,
            ratio,
            log_ratio,
            keep,
            total_addition,
            threshold,
            other,
            stream,
            memory,
            tile,
            counts,
            touched,
        )
        end = write_counts(counts, touched, columns, values, end)
        if end < 0:
            return c
        indptr[c + 1] = end
    return indptr.size - 1
