"""Genes in proportion to weights, in constant time: the twin of ``alias.hpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["alias_gene", "alias_table"]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True, inline="always")
def alias_gene(threshold, other, high, low):  # type: ignore[no-untyped-def]
    """Return the gene (int64) of a uniform 64-bit word, given as its halves (uint64 below 2^32)."""
    n = np.uint64(threshold.size)
    product = np.uint64(low * n)
    top = np.uint64(np.uint64(high * n) + np.uint64(product >> _SHIFT))
    index = np.uint64(top >> _SHIFT)
    remainder = np.uint64(np.uint64(top << _SHIFT) | np.uint64(product & _LOW))
    alias = np.int64(other[index])
    return np.int64(index) if remainder < threshold[index] else alias


@njit(cache=True, nogil=True, error_model="numpy")
def alias_table(weights, threshold, other):  # type: ignore[no-untyped-def]
    """Build the table, in whole units."""
    n = weights.size
    bits = 62
    while n >> (62 - bits):
        bits -= 1
    unit = np.int64(1) << np.int64(bits)
    total = np.int64(unit * n)
    weight_sum = 0.0
    for i in range(n):
        weight_sum += weights[i] if weights[i] > 0.0 else 0.0
    wanted = np.float64(total) / weight_sum
    scale = wanted if wanted < 2.0**1000 else 0.0
    mass = np.empty(n, np.int64)
    left, heaviest = total, 0
    for i in range(n):
        units = weights[i] * scale
        mass[i] = 0 if not (units > 0.0) else (np.int64(units + 0.5) if units < np.float64(total) else total)
        left -= mass[i]
        if mass[i] > mass[heaviest]:
            heaviest = i
    mass[heaviest] += left
    order = np.empty(n, np.int64)
    n_light, first_heavy = 0, n
    for i in range(n):
        if mass[i] < unit:
            order[n_light] = i
            n_light += 1
        else:
            first_heavy -= 1
            order[first_heavy] = i
    shift = np.uint64(64 - bits)
    while n_light > 0 and first_heavy < n:
        n_light -= 1
        light, heavy = order[n_light], order[first_heavy]
        threshold[light] = np.uint64(np.uint64(mass[light]) << shift)
        other[light] = heavy
        mass[heavy] -= unit - mass[light]
        if mass[heavy] < unit:
            first_heavy += 1
            order[n_light] = heavy
            n_light += 1
    for i in range(n):
        if i < n_light or i >= first_heavy:
            threshold[order[i]] = _FULL
            other[order[i]] = order[i]
