"""A cell's random words one after another: the twin of ``word_stream.hpp``.

A stream is a record, which Numba passes as a bare pointer: arrays would have their references counted, atomically, for
every word. Nothing keeps a record's memory but the array that it stands in, so that array comes from Python
(`new_stream`) as an argument of the kernel, whose first line is ``stream = streams[0]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bulkgen.kernels.numba_math import TILE, philox_tile, small_to_double, unit_uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "fine_uniform",
    "fine_unit_uniform",
    "library_size",
    "new_stream",
    "next_word",
    "start_stream",
    "uniform",
    "word64",
]

#: The words of the current tile, how many of them are used, the position of the next tile, and the address.
_STREAM = np.dtype(
    [
        ("words", np.uint64, (TILE,)),
        ("used", np.uint64),
        ("position", np.uint64),
        ("key", np.uint64),
        ("purpose", np.uint64),
        ("cell", np.uint64),
    ]
)
_NONE = np.uint64(0)
_ONE = np.uint64(1)
_TILE = np.uint64(TILE)
_SHIFT = np.uint64(32)
_FINE = np.uint64(12)
_TWO_M52 = 2.0**-52


def new_stream() -> NDArray[np.void]:
    """Allocate one stream; `start_stream` gives it its address."""
    return np.empty(1, _STREAM)


@njit(cache=True, nogil=True)
def start_stream(stream, key, purpose, cell, first_position):  # type: ignore[no-untyped-def]
    """Begin at a position that is a multiple of the tile."""
    stream.used = _TILE
    stream.position = np.uint64(first_position)
    stream.key = np.uint64(key)
    stream.purpose = np.uint64(purpose)
    stream.cell = np.uint64(cell)


@njit(cache=True, nogil=True)
def _refill(stream):  # type: ignore[no-untyped-def]
    philox_tile(stream.key, stream.purpose, stream.cell, np.int64(stream.position), stream.words)
    stream.position = np.uint64(stream.position + _TILE)


@njit(cache=True, nogil=True)
def next_word(stream):  # type: ignore[no-untyped-def]
    """Return the next word, as uint64 below 2^32."""
    used = stream.used
    if used == _TILE:
        _refill(stream)
        used = _NONE
    stream.used = np.uint64(used + _ONE)
    return stream.words[used]


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
def fine_unit_uniform(words):  # type: ignore[no-untyped-def]
    """In (0, 1), from the upper 52 of 64 bits."""
    return (small_to_double(np.uint64(words >> _FINE)) + 0.5) * _TWO_M52


@njit(cache=True, nogil=True)
def fine_uniform(stream):  # type: ignore[no-untyped-def]
    """In (0, 1), from 52 bits of two words."""
    return fine_unit_uniform(word64(stream))


@njit(cache=True, nogil=True)
def library_size(stream, sizes):  # type: ignore[no-untyped-def]
    """One of the sizes by the next word."""
    return sizes[np.uint64(np.uint64(next_word(stream) * np.uint64(sizes.size)) >> _SHIFT)]
