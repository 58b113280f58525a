"""A cell's random words one after another: the twin of ``word_stream.hpp``.

A stream is one array of uint64: the words of the current tile, how many of them are used, the position of the next
tile, and the address (key, purpose, cell).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_math import TILE, philox_tile, small_to_double, unit_uniform

__all__ = ["fine_uniform", "new_stream", "next_word", "start_stream", "uniform", "word64"]

_USED, _NEXT, _KEY, _PURPOSE, _CELL = range(TILE, TILE + 5)
_ONE = np.uint64(1)
_TILE = np.uint64(TILE)
_SHIFT = np.uint64(32)
_FINE = np.uint64(12)
_TWO_M52 = 2.0**-52


@njit(cache=True, nogil=True)
def new_stream():  # type: ignore[no-untyped-def]
    """Allocate a stream; `start_stream` gives it its address."""
    return np.empty(TILE + 5, np.uint64)


@njit(cache=True, nogil=True)
def start_stream(stream, key, purpose, cell, first_position):  # type: ignore[no-untyped-def]
    """Begin at a position that is a multiple of the tile."""
    stream[_USED] = _TILE
    stream[_NEXT] = np.uint64(first_position)
    stream[_KEY] = key
    stream[_PURPOSE] = purpose
    stream[_CELL] = cell


@njit(cache=True, nogil=True)
def _refill(stream):  # type: ignore[no-untyped-def]
    philox_tile(stream[_KEY], stream[_PURPOSE], stream[_CELL], np.int64(stream[_NEXT]), stream)
    stream[_NEXT] = np.uint64(stream[_NEXT] + _TILE)
    stream[_USED] = np.uint64(0)


@njit(cache=True, nogil=True)
def next_word(stream):  # type: ignore[no-untyped-def]
    """Return the next word, as uint64 below 2^32."""
    if stream[_USED] == _TILE:
        _refill(stream)
    used = stream[_USED]
    stream[_USED] = np.uint64(used + _ONE)
    return stream[used]


@njit(cache=True, nogil=True)
def word64(stream):  # type: ignore[no-untyped-def]
    """Two words, the upper first."""
    high = next_word(stream)
    low = next_word(stream)
    return np.uint64(np.uint64(high << _SHIFT) | low)


@njit(cache=True, nogil=True)
def uniform(stream):  # type: ignore[no-untyped-def]
    """In (0, 1), from one word."""
    return unit_uniform(next_word(stream))


@njit(cache=True, nogil=True)
def fine_uniform(stream):  # type: ignore[no-untyped-def]
    """In (0, 1), from 52 bits of two words."""
    return (small_to_double(np.uint64(word64(stream) >> _FINE)) + 0.5) * _TWO_M52
