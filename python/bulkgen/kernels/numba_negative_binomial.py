"""Cells of negative binomial counts: the twin of ``negative_binomial.cpp`` and of ``copula.cpp``."""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_clusters import (
    FAR,
    GAIN,
    GROWTH,
    LARGEST_CLUSTER,
    add_clusters,
    draw_candidates,
    new_candidates,
    number_of_candidates,
)
from bulkgen.kernels.numba_discrete import bernoulli, exp_of
from bulkgen.kernels.numba_math import LANES, TILE, log_positive, philox_tile, standard_normals
from bulkgen.kernels.numba_row_counts import add_count, new_counts, write_counts
from bulkgen.kernels.numba_words import library_size, next_word, start_stream

__all__ = ["copula"]

_RESCALED_EXPONENT = 600.0


@njit(cache=True, nogil=True, error_model="numpy")
def _add_negative_binomials(  # type: ignore[no-untyped-def]
    key, purpose, cell, size, total_rate, threshold, other, overdispersion, stream, memory, counts, touched
):
    tile = memory[2]
    gene = memory[1]
    n = number_of_candidates(stream, key, purpose, cell, size * total_rate)
    for first in range(0, n, LANES):
        draw_candidates(key, purpose, cell, first, threshold, other, memory)
        for i in range(LANES):
            d = overdispersion[gene[i]] * size
            tile[GAIN, i] = d
            tile[FAR, i] = 1.0 + d
            tile[GROWTH, i] = 1.0 + d
        add_clusters(n - first, memory, counts, touched)


@njit(cache=True, nogil=True)
def _inflate_zeros(stream, inflation, columns, values, begin, end):  # type: ignore[no-untyped-def]
    kept = begin
    for i in range(begin, end):
        gene = columns[i]
        columns[kept] = gene
        values[kept] = values[i]
        kept += 0 if bernoulli(stream, inflation[gene]) else 1
    return kept


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _normal_cdf(z):  # type: ignore[no-untyped-def]
    magnitude = abs(z)
    x = magnitude if magnitude < 10.0 else 10.0
    numerator = 0.0352624965998911
    numerator = numerator * x + 0.700383064443688
    numerator = numerator * x + 6.37396220353165
    numerator = numerator * x + 33.912866078383
    numerator = numerator * x + 112.079291497871
    numerator = numerator * x + 221.213596169931
    numerator = numerator * x + 220.206867912376
    denominator = 0.0883883476483184
    denominator = denominator * x + 1.75566716318264
    denominator = denominator * x + 16.064177579207
    denominator = denominator * x + 86.7807322029461
    denominator = denominator * x + 296.564248779674
    denominator = denominator * x + 637.333633378831
    denominator = denominator * x + 793.826512519948
    denominator = denominator * x + 440.413735824752
    tail = exp_of(-0.5 * x * x) * (numerator / denominator)
    return tail if z < 0.0 else 1.0 - tail


@njit(cache=True, nogil=True, error_model="numpy")
def _quantile(u, mean, dispersion, log_none):  # type: ignore[no-untyped-def]
    scaled = 0
    while log_none < -_RESCALED_EXPONENT:
        log_none += _RESCALED_EXPONENT
        scaled += 1
    chance = exp_of(log_none)
    step = mean / (1.0 + dispersion * mean)
    count = 0.0
    while count < LARGEST_CLUSTER:
        if scaled > 0:
            if chance > 1e130:
                chance *= exp_of(-_RESCALED_EXPONENT)
                scaled -= 1
        else:
            if u < chance:
                break
            u -= chance
            if chance < 1e-18 and count > mean:
                break
        chance *= step * (1.0 + dispersion * count) / (count + 1.0)
        count += 1.0
    return np.int64(count)


@njit(cache=True, nogil=True)
def _draw_factors(stream, factors):  # type: ignore[no-untyped-def]
    for k in range(0, factors.size, 2):
        word = next_word(stream)
        first, second = standard_normals(word, next_word(stream))
        factors[k] = first
        if k + 1 < factors.size:
            factors[k + 1] = second


@njit(cache=True, nogil=True, error_model="numpy")
def _add_correlated(  # type: ignore[no-untyped-def]
    key, purpose, cell, size, gene, rate, dispersion, loadings, own, factors, words, tile, counts, touched
):
    n_genes = gene.size
    half = TILE // 2
    z, log_none, none = tile[0], tile[1], tile[2]
    for first in range(0, n_genes, TILE):
        n = min(n_genes - first, TILE)
        philox_tile(key, purpose, cell, first, words)
        for i in range(half):
            z[i], z[i + half] = standard_normals(words[i], words[i + half])
        for i in range(n):
            z[i] *= own[first + i]
        for k in range(factors.size):
            factor = factors[k]
            for i in range(n):
                z[i] += np.float64(loadings[k, first + i]) * factor
        for i in range(n):
            mean = size * rate[first + i]
            phi = dispersion[first + i]
            exposure = phi * mean
            small = -mean * (1.0 - exposure * (0.5 - exposure / 3.0))
            log_none[i] = -log_positive(1.0 + exposure) / phi if exposure > 1e-4 else small
        for i in range(n):
            none[i] = exp_of(log_none[i])
            z[i] = _normal_cdf(z[i])
        for i in range(n):
            if z[i] < none[i]:
                continue
            count = _quantile(z[i], size * rate[first + i], dispersion[first + i], log_none[i])
            if count > 0:
                add_count(counts, touched, np.int64(gene[first + i]), count)


@njit(cache=True, nogil=True)
def copula(  # type: ignore[no-untyped-def]
    indptr,
    columns,
    values,
    sizes,
    threshold,
    other,
    overdispersion,
    inflation,
    gene,
    rate,
    dispersion,
    loadings,
    own,
    total_rate,
    key,
    library_purpose,
    purpose,
    inflation_purpose,
    factor_purpose,
    gene_purpose,
    first_cell,
    streams,
):
    """Write cells as sparse rows; returns how many had room. Without genes that vary together: `negative_binomial`."""
    counts, touched = new_counts(other.size)
    stream, memory = streams[0], new_candidates()
    factors = np.empty(loadings.shape[0])
    words, tile = np.empty(TILE, np.uint64), np.empty((3, TILE))
    indptr[0] = 0
    end = np.int64(0)
    for c in range(indptr.size - 1):
        cell = np.uint64(first_cell + np.uint64(c))
        start_stream(stream, key, library_purpose, cell, 0)
        size = library_size(stream, sizes)
        _add_negative_binomials(
            key, purpose, cell, size, total_rate, threshold, other, overdispersion, stream, memory, counts, touched
        )
        if gene.size > 0:
            start_stream(stream, key, factor_purpose, cell, 0)
            _draw_factors(stream, factors)
            _add_correlated(
                key,
                gene_purpose,
                cell,
                size,
                gene,
                rate,
                dispersion,
                loadings,
                own,
                factors,
                words,
                tile,
                counts,
                touched,
            )
        begin = end
        end = write_counts(counts, touched, columns, values, begin)
        if end < 0:
            return c
        if inflation.size > 0:
            start_stream(stream, key, inflation_purpose, cell, 0)
            end = _inflate_zeros(stream, inflation, columns, values, begin, end)
        indptr[c + 1] = end
    return indptr.size - 1
