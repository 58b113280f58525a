"""Cells as molecules: the twin of ``multinomial.cpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_alias import alias_gene
from bulkgen.kernels.numba_discrete import poisson
from bulkgen.kernels.numba_math import TILE, philox_tile
from bulkgen.kernels.numba_row_counts import add_count, new_counts, write_counts
from bulkgen.kernels.numba_words import fine_uniform, library_size, next_word, start_stream

__all__ = ["multinomial"]

_MOLECULES = TILE // 2


@njit(cache=True, nogil=True)
def _draw_molecules(threshold, other, key, purpose, cell, total, words, counts, touched):  # type: ignore[no-untyped-def]
    for first in range(0, total, _MOLECULES):
        philox_tile(key, purpose, cell, 2 * first, words)
        for j in range(min(_MOLECULES, total - first)):
            add_count(counts, touched, alias_gene(threshold, other, words[j], words[_MOLECULES + j]), 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_urn(threshold, other, stream, total, concentration, urn, counts, touched):  # type: ignore[no-untyped-def]
    for i in range(total):
        before = np.float64(i)
        place = fine_uniform(stream) * (concentration + before)
        if place < before:
            gene = np.int64(urn[np.int64(place)])
        else:
            high = next_word(stream)
            gene = alias_gene(threshold, other, high, next_word(stream))
        urn[i] = gene
        add_count(counts, touched, gene, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def multinomial(  # type: ignore[no-untyped-def]
    indptr,
    columns,
    values,
    threshold,
    other,
    sizes,
    poisson_total,
    concentration,
    key,
    library_purpose,
    purpose,
    first_cell,
    urn,
    streams,
):
    """Draw cells from a profile; returns how many there was room for."""
    counts, touched = new_counts(threshold.size)
    words = np.empty(TILE, np.uint64)
    stream = streams[0]
    n_cells = indptr.size - 1
    indptr[0] = 0
    slot = 0
    for c in range(n_cells):
        cell = np.uint64(first_cell + np.uint64(c))
        start_stream(stream, key, library_purpose, cell, 0)
        size = library_size(stream, sizes)
        total = poisson(stream, size) if poisson_total else np.int64(size + 0.5)
        if concentration <= 2.0**1000:
            total = min(total, urn.size)
            start_stream(stream, key, purpose, cell, 0)
            _draw_urn(threshold, other, stream, total, concentration, urn, counts, touched)
        else:
            _draw_molecules(threshold, other, key, purpose, cell, total, words, counts, touched)
        slot = write_counts(counts, touched, columns, values, slot)
        if slot < 0:
            return c
        indptr[c + 1] = slot
    return n_cells
