"""Discrete laws, gamma and beta on a stream of words: the twin of ``discrete.hpp``, operation by operation.

Counts are int64, probabilities float64. Sources and laws stand in the header.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bulkgen.kernels.numba_math import log_positive, standard_normals
from bulkgen.kernels.numba_words import fine_uniform, next_word, uniform

__all__ = [
    "bernoulli",
    "beta",
    "binomial",
    "deviance",
    "exp_of",
    "expm1_of",
    "gamma",
    "geometric",
    "geometric_sum",
    "invert_poisson",
    "log_gamma_variate",
    "log_series",
    "poisson",
    "stirling_error",
]

_LN2_HIGH = float.fromhex("0x1.62e42fefa0000p-1")
_LN2_LOW = float.fromhex("0x1.cf79abc9e3b39p-40")
_ROUND = 1.5 * 2.0**52
_BIAS = np.uint64(1023)
_MANTISSA_BITS = np.uint64(52)
_TWO_PI = 6.283185307179586
_TWO_32 = 2.0**32
_MOST_COUNT = 2.0**53
_MOST_INVERTED = 110
_LARGEST_INVERTED_MEAN = 10.0
_RECIPROCALS = 1.0 / np.arange(1.0, _MOST_INVERTED + 1.0)
#: `stirling_error` of 1 ... 15.
_STIRLING = np.array(
    [
        0.0,
        0.08106146679532725821967,
        0.04134069595540929409382,
        0.02767792568499833914879,
        0.02079067210376509311152,
        0.01664469118982119216319,
        0.01387612882307074799875,
        0.01189670994589177009505,
        0.01041126526197209649747,
        0.009255462182712732917729,
        0.008330563433362871256469,
        0.007573675487951840794972,
        0.006942840107209529865664,
        0.006408994188004207068439,
        0.005951370112758847735624,
        0.005554733551962801371038,
    ]
)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _reduce_exponent(x):  # type: ignore[no-untyped-def]
    shifted = x * 1.4426950408889634 + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    power = np.uint64(np.uint64(np.float64(shifted).view(np.uint64) + _BIAS) << _MANTISSA_BITS).view(np.float64)
    p = 1.0 / 479001600
    p = p * r + 1.0 / 39916800
    p = p * r + 1.0 / 3628800
    p = p * r + 1.0 / 362880
    p = p * r + 1.0 / 40320
    p = p * r + 1.0 / 5040
    p = p * r + 1.0 / 720
    p = p * r + 1.0 / 120
    p = p * r + 1.0 / 24
    p = p * r + 1.0 / 6
    p = p * r + 1.0 / 2
    return power, r + r * r * p


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def exp_of(x):  # type: ignore[no-untyped-def]
    """e^x; 0 below -708, e^708 above 708."""
    upper = x if x < 708.0 else 708.0
    power, rest = _reduce_exponent(upper if upper > -708.0 else -708.0)
    value = power + power * rest
    return value if x >= -708.0 else 0.0


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def expm1_of(x):  # type: ignore[no-untyped-def]
    """e^x - 1 for x <= 0."""
    power, rest = _reduce_exponent(x if x > -708.0 else -708.0)
    return power * rest + (power - 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def stirling_error(k):  # type: ignore[no-untyped-def]
    """Rest of Stirling's formula for log k!, of a whole k >= 1."""
    if k < 16.0:
        return _STIRLING[np.int64(k)]
    square = k * k
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / square) / square) / square) / square) / k


@njit(cache=True, nogil=True, error_model="numpy")
def deviance(x, mean, difference):  # type: ignore[no-untyped-def]
    """X log(x / mean) + mean - x, from x - mean as exactly as it is known."""
    v = difference / (x + mean)
    if v < 0.1 and v > -0.1:
        square = v * v
        p = 1.0 / 17
        p = p * square + 1.0 / 15
        p = p * square + 1.0 / 13
        p = p * square + 1.0 / 11
        p = p * square + 1.0 / 9
        p = p * square + 1.0 / 7
        p = p * square + 1.0 / 5
        p = p * square + 1.0 / 3
        return difference * v + 2.0 * x * v * square * p
    return x * log_positive(x / mean) - difference


