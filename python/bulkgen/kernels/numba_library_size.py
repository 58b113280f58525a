"""The library size of a cell: the twin of ``library_size.hpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_words import next_word, start_stream

__all__ = ["library_size"]

_SHIFT = np.uint64(32)


@njit(cache=True, nogil=True)
def library_size(stream, key, purpose, cell, sizes):  # type: ignore[no-untyped-def]
    """One of the sizes, each with the same chance."""
    start_stream(stream, key, purpose, cell, 0)
    n = np.uint64(sizes.size)
    high = np.uint64(next_word(stream) * n)
    low = np.uint64(next_word(stream) * n)
    return sizes[np.int64(np.uint64(high + np.uint64(low >> _SHIFT)) >> _SHIFT)]
