"""Negative binomial counts of a cell as clusters of molecules: the twin of ``clusters.hpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_alias import alias_gene
from bulkgen.kernels.numba_discrete import poisson
from bulkgen.kernels.numba_math import LANES, TILE, log_positive, philox_tile
from bulkgen.kernels.numba_row_counts import add_count
from bulkgen.kernels.numba_words import fine_unit_uniform, start_stream

__all__ = [
    "FAR",
    "GAIN",
    "GROWTH",
    "LARGEST_CLUSTER",
    "UNIFORM",
    "add_clusters",
    "draw_candidates",
    "new_candidates",
    "number_of_candidates",
]

#: Rows of a tile of candidates.
UNIFORM, FAR, GAIN, GROWTH = range(4)
LARGEST_CLUSTER = 2.0**24
_FIRST_CANDIDATE = 16 * TILE
_SHIFT = np.uint64(32)


@njit(cache=True, nogil=True)
def new_candidates():  # type: ignore[no-untyped-def]
    """Memory of a tile of candidates: words, genes, rows of numbers, and the candidates that are clusters."""
    return np.empty(TILE, np.uint64), np.empty(LANES, np.int64), np.empty((4, LANES)), np.empty((2, LANES), np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def _larger_cluster(uniform, far, gain):  # type: ignore[no-untyped-def]
    one = 1.0 / far
    q = gain * one
    rest = uniform - one
    power = one * q
    size = 2.0
    chance = power / size
    while rest >= chance and power > 1e-20 and size < LARGEST_CLUSTER:
        rest -= chance
        power *= q
        size += 1.0
        chance = power / size
    return np.int64(size)


@njit(cache=True, nogil=True)
def number_of_candidates(stream, key, purpose, cell, mean):  # type: ignore[no-untyped-def]
    """Poisson(mean), from the words before the first candidate's."""
    start_stream(stream, key, purpose, cell, 0)
    return poisson(stream, mean)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_candidates(key, purpose, cell, first, threshold, other, memory):  # type: ignore[no-untyped-def]
    """Genes and uniforms of the tile of candidates from number `first`, a multiple of 64."""
    words, gene, tile, _ = memory
    philox_tile(key, purpose, cell, _FIRST_CANDIDATE + 4 * first, words)
    for i in range(LANES):
        gene[i] = alias_gene(threshold, other, words[i], words[LANES + i])
    for i in range(LANES):
        word = np.uint64(np.uint64(words[2 * LANES + i] << _SHIFT) | words[3 * LANES + i])
        tile[UNIFORM, i] = fine_unit_uniform(word)


@njit(cache=True, nogil=True, error_model="numpy")
def add_clusters(n, memory, counts, touched):  # type: ignore[no-untyped-def]
    """Add the clusters of the first n candidates of a tile; far, gain and growth are those of their genes."""
    _, gene, tile, clusters = memory
    for i in range(LANES):
        excess = tile[UNIFORM, i] * tile[GAIN, i] - log_positive(tile[GROWTH, i])
        one = 1 if tile[UNIFORM, i] * tile[FAR, i] < 1.0 else 0
        some = 1 if excess < 0.0 else 0
        clusters[0, i] = one | some
    n_clusters = 0
    for i in range(min(n, LANES)):
        clusters[1, n_clusters] = i
        n_clusters += clusters[0, i]
    for j in range(n_clusters):
        i = clusters[1, j]
        uniform, far = tile[UNIFORM, i], tile[FAR, i]
        size = 1 if uniform * far < 1.0 else _larger_cluster(uniform, far, tile[GAIN, i])
        add_count(counts, touched, gene[i], size)