@njit(cache=True, nogil=True, error_model="numpy")
def bernoulli(stream, p):  # type: ignore[no-untyped-def]
    """Return 1 with chance p, else 0; exact to 2^-64."""
    if not (p > 0.0):
        return 0
    if p >= 1.0:
        return 1
    scaled = p * _TWO_32
    whole = np.uint64(scaled)
    word = next_word(stream)
    if word != whole:
        return 1 if word < whole else 0
    return 1 if uniform(stream) < scaled - np.float64(whole) else 0


@njit(cache=True, nogil=True, error_model="numpy")
def invert_poisson(u, mean, chance_of_none):  # type: ignore[no-untyped-def]
    """Inversion of a Poisson law with a mean below 10 from a uniform and e^-mean."""
    k = 0
    chance = chance_of_none
    while u > chance and k < _MOST_INVERTED:
        u -= chance
        chance *= mean * _RECIPROCALS[k]
        k += 1
    return k


@njit(cache=True, nogil=True, error_model="numpy")
def _poisson_rejection(stream, mean):  # type: ignore[no-untyped-def]
    b = 0.931 + 2.53 * np.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    always = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = fine_uniform(stream) - 0.5
        v = uniform(stream)
        edge = 0.5 - abs(u)
        k = np.floor((2.0 * a / edge + b) * u + mean + 0.43)
        if edge >= 0.07 and v <= always:
            return np.int64(k)
        if k < 0.0 or (edge < 0.013 and v > edge):
            continue
        hat = v * inverse_alpha / (a / (edge * edge) + b)
        if k < 1.0:
            accept = log_positive(hat) <= -mean
        else:
            accept = log_positive(hat * np.sqrt(_TWO_PI * k)) <= -deviance(k, mean, k - mean) - stirling_error(k)
        if accept:
            return np.int64(k)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_binomial_chance(k, n, p, q, mean):  # type: ignore[no-untyped-def]
    if k < 1.0:
        return -mean - deviance(n, n * q, mean)
    if k >= n:
        return n * log_positive(p)
    rest = n - k
    return (
        (stirling_error(n) - stirling_error(k) - stirling_error(rest))
        - (deviance(k, mean, k - mean) + deviance(rest, n * q, mean - k))
        + 0.5 * log_positive(n / (_TWO_PI * k * rest))
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _binomial_rejection(stream, n, p, q):  # type: ignore[no-untyped-def]
    mean = n * p
    deviation = np.sqrt(mean * q)
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    always = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    mode = np.floor((n + 1.0) * p)
    at_mode = 1.0
    while True:
        u = fine_uniform(stream) - 0.5
        v = uniform(stream)
        edge = 0.5 - abs(u)
        k = np.floor((2.0 * a / edge + b) * u + mean + 0.5)
        if edge >= 0.07 and v <= always:
            return np.int64(k)
        if k < 0.0 or k > n:
            continue
        if at_mode > 0.0:
            at_mode = _log_binomial_chance(mode, n, p, q, mean)
        hat = v * alpha / (a / (edge * edge) + b)
        if log_positive(hat) <= _log_binomial_chance(k, n, p, q, mean) - at_mode:
            return np.int64(k)


@njit(cache=True, nogil=True, error_model="numpy")
def poisson(stream, mean):  # type: ignore[no-untyped-def]
    """Poisson; a mean that is not above 0 gives 0, one above 2^53 counts as 2^53."""
    if not (mean > 0.0):
        return np.int64(0)
    if mean < _LARGEST_INVERTED_MEAN:
        return np.int64(invert_poisson(fine_uniform(stream), mean, exp_of(-mean)))
    return _poisson_rejection(stream, mean if mean < _MOST_COUNT else _MOST_COUNT)


@njit(cache=True, nogil=True, error_model="numpy")
def binomial(stream, n, p):  # type: ignore[no-untyped-def]
    """Binomial, 0 <= n <= 2^53."""
    n = np.int64(n)
    if not (p > 0.0):
        return np.int64(0)
    if p >= 1.0:
        return n
    k = np.int64(0)
    if n <= 8:
        for _ in range(n):
            k += bernoulli(stream, p)
        return k
    mirrored = p > 0.5
    rare = 1.0 - p if mirrored else p
    common = p if mirrored else 1.0 - p
    trials = np.float64(n)
    mean = trials * rare
    if mean < _LARGEST_INVERTED_MEAN:
        chance = exp_of(-mean - deviance(trials, trials * common, mean))
        odds = rare / common
        most = min(n, _MOST_INVERTED)
        u = fine_uniform(stream)
        while u > chance and k < most:
            u -= chance
            chance *= odds * (trials - np.float64(k)) * _RECIPROCALS[k]
            k += 1
    else:
        k = _binomial_rejection(stream, trials, rare, common)
    return n - k if mirrored else k


@njit(cache=True, nogil=True, error_model="numpy")
def log_series(stream, q, log1mq):  # type: ignore[no-untyped-def]
    """Logarithmic series from q in (0, 1) and log(1 - q)."""
    v = fine_uniform(stream)
    if not (v < q):
        return np.int64(1)
    exponent = log1mq * uniform(stream)
    chance = -expm1_of(exponent)
    if v >= chance:
        return np.int64(1)
    if v > chance * chance:
        return np.int64(2)
    rest = exp_of(exponent)
    log_chance = -rest - 0.5 * rest * rest if rest < 1e-5 else log_positive(chance)
    k = 1.0 + log_positive(v) / log_chance
    return np.int64(k) if k < _MOST_COUNT else np.int64(_MOST_COUNT)


@njit(cache=True, nogil=True, error_model="numpy")
def geometric(stream, f, log_f):  # type: ignore[no-untyped-def]
    """Geometric from 0, from the chance of failure f in [0, 1) and its logarithm."""
    u = fine_uniform(stream)
    if not (u < f):
        return np.int64(0)
    k = log_positive(u) / log_f
    return np.int64(k) if k < _MOST_COUNT else np.int64(_MOST_COUNT)


@njit(cache=True, nogil=True, error_model="numpy")
def log_gamma_variate(stream, shape):  # type: ignore[no-untyped-def]
    """Logarithm of a standard gamma variate of shape > 0."""
    d = (shape + 1.0 if shape < 1.0 else shape) - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    v = 1.0
    while True:
        word0 = next_word(stream)
        x = standard_normals(word0, next_word(stream))[0]
        y = c * x
        if not (y > -1.0):
            continue
        v = (1.0 + y) * (1.0 + y) * (1.0 + y)
        square = x * x
        u = uniform(stream)
        if u < 1.0 - 0.0331 * square * square:
            break
        difference = -y * (3.0 + y * (3.0 + y))
        if log_positive(u) < 0.5 * square - d * deviance(1.0, v, difference):
            break
    log_variate = log_positive(d * v)
    return log_variate + log_positive(fine_uniform(stream)) / shape if shape < 1.0 else log_variate


@njit(cache=True, nogil=True, error_model="numpy")
def gamma(stream, shape):  # type: ignore[no-untyped-def]
    """Draw a standard gamma; a shape that is not above 0 gives 0."""
    if not (shape > 0.0):
        return 0.0
    return exp_of(log_gamma_variate(stream, shape if shape < _MOST_COUNT else _MOST_COUNT))


@njit(cache=True, nogil=True, error_model="numpy")
def beta(stream, a, b):  # type: ignore[no-untyped-def]
    """Draw a beta(a, b)."""
    first = log_gamma_variate(stream, a)
    return 1.0 / (1.0 + exp_of(log_gamma_variate(stream, b) - first))


@njit(cache=True, nogil=True, error_model="numpy")
def geometric_sum(stream, size, f, log_f):  # type: ignore[no-untyped-def]
    """Negative binomial of a whole size: failures before the size-th success."""
    if size <= 8:
        k = np.int64(0)
        for _ in range(size):
            k += geometric(stream, f, log_f)
        return k
    return poisson(stream, gamma(stream, np.float64(size)) * (f / (1.0 - f)))
