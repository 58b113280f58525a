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
_MOST_WORD = np.uint32(0xFFFFFFFF)
_KEPT = np.float32(1.0)
_LOST = np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _molecules(value):  # type: ignore[no-untyped-def]
    x = np.float64(value)
    return np.int64(x if x < _TWO_53 else _TWO_53) if x >= 1.0 else np.int64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def thin_rows(  # type: ignore[no-untyped-def]
    out_indptr, out_columns, out_values, indptr, indices, data, probability, key, purpose, first_cell, streams
):
    """Thin rows; returns how many there was room for."""
    n_rows = out_indptr.size - 1
    stream = streams[0]
    words = np.empty(TILE, np.uint32)
    kept = np.empty(TILE, np.float32)
    undecided = np.empty(TILE, np.uint8)
    out_indptr[0] = 0
    slot = 0
    for r in range(n_rows):
        begin, n_entries = indptr[r], indptr[r + 1] - indptr[r]
        if n_entries > out_columns.size - slot:
            return r
        cell = np.uint64(first_cell + np.uint64(r))
        p = probability[r]
        scaled = (p if p < 1.0 else 1.0) * _TWO_32 if p > 0.0 else 0.0
        whole = np.uint32(scaled) if scaled < _TWO_32 else _MOST_WORD
        rest = scaled - np.float64(whole)
        start_stream(stream, key, purpose, cell, (n_entries + TILE - 1) // TILE * TILE)
        for first in range(0, n_entries, TILE):
            n = min(TILE, n_entries - first)
            values = data[begin + first : begin + first + n]
            columns = indices[begin + first : begin + first + n]
            philox_tile(key, purpose, cell, first, words)
            for i in range(n):
                kept[i] = _KEPT if words[i] < whole else _LOST
                undecided[i] = (values[i] != 1) | (words[i] == whole)
            for i in range(n):
                if undecided[i] != 0:
                    if values[i] == 1:
                        kept[i] = _KEPT if uniform(stream) < rest else _LOST
                    else:
                        kept[i] = np.float32(binomial(stream, _molecules(values[i]), p))
            for i in range(n):
                out_columns[slot] = columns[i]
                out_values[slot] = kept[i]
                slot += 1 if kept[i] > _LOST else 0
        out_indptr[r + 1] = slot
    return n_rows
