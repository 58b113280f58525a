"""Cells whose genes are Poisson with log-normal rates: the twin of ``poisson_log_normal.cpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_discrete import exp_of, invert_poisson, poisson
from bulkgen.kernels.numba_math import TILE, normals_at, philox_tile, radius_argument, small_to_double
from bulkgen.kernels.numba_words import fine_unit_uniform, library_size, next_word, start_stream

__all__ = ["poisson_log_normal"]

_HALF = TILE // 2
_SHIFT = np.uint64(32)
_TWO_32 = 2.0**32
_LARGEST_INVERTED_MEAN = 10.0


@njit(cache=True, nogil=True, error_model="numpy")
def _tile_normals(words, normals):  # type: ignore[no-untyped-def]
    for j in range(_HALF):
        normals[j], normals[_HALF + j] = normals_at(radius_argument(words[j]), words[_HALF + j])


@njit(cache=True, nogil=True, error_model="numpy")
def _tile_rates(size, scale, sigma, first, n, normals, rate, none):  # type: ignore[no-untyped-def]
    for i in range(n):
        rate[i] = size * scale[first + i] * exp_of(sigma[first + i] * np.float64(normals[i]))
    for i in range(n):
        none[i] = exp_of(-rate[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _write_counts(  # type: ignore[no-untyped-def]
    stream, words, first, n, rate, none, some, columns, values, slot
):
    n_some = 0
    for i in range(n):
        zero = small_to_double(np.uint64(words[i])) + 1.0 <= none[i] * _TWO_32
        some[n_some] = i
        n_some += 0 if zero and rate[i] < _LARGEST_INVERTED_MEAN else 1
    for j in range(n_some):
        i = some[j]
        if rate[i] < _LARGEST_INVERTED_MEAN:
            both = np.uint64(np.uint64(np.uint64(words[i]) << _SHIFT) | next_word(stream))
            count = np.int64(invert_poisson(fine_unit_uniform(both), rate[i], none[i]))
        else:
            count = poisson(stream, rate[i])
        if count == 0:
            continue
        if slot == columns.size:
            return -1
        columns[slot] = first + i
        values[slot] = np.float32(count)
        slot += 1
    return slot


@njit(cache=True, nogil=True, error_model="numpy")
def poisson_log_normal(  # type: ignore[no-untyped-def]
    indptr, columns, values, scale, sigma, sizes, key, library_purpose, purpose, first_cell, streams
):
    """Draw cells; returns how many there was room for."""
    n_genes = scale.size
    words = np.empty(TILE, np.uint32)
    normals = np.empty(TILE, np.float32)
    rate, none = np.empty(TILE), np.empty(TILE)
    some = np.empty(TILE + 1, np.int64)
    stream = streams[0]
    n_cells = indptr.size - 1
    indptr[0] = 0
    slot = 0
    for c in range(n_cells):
        cell = np.uint64(first_cell + np.uint64(c))
        start_stream(stream, key, library_purpose, cell, 0)
        size = library_size(stream, sizes)
        start_stream(stream, key, purpose, cell, (n_genes + TILE - 1) // TILE * TILE * 2)
        for first in range(0, n_genes, TILE):
            n = min(TILE, n_genes - first)
            philox_tile(key, purpose, cell, 2 * first, words)
            _tile_normals(words, normals)
            philox_tile(key, purpose, cell, 2 * first + TILE, words)
            _tile_rates(size, scale, sigma, first, n, normals, rate, none)
            slot = _write_counts(stream, words, first, n, rate, none, some, columns, values, slot)
            if slot < 0:
                return c
        indptr[c + 1] = slot
    return n_cells
