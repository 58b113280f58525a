"""Elementary functions of arrays with the same bits on every machine.

NumPy's own ``log``, ``exp`` and ``power`` come from the C library or from vector code chosen by the processor, and
differ between them in the last bit. Whatever feeds a sampler is computed with these functions instead: fixed sequences
of IEEE additions, multiplications and divisions, each rounded once because every one is a NumPy call of its own, and of
the exact ``frexp``, ``ldexp`` and ``rint``. Relative errors stay below 1e-15, those of :func:`power` below 1e-12.

The functions take anything that converts to float64, follow C99 on zeros, infinities and NaN, and never warn.
"""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Float64Array = npt.NDArray[np.float64]

__all__ = ["exp", "expm1", "log", "log1p", "power"]

#: ln 2 in two parts; the first has 32 trailing zero bits, so that its products with exponents are exact.
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_SQRT_HALF = 0.7071067811865476
#: 2 / (2j + 1): log((1 + s) / (1 - s)) = s · Σ of these times s^2j; the rest is below 1e-17 for |s| < 0.172.
_LOG_SERIES = tuple(2.0 / (2 * j + 1) for j in range(11))
#: 1 / j! from j = 1: expm1(r) = r · Σ of these times r^(j - 1); the rest is below 1e-17 for |r| < 0.347.
_EXP_SERIES = tuple(1.0 / factorial(j) for j in range(1, 15))


def log(x: npt.ArrayLike) -> Float64Array:
    """Natural logarithm; -inf at 0, NaN below.

    With x = 2^k m and m in [√½, √2), log x = k ln 2 + 2 artanh((m − 1)/(m + 1)), by the series of artanh.
    """
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        regular = (x > 0) & (x < np.inf)
        mantissa, exponent = np.frexp(np.where(regular, x, 1.0))
        low = mantissa < _SQRT_HALF
        mantissa = np.where(low, 2.0 * mantissa, mantissa)
        k = (exponent - low).astype(np.float64)
        s = (mantissa - 1.0) / (mantissa + 1.0)
        value = k * _LN2_HIGH + (k * _LN2_LOW + s * _horner(_LOG_SERIES, s * s))
        return np.where(regular, value, np.where(x == 0, -np.inf, np.where(x > 0, x, np.nan)))


def log1p(x: npt.ArrayLike) -> Float64Array:
    """log(1 + x) with a small relative error near 0 too (Kahan's correction of the rounded sum)."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        total = 1.0 + x
        rounded = total - 1.0
        regular = (rounded != 0) & (x < np.inf)
        corrected = log(total) * (x / np.where(regular, rounded, 1.0))
        return np.where(regular, corrected, x)


def exp(x: npt.ArrayLike) -> Float64Array:
    """Exponential function; 0 and inf outside the range of a double."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        k, part = _reduced(x)
        return np.where(np.isnan(x), x, np.ldexp(1.0 + part, k))


def expm1(x: npt.ArrayLike) -> Float64Array:
    """exp(x) − 1 with a small relative error near 0 too."""
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        k, part = _reduced(x)
        # 2^k (1 + part) − 1; above 2^60 the −1 is lost anyway, and 2^k may overflow where the product does not
        large = k > 60
        power_of_two = np.ldexp(1.0, np.minimum(k, 60))
        value = np.where(large, np.ldexp(1.0 + part, k), power_of_two * part + (power_of_two - 1.0))
        return np.where((x == 0) | np.isnan(x), x, value)


def power(base: npt.ArrayLike, exponent: npt.ArrayLike) -> Float64Array:
    """base^exponent = exp(exponent · log base) for base ≥ 0; NaN for a negative base; anything to the power 0 is 1."""
    base, exponent = np.broadcast_arrays(np.asarray(base, np.float64), np.asarray(exponent, np.float64))
    with np.errstate(all="ignore"):
        one = (exponent == 0) | (base == 1)
        return np.where(one, 1.0, exp(np.where(one, 1.0, exponent) * log(np.where(one, 2.0, base))))


def _reduced(x: Float64Array) -> tuple[npt.NDArray[np.int32], Float64Array]:
    """Integers k and expm1(r) such that exp(x) = 2^k exp(r), |r| ≤ ln(2)/2."""
    inside = np.where(np.isnan(x), 0.0, np.clip(x, -760.0, 720.0))
    k = np.rint(inside * 1.4426950408889634)
    r = (inside - k * _LN2_HIGH) - k * _LN2_LOW
    return k.astype(np.int32), r * _horner(_EXP_SERIES, r)


def _horner(coefficients: tuple[float, ...], x: Float64Array) -> Float64Array:
    """Σ coefficients[j] x^j."""
    value = np.full(np.shape(x), coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
