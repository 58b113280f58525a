"""Molecules of one cell, counted gene by gene, and the sparse row that they make: the twin of ``row_counts.hpp``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["add_count", "new_counts", "write_counts"]

_ONE = np.uint64(1)
_NONE = np.uint64(0)


def _build_trailing_zeros(typing_context, value):  # type: ignore[no-untyped-def]
    """Trailing zeros of a uint64 that is not 0: one instruction."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))  # noqa: FBT003

    return types.uint64(types.uint64), generate


_trailing_zeros: Any = intrinsic(_build_trailing_zeros)


@njit(cache=True, nogil=True)
def new_counts(n_genes):  # type: ignore[no-untyped-def]
    """Dense counts and a bit per gene that has one, all zero."""
    return np.zeros(n_genes, np.uint32), np.zeros((n_genes + 63) // 64, np.uint64)


@njit(cache=True, nogil=True, inline="always")
def add_count(counts, touched, gene, count):  # type: ignore[no-untyped-def]
    """Add to a gene (non-negative int64)."""
    g = np.uint64(gene)
    counts[g] = np.uint32(counts[g] + np.uint32(count))
    word = np.uint64(g >> np.uint64(6))
    touched[word] = touched[word] | np.uint64(_ONE << np.uint64(g & np.uint64(63)))


@njit(cache=True, nogil=True)
def write_counts(counts, touched, columns, values, slot):  # type: ignore[no-untyped-def]
    """Write the counts from `slot` on; returns the slot behind the last one, or -1. All counts are zero after."""
    room = columns.size
    fits = True
    for w in range(touched.size):
        bits = touched[w]
        touched[w] = _NONE
        while bits != _NONE:
            gene = np.int64(64 * w + np.int64(_trailing_zeros(bits)))
            bits = np.uint64(bits & np.uint64(bits - _ONE))
            count = counts[gene]
            counts[gene] = np.uint32(0)
            if slot >= room:
                fits = fits and count == np.uint32(0)
                continue
            columns[slot] = np.int32(gene)
            values[slot] = np.float32(np.int64(count))
            slot += 1 if count != np.uint32(0) else 0
    return slot if fits else -1
