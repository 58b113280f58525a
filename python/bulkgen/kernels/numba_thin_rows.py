"""Binomial thinning of sparse rows: the twin of ``thin_rows.cpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_discrete import binomial
from bulkgen.kernels.numba_math import TILE, philox_tile
from bulkgen.kernels.numba_words import start_stream, uniform

__all__ = ["thin_rows"]

_TWO_32 = 2.0**32
_TWO_53 = 2.0**53
#: Molecules of an entry that one word decides.
_MOST = 8
_KEPT = np.float32(1.0)
_LOST = np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _molecules(value):  # type: ignore[no-untyped-def]
    x = np.float64(value)
    return np.int64(x if x < _TWO_53 else _TWO_53) if x >= 1.0 else np.int64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _small_binomials(p, whole, rest):  # type: ignore[no-untyped-def]
    """For each n <= 8, the chances to keep more than 0, 1, ... of n, times 2^32, in a whole number and the rest."""
    kept = (p if p < 1.0 else 1.0) if p > 0.0 else 0.0
    coefficients, kept_power, lost_power = np.zeros(_MOST + 1), np.ones(_MOST + 1), np.ones(_MOST + 1)
    coefficients[0] = 1.0
    whole[0] = 0
    rest[0] = 0.0
    for n in range(1, _MOST + 1):
        kept_power[n] = kept_power[n - 1] * kept
        lost_power[n] = lost_power[n - 1] * (1.0 - kept)
        whole[n] = 0
        rest[n] = 0.0
        for k in range(n, 0, -1):
            coefficients[k] += coefficients[k - 1]
        more = 0.0
        for k in range(n, 0, -1):
            more += coefficients[k] * kept_power[k] * lost_power[n - k]
            scaled = (more if more < 1.0 else 1.0) * _TWO_32
            cut = np.floor(scaled) if scaled < _TWO_32 else _TWO_32 - 1.0
            whole[n, k - 1] = np.uint32(cut)
            rest[n, k - 1] = scaled - cut


@njit(cache=True, nogil=True, error_model="numpy")
def _small_count(whole, rest, n, word, stream):  # type: ignore[no-untyped-def]
    below, equal = 0, 0
    for k in range(_MOST):
        below += 1 if word < whole[n, k] else 0
        equal += 1 if word == whole[n, k] else 0
    if equal == 0:
        return below
    u = uniform(stream)
    for k in range(_MOST):
        below += 1 if word == whole[n, k] and u < rest[n, k] else 0
    return below


@njit(cache=True, nogil=True, error_model="numpy")
def thin_rows(  # type: ignore[no-untyped-def]
    out_indptr, out_columns, out_values, indptr, indices, data, probability, key, purpose, first_cell, streams
):
    """Thin rows; returns how many there was room for."""
    n_rows = out_indptr.size - 1
    stream = streams[0]
    words = np.empty(TILE, np.uint32)
    kept = np.empty(TILE, np.float32)
    single = np.empty(TILE, np.uint8)
    others = np.empty(TILE + 1, np.int64)
    small_whole = np.empty((_MOST + 1, _MOST), np.uint32)
    small_rest = np.empty((_MOST + 1, _MOST))
    out_indptr[0] = 0
    slot = 0
    for r in range(n_rows):
        begin, n_entries = indptr[r], indptr[r + 1] - indptr[r]
        if n_entries > out_columns.size - slot:
            return r
        cell = np.uint64(first_cell + np.uint64(r))
        p = probability[r]
        _small_binomials(p, small_whole, small_rest)
        whole = small_whole[1, 0]
        start_stream(stream, key, purpose, cell, (n_entries + TILE - 1) // TILE * TILE)
        for first in range(0, n_entries, TILE):
            n = min(TILE, n_entries - first)
            values = data[begin + first : begin + first + n]
            columns = indices[begin + first : begin + first + n]
            philox_tile(key, purpose, cell, first, words)
            for i in range(n):
                kept[i] = _KEPT if words[i] < whole else _LOST
                single[i] = (values[i] == 1) & (words[i] != whole)
            n_others = 0
            for i in range(n):
                others[n_others] = i
                n_others += 1 - np.int64(single[i])
            for j in range(n_others):
                i = others[j]
                count = _molecules(values[i])
                if count <= _MOST:
                    kept[i] = np.float32(_small_count(small_whole, small_rest, count, words[i], stream))
                else:
                    kept[i] = np.float32(binomial(stream, count, p))
            for i in range(n):
                out_columns[slot] = columns[i]
                out_values[slot] = kept[i]
                slot += 1 if kept[i] > _LOST else 0
        out_indptr[r + 1] = slot
    return n_rows
