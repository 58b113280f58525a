"""Kernels of the sparse samplers in the Numba backend: the checks of the native bindings, then the twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bulkgen.kernels import numba_alias
from bulkgen.kernels.numba_checks import check_purposes, exact, require
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
    from bulkgen.kernels.protocol import Float64Array, Int32Array, UInt64Array

__all__ = ["SamplingKernels"]

_BINOMIAL, _GEOMETRIC_SUM, _LAWS = 2, 5, 8


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
def _variates(out, parameters, law, key, purpose, first_cell):  # type: ignore[no-untyped-def]
    n_cells, n_values = out.shape
    first, second, third = parameters
    stream = new_stream()
    for c in range(n_cells):
        start_stream(stream, key, purpose, np.uint64(first_cell + np.uint64(c)), 0)
        for i in range(n_values):
            out[c, i] = _variate(stream, law, first, second, third)


class SamplingKernels:
    """Part of ``NumbaKernels``."""

    def alias_table(self, weights: Float64Array, threshold: UInt64Array, other: Int32Array) -> None:
        """Build the alias table of weights."""
        exact("weights", weights, np.float64)
        exact("threshold", threshold, np.uint64)
        exact("other", other, np.int32)
        require(0 < weights.size < 2**31, "there must be between 1 and 2^31 - 1 genes")
        require(
            threshold.size == weights.size and other.size == weights.size,
            "weights, threshold and other must have equal length",
        )
        numba_alias.alias_table(weights, threshold, other)

    def variates(
        self, out: Float64Array, parameters: Float64Array, *, law: int, key: int, purpose: int, first_cell: int
    ) -> None:
        """Draw variates of one law: a stream per row of `out`."""
        exact("out", out, np.float64)
        exact("parameters", parameters, np.float64)
        require(out.ndim == 2, "out must have two dimensions: cells x values")
        require(parameters.size == 3, "parameters must hold three numbers")
        require(0 <= law < _LAWS, "law must be the number of a law")
        require(
            law not in (_BINOMIAL, _GEOMETRIC_SUM) or bool(0 <= parameters[0] <= 2.0**53),
            "a number of trials must lie in [0, 2^53]",
        )
        check_purposes(purpose)
        with_parameters = (float(parameters[0]), float(parameters[1]), float(parameters[2]))
        _variates(out, with_parameters, law, np.uint64(key), np.uint64(purpose), np.uint64(first_cell))
