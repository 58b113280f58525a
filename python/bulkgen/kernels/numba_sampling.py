"""Kernels of the sparse samplers in the Numba backend: the checks of the native bindings, then the twins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bulkgen.kernels import numba_alias, numba_multinomial, numba_poisson_log_normal, numba_thin_rows
from bulkgen.kernels.numba_checks import (
    are_shapes,
    check_alias,
    check_integers,
    check_matrix,
    check_purposes,
    check_row_pointers,
    check_rows,
    check_sizes,
    exact,
    exact_output,
    require,
    word,
)
from bulkgen.kernels.numba_discrete import (
    bernoulli,
    beta,
    binomial,
    gamma,
    geometric,
    geometric_sum,
    log_series,
    poisson,
)
from bulkgen.kernels.numba_words import new_stream, start_stream

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import (
        Float32Array,
        Float64Array,
        IndexArray,
        Int32Array,
        Int64Array,
        UInt64Array,
        ValueArray,
    )

__all__ = ["SamplingKernels"]

_BINOMIAL, _LOG_SERIES, _GEOMETRIC, _GEOMETRIC_SUM, _BETA, _LAWS = 2, 3, 4, 5, 7, 8


def _law_allows(law: int, first: float, second: float, third: float) -> bool:
    """Whether a variate can be drawn; a chance, a mean or the shape of a gamma law may be any number."""
    if law == _LOG_SERIES:
        return 0 < first < 1 and second < 0
    if law == _GEOMETRIC:
        return 0 <= first < 1 and second < 0
    if law == _GEOMETRIC_SUM:
        return 0 <= first <= 2.0**53 and 0 <= second < 1 and third < 0
    if law == _BETA:
        return are_shapes(first, second)
    return law != _BINOMIAL or 0 <= first <= 2.0**53


@njit(cache=True, nogil=True)
def _variate(stream, law, first, second, third):  # type: ignore[no-untyped-def]
    if law == 0:
        return np.float64(bernoulli(stream, first))
    if law == 1:
        return np.float64(poisson(stream, first))
    if law == 2:
        return np.float64(binomial(stream, np.int64(first), second))
    if law == 3:
        return np.float64(log_series(stream, first, second))
    if law == 4:
        return np.float64(geometric(stream, first, second))
    if law == 5:
        return np.float64(geometric_sum(stream, np.int64(first), second, third))
    if law == 6:
        return gamma(stream, first)
    return beta(stream, first, second)


@njit(cache=True, nogil=True)
def _variates(out, parameters, law, key, purpose, first_cell, streams):  # type: ignore[no-untyped-def]
    n_cells, n_values = out.shape
    first, second, third = parameters
    stream = streams[0]
    for c in range(n_cells):
        start_stream(stream, key, purpose, np.uint64(first_cell + np.uint64(c)), 0)
        for i in range(n_values):
            out[c, i] = _variate(stream, law, first, second, third)


class SamplingKernels:
    """Part of ``NumbaKernels``."""

    def alias_table(self, weights: Float64Array, threshold: UInt64Array, other: Int32Array) -> None:
        """Build the alias table of weights."""
        exact("weights", weights, np.float64)
        exact_output("threshold", threshold, np.uint64)
        exact_output("other", other, np.int32)
        require(0 < weights.size < 2**31, "there must be between 1 and 2^31 - 1 genes")
        require(
            threshold.size == weights.size and other.size == weights.size,
            "weights, threshold and other must have equal length",
        )
        numba_alias.alias_table(weights, threshold, other)

    def multinomial(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        threshold: UInt64Array,
        other: Int32Array,
        sizes: Float64Array,
        *,
        poisson_total: bool,
        concentration: float,
        key: int,
        purposes: tuple[int, int],
        first_cell: int,
    ) -> int:
        """Draw cells, molecule by molecule, from an alias table; returns how many there was room for."""
        check_rows(indptr, columns, values)
        check_alias(threshold, other)
        check_sizes(sizes)
        require(concentration > 0, "concentration must be above zero")
        check_purposes(*purposes)
        largest = float(sizes.max())
        urn_size = int(largest + 12.0 * math.sqrt(largest) + 64.0) if np.isfinite(concentration) else 0
        return int(
            numba_multinomial.multinomial(
                indptr,
                columns,
                values,
                threshold,
                other,
                sizes,
                poisson_total,
                concentration,
                word(key),
                word(purposes[0]),
                word(purposes[1]),
                word(first_cell),
                np.empty(urn_size, np.int32),
                new_stream(),
            )
        )

    def poisson_log_normal(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        scale: Float64Array,
        sigma: Float64Array,
        sizes: Float64Array,
        *,
        key: int,
        purposes: tuple[int, int],
        first_cell: int,
    ) -> int:
        """Draw cells of Poisson genes with log-normal rates; returns how many there was room for."""
        check_rows(indptr, columns, values)
        exact("scale", scale, np.float64)
        exact("sigma", sigma, np.float64)
        require(0 < scale.size < 2**31, "there must be between 1 and 2^31 - 1 genes")
        require(sigma.size == scale.size, "scale and sigma must have equal length")
        check_sizes(sizes)
        check_purposes(*purposes)
        return int(
            numba_poisson_log_normal.poisson_log_normal(
                indptr,
                columns,
                values,
                scale,
                sigma,
                sizes,
                word(key),
                word(purposes[0]),
                word(purposes[1]),
                word(first_cell),
                new_stream(),
            )
        )

    def thin_rows(
        self,
        out_indptr: Int64Array,
        out_columns: Int32Array,
        out_values: Float32Array,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        probability: Float64Array,
        *,
        key: int,
        purpose: int,
        first_cell: int,
    ) -> int:
        """Keep each molecule of a row with the probability of the row; returns how many rows there was room for."""
        check_rows(out_indptr, out_columns, out_values)
        check_matrix(indptr, indices, data)
        check_row_pointers(indptr, data.size)
        exact("probability", probability, np.float64)
        require(
            indptr.size == out_indptr.size and probability.size == out_indptr.size - 1,
            "out_indptr, indptr and probability must be of the same rows",
        )
        check_purposes(purpose)
        return int(
            numba_thin_rows.thin_rows(
                out_indptr,
                out_columns,
                out_values,
                indptr,
                indices,
                data,
                probability,
                word(key),
                word(purpose),
                word(first_cell),
                new_stream(),
            )
        )

    def variates(
        self, out: Float64Array, parameters: Float64Array, *, law: int, key: int, purpose: int, first_cell: int
    ) -> None:
        """Draw variates of one law: a stream per row of `out`."""
        exact_output("out", out, np.float64)
        exact("parameters", parameters, np.float64)
        require(out.ndim == 2, "out must have two dimensions: cells x values")
        require(parameters.size == 3, "parameters must hold three numbers")
        check_integers(0, 255, law)
        require(law < _LAWS, "law must be the number of a law")
        with_parameters = (float(parameters[0]), float(parameters[1]), float(parameters[2]))
        require(_law_allows(law, *with_parameters), "parameters must be those that the law allows")
        check_purposes(purpose)
        _variates(out, with_parameters, law, word(key), word(purpose), word(first_cell), new_stream())
