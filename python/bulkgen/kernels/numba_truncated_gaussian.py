"""Numba twin of ``truncated_gaussian.cpp``, function by function."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_math import (
    log_positive,
    mills_ratio_tail,
    normal_quantile,
    philox,
    standard_exponential,
    standard_normals,
    tile_block,
    unit_uniform,
)

__all__ = ["truncated_gaussian"]

_RETRY_BLOCKS = 256
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_PURPOSE = np.uint64(24)


@njit(cache=True, nogil=True, inline="always")
def _clip(value, lower, upper):  # type: ignore[no-untyped-def]
    return lower if value < lower else (upper if value > upper else value)


@njit(cache=True, nogil=True, inline="always")
def _retry_block(key, cell, g, purpose, attempt):  # type: ignore[no-untyped-def]
    last = np.uint64(np.uint64(purpose << _PURPOSE) | np.uint64(attempt))
    return philox(np.uint64(g), cell & _LOW, cell >> _SHIFT, last, key)


@njit(cache=True, nogil=True)
def _redraw_normal(key, cell, g, purpose, location, scale, lower, upper):  # type: ignore[no-untyped-def]
    for attempt in range(_RETRY_BLOCKS):
        w0, w1, w2, w3 = _retry_block(key, cell, g, purpose, attempt)
        z0, z1 = standard_normals(w0, w1)
        x = location + scale * z0
        if x >= lower and x <= upper:
            return z0
        x = location + scale * z1
        if x >= lower and x <= upper:
            return z1
        z0, z1 = standard_normals(w2, w3)
        x = location + scale * z0
        if x >= lower and x <= upper:
            return z0
        x = location + scale * z1
        if x >= lower and x <= upper:
            return z1
    return 0.0


@njit(cache=True, nogil=True)
def _first_kept(key, cell, g, purpose, proposal, first, second, third):  # type: ignore[no-untyped-def]
    for attempt in range(_RETRY_BLOCKS):
        words = _retry_block(key, cell, g, purpose, attempt)
        for i in range(2):
            if proposal == 2:
                t = unit_uniform(words[2 * i])
                z = first + second * t
                excess = 0.5 * z * z
                most = 1.0
            elif proposal == 3:
                t = standard_exponential(words[2 * i]) / (first + second)
                off = t - second
                excess = 0.5 * off * off
                most = third
            else:
                t = unit_uniform(words[2 * i]) * third
                excess = t * (first + 0.5 * t)
                most = third
            if t <= most and standard_exponential(words[2 * i + 1]) >= excess:
                return t
    return 0.0


@njit(cache=True, nogil=True)
def _invert_tail(a, mills_at_a, v):  # type: ignore[no-untyped-def]
    t = 2.0 * v / (a + np.sqrt(a * a + 2.0 * v))
    for _ in range(3):
        mills = mills_ratio_tail(a + t)
        error = a * t + 0.5 * t * t + log_positive(mills_at_a / mills) - v
        t = t - error * mills
    return t if t > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _draw(proposal, key, cell, g, purpose, word, location, scale, lower, upper, first, second, third):  # type: ignore[no-untyped-def]
    if proposal == 1:
        return _redraw_normal(key, cell, g, purpose, location, scale, lower, upper)
    if proposal == 2 or proposal == 3 or proposal == 4:
        return _first_kept(key, cell, g, purpose, proposal, first, second, third)
    if proposal == 5:
        u = unit_uniform(word)
        return normal_quantile(first + u * second, third + (1.0 - u) * second)
    if proposal == 6:
        return unit_uniform(word)
    if proposal == 7:
        return _invert_tail(first, third, -log_positive(1.0 - unit_uniform(word) * second))
    return 0.0


@njit(cache=True, nogil=True)
def truncated_gaussian(  # type: ignore[no-untyped-def]
    out,
    proposal,
    location,
    scale,
    lower,
    upper,
    first,
    second,
    third,
    key,
    purpose,
    retry_purpose,
    first_cell,
):
    """Draw cells first_cell, first_cell + 1, ... into the rows of `out`."""
    n_cells, n_genes = out.shape
    tile_purpose = np.uint64(purpose << _PURPOSE)
    for c in range(n_cells):
        cell = np.uint64(first_cell + np.uint64(c))
        for tile in range(0, n_genes, 64):
            for lane in range(min(16, n_genes - tile)):
                words = philox(tile_block(tile + lane), cell & _LOW, cell >> _SHIFT, tile_purpose, key)
                z0, z1 = standard_normals(words[0], words[1])
                z2, z3 = standard_normals(words[2], words[3])
                normals = (z0, z1, z2, z3)
                for word in range(4):
                    g = tile + 16 * word + lane
                    if g >= n_genes:
                        break
                    x = location[g] + scale[g] * normals[word]
                    if not (proposal[g] == 1 and x >= lower[g] and x <= upper[g]):
                        t = _draw(
                            proposal[g],
                            key,
                            cell,
                            g,
                            retry_purpose,
                            words[word],
                            location[g],
                            scale[g],
                            lower[g],
                            upper[g],
                            first[g],
                            second[g],
                            third[g],
                        )
                        x = _clip(location[g] + scale[g] * t, lower[g], upper[g])
                    out[c, g] = x
