"""The library sizes that synthetic cells have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bulkgen.elementary import exp, log

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["library_size_sample", "normal_quantile"]

_MOST = 2.0**30

#: Numerators and denominators of Wichura's three rational functions, highest power first.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip


def library_size_sample(
    sizes: Float64Array, *, model: Literal["bootstrap", "log_normal"] = "bootstrap", n: int = 4096
) -> Float64Array:
    """Return the library sizes from which a synthetic cell takes one, all with the same chance.

    Parameters
    ----------
    sizes
        Total counts of reference cells; those without counts are left out.
    model
        ``bootstrap``: the sizes themselves. ``log_normal``: `n` quantiles of the log-normal law with the mean and
        variance of their logarithms, none below half the smallest size or above twice the largest; for few cells.
    n
        Number of quantiles.

    Returns
    -------
    numpy.ndarray
        Whole numbers from 1, ascending.

    Raises
    ------
    ValueError
        If a size is negative, not a number or above 2^30, if no cell has counts, or if the model is not known.
    """
    sizes = np.asarray(sizes, np.float64)
    if not np.all((sizes >= 0) & (sizes < _MOST)):
        raise ValueError("library sizes must be numbers from 0 to 2^30")
    positive = np.sort(sizes[sizes > 0])
    if positive.size == 0:
        raise ValueError("library sizes cannot be learned: no reference cell has counts")
    if model == "bootstrap":
        sample = positive
    elif model == "log_normal":
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        logs = log(positive)
        # the sizes may have far outliers; these are cells, the tail of a law fitted to them is none
        deviation = logs.std(ddof=1) if logs.size > 1 else 0.0
        sample = exp(logs.mean() + deviation * normal_quantile((np.arange(n) + 0.5) / n))
        sample = np.clip(sample, 0.5 * positive[0], 2.0 * positive[-1])
    else:
        raise ValueError(f"the model of library sizes must be 'bootstrap' or 'log_normal', not {model!r}")
    return np.maximum(np.rint(sample), 1.0)


def normal_quantile(p: Float64Array) -> Float64Array:
    """Quantiles of the standard normal law for 0 < p < 1, relative error below 1e-15 (Wichura's AS 241, 1988).

    Made of additions, multiplications, divisions, square roots and :func:`bulkgen.elementary.log`: the same bits
    on every machine.
    """
    p = np.asarray(p, np.float64)
    q = p - 0.5
    square = 0.180625 - q * q
    root = np.sqrt(-log(np.minimum(p, 1.0 - p)))
    tail = np.where(root <= 5.0, _ratio(_TAIL, root - 1.6), _ratio(_FAR_TAIL, root - 5.0))
    return np.where(np.abs(q) <= 0.425, q * _ratio(_CENTRE, square), np.where(q < 0, -tail, tail))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Float64Array) -> Float64Array:
    """Quotient of two polynomials."""
    numerator, denominator = (np.zeros_like(x), np.zeros_like(x))
    for a, b in zip(*coefficients, strict=True):
        numerator = numerator * x + a
        denominator = denominator * x + b
    return numerator / denominator
