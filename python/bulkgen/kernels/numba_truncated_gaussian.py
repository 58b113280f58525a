"""Numba twins of ``truncated_gaussian.cpp``, function by function, and of ``truncated_gaussian_tokens.cpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_math import (
    LANES,
    TILE,
    log_positive,
    mills_ratio_tail,
    normal_quantile,
    normals_at,
    philox,
    philox_blocks,
    philox_tile,
    quantile_argument,
    quantile_magnitude,
    radius_argument,
    round_count,
    standard_exponential,
    standard_normals,
    tile_block,
    unit_uniform,
    unit_uniform_single,
)
from bulkgen.kernels.numba_rank_tokens import encode_row, row_scratch

__all__ = ["truncated_gaussian", "truncated_gaussian_tokens"]

_RETRY_BLOCKS = 256
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_PURPOSE = np.uint64(24)
_ZERO = np.float32(0.0)
# rows of the arrays of a plan
_LOCATION, _SCALE, _LOWER, _UPPER, _FIRST, _SECOND, _THIRD = range(7)


@njit(cache=True, nogil=True, inline="always")
def _clip(value, lower, upper):  # type: ignore[no-untyped-def]
    return lower if value < lower else (upper if value > upper else value)


# a tile is one array, indexed by field: with an array per field there would be more pairs of arrays that might
# overlap than LLVM checks, and its loops would not vectorise


# a division that may raise does not vectorise, and inlined functions take the error model of their caller
@njit(cache=True, nogil=True, error_model="numpy")
def _draw_inverse(key, purpose, cell, tile, first, out, words, argument, scale):  # type: ignore[no-untyped-def]
    philox_tile(key, purpose, cell, first, words)
    for i in range(TILE):
        mass = tile[_SECOND, i]
        lower = tile[_FIRST, i] + unit_uniform_single(words[i]) * mass
        upper = tile[_THIRD, i] + unit_uniform_single(np.uint32(~words[i])) * mass
        deviation = tile[_SCALE, i]
        scale[i] = -deviation if lower < upper else deviation
        argument[i] = lower if lower < upper else upper
    for i in range(TILE):
        argument[i] = quantile_argument(argument[i])
    for i in range(TILE):
        x = tile[_LOCATION, i] + scale[i] * quantile_magnitude(argument[i])
        out[i] = _clip(x, tile[_LOWER, i], tile[_UPPER, i])


@njit(cache=True, nogil=True)
def _draw_normals(radius_words, angle_words, n, near, far):  # type: ignore[no-untyped-def]
    for i in range(n):
        near[i] = radius_argument(radius_words[i])
    for i in range(n):
        near[i], far[i] = normals_at(near[i], angle_words[i])


@njit(cache=True, nogil=True)
def _draw_normal(key, purpose, cell, tile, first, out, outside, n, words, normals, failed):  # type: ignore[no-untyped-def]
    philox_tile(key, purpose, cell, first, words)
    half = TILE // 2
    _draw_normals(words[:half], words[half:], half, normals[:half], normals[half:])
    for i in range(TILE):
        x = tile[_LOCATION, i] + tile[_SCALE, i] * normals[i]
        out[i] = x
        failed[i] = np.uint32(0) if (x >= tile[_LOWER, i]) & (x <= tile[_UPPER, i]) else np.uint32(1)
    for i in range(TILE):
        outside[n] = first + i
        n += np.int64(failed[i])
    return n


@njit(cache=True, nogil=True)
def _redraw(  # type: ignore[no-untyped-def]
    key, purpose, cell, common, attempt, outside, start, n, row, left, gene, words, bounds, value, inside, near, far
):
    for i in range(n):
        g = outside[start + i]
        gene[i] = np.uint64(g)
        for field in range(4):
            bounds[field, i] = common[g // TILE, field, g % TILE]
        inside[i] = np.uint32(0)
    philox_blocks(key, purpose, cell, attempt, gene, n, TILE, words)
    for pair in (0, 2 * TILE):
        _draw_normals(words[pair : pair + TILE], words[pair + TILE : pair + 2 * TILE], n, near, far)
        for i in range(n):
            lower, upper = bounds[_LOWER, i], bounds[_UPPER, i]
            x0 = bounds[_LOCATION, i] + bounds[_SCALE, i] * near[i]
            x1 = bounds[_LOCATION, i] + bounds[_SCALE, i] * far[i]
            inside0 = (x0 >= lower) & (x0 <= upper)
            inside1 = (x1 >= lower) & (x1 <= upper)
            x = _clip(x0 if inside0 else x1, lower, upper)
            value[i] = x if inside[i] == np.uint32(0) else value[i]
            inside[i] |= np.uint32(inside0 | inside1)
    for i in range(n):
        g = outside[start + i]
        row[g] = value[i]
        outside[left] = g
        left += 1 - np.int64(inside[i])
    return left


@njit(cache=True, nogil=True, inline="always")
def _retry_block(key, cell, g, purpose, attempt):  # type: ignore[no-untyped-def]
    last = np.uint64(np.uint64(purpose << _PURPOSE) | np.uint64(attempt))
    return philox(np.uint64(g), cell & _LOW, cell >> _SHIFT, last, key)


@njit(cache=True, nogil=True)
def _word(key, purpose, cell, g):  # type: ignore[no-untyped-def]
    words = philox(tile_block(g), cell & _LOW, cell >> _SHIFT, np.uint64(purpose << _PURPOSE), key)
    return words[g // LANES % 4]


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _invert_tail(a, mills_at_a, v):  # type: ignore[no-untyped-def]
    t = 2.0 * v / (a + np.sqrt(a * a + 2.0 * v))
    for _ in range(3):
        mills = mills_ratio_tail(a + t)
        error = a * t + 0.5 * t * t + log_positive(mills_at_a / mills) - v
        t = t - error * mills
    return t if t > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _odd_variate(key, draw, retry, cell, g, proposal, odd, i):  # type: ignore[no-untyped-def]
    first, second, third = odd[_FIRST, i], odd[_SECOND, i], odd[_THIRD, i]
    if proposal == 1:
        return _redraw_normal(key, cell, g, retry, odd[_LOCATION, i], odd[_SCALE, i], odd[_LOWER, i], odd[_UPPER, i])
    if proposal == 2 or proposal == 3 or proposal == 4:
        return _first_kept(key, cell, g, retry, proposal, first, second, third)
    if proposal == 5:
        u = unit_uniform(_word(key, draw, cell, g))
        return normal_quantile(first + u * second, third + (1.0 - u) * second)
    if proposal == 6:
        return unit_uniform(_word(key, draw, cell, g))
    if proposal == 7:
        return _invert_tail(first, third, -log_positive(1.0 - unit_uniform(_word(key, draw, cell, g)) * second))
    return 0.0


@njit(cache=True, nogil=True)
def _apply_mask(key, purpose, cell, keep, row, n_genes, words):  # type: ignore[no-untyped-def]
    for first in range(0, n_genes, TILE):
        philox_tile(key, purpose, cell, first, words)
        for i in range(min(TILE, n_genes - first)):
            row[first + i] = row[first + i] if words[i] <= keep[first + i] else _ZERO


@njit(cache=True, nogil=True)
def _cell_scratch(padded):  # type: ignore[no-untyped-def]
    """Allocate what `_draw_cell` works in: the row in whole tiles first."""
    return (
        np.empty(padded, np.float32),
        np.empty(padded + 1, np.int64),
        np.empty(TILE, np.uint32),
        np.empty(4 * TILE, np.uint32),
        np.empty(TILE, np.uint64),
        np.empty(TILE, np.uint32),
        np.empty((4, TILE), np.float32),
        np.empty(TILE, np.float32),
        np.empty(TILE, np.float32),
        np.empty(TILE, np.float32),
    )


@njit(cache=True, nogil=True)
def _draw_cell(  # type: ignore[no-untyped-def]
    cell, n_genes, common, keep, odd_gene, odd_proposal, odd, inverse, rounded, key, draw, retry, mask, scratch
):
    row, outside, words, retry_words, gene, inside, bounds, value, scale, far = scratch
    n_outside = 0
    for first in range(0, row.size, TILE):
        tile, values = common[first // TILE], row[first : first + TILE]
        if inverse:
            _draw_inverse(key, draw, cell, tile, first, values, words, value, scale)
        else:
            n_outside = _draw_normal(key, draw, cell, tile, first, values, outside, n_outside, words, value, inside)
    for attempt in range(_RETRY_BLOCKS):
        if n_outside == 0:
            break
        left = 0
        for start in range(0, n_outside, TILE):
            n = min(TILE, n_outside - start)
            left = _redraw(
                key,
                retry,
                cell,
                common,
                attempt,
                outside,
                start,
                n,
                row,
                left,
                gene,
                retry_words,
                bounds,
                value,
                inside,
                scale,
                far,
            )
        n_outside = left
    for i in range(odd_gene.size):
        g = np.int64(odd_gene[i])
        t = _odd_variate(key, draw, retry, cell, g, odd_proposal[i], odd, i)
        x = _clip(odd[_LOCATION, i] + odd[_SCALE, i] * t, odd[_LOWER, i], odd[_UPPER, i])
        row[g] = _clip(np.float32(x), common[g // TILE, _LOWER, g % TILE], common[g // TILE, _UPPER, g % TILE])
    if keep.size > 0:
        _apply_mask(key, mask, cell, keep, row, n_genes, words)
    if rounded:
        for i in range(n_genes):
            row[i] = round_count(row[i])
    return row[:n_genes]


@njit(cache=True, nogil=True)
def truncated_gaussian(  # type: ignore[no-untyped-def]
    out, common, keep, odd_gene, odd_proposal, odd, inverse, rounded, key, draw, retry, mask, first_cell
):
    """Draw cells first_cell, first_cell + 1, ... into the rows of `out`."""
    n_cells, n_genes = out.shape
    scratch = _cell_scratch(common.shape[0] * TILE)
    for c in range(n_cells):
        cell = np.uint64(first_cell + np.uint64(c))
        out[c] = _draw_cell(
            cell,
            n_genes,
            common,
            keep,
            odd_gene,
            odd_proposal,
            odd,
            inverse,
            rounded,
            key,
            draw,
            retry,
            mask,
            scratch,
        )


@njit(cache=True, nogil=True)
def truncated_gaussian_tokens(  # type: ignore[no-untyped-def]
    out,
    lengths,
    genes,
    token,
    median,
    first_column,
    common,
    keep,
    odd_gene,
    odd_proposal,
    odd,
    most_genes,
    cls,
    eos,
    inverse,
    rounded,
    key,
    draw,
    retry,
    mask,
    first_cell,
):
    """Draw cells one by one and encode each; returns the first that `out` has no room for, or -1."""
    scratch = _cell_scratch(common.shape[0] * TILE)
    encoder_scratch = row_scratch(token, median, first_column, np.float64, token.size)
    no_counts = np.empty(0, np.float32)
    slot = 0
    for c in range(lengths.size):
        cell = np.uint64(first_cell + np.uint64(c))
        row = _draw_cell(
            cell,
            token.size,
            common,
            keep,
            odd_gene,
            odd_proposal,
            odd,
            inverse,
            rounded,
            key,
            draw,
            retry,
            mask,
            scratch,
        )
        n_genes, n_tokens = encode_row(
            token, median, first_column, most_genes, cls, eos, None, row, encoder_scratch, out[slot:], no_counts
        )
        if n_tokens > out.size - slot:
            return c
        lengths[c] = n_tokens
        genes[c] = n_genes
        slot += n_tokens
    return -1
