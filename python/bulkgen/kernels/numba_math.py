"""Random words and elementary functions for Numba: the twins of ``philox.hpp`` and ``math.hpp``.

Every operation is repeated in the same order, so the bits are the same. Two traps shape the code: Numba turns
``uint64 + 1`` into int64 and never wraps ``uint32 + uint32``, hence the casts after every integer operation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "log_positive",
    "mills_ratio_tail",
    "normal_quantile",
    "philox",
    "standard_exponential",
    "standard_normals",
    "tile_block",
    "unit_uniform",
]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIER0 = np.uint64(0xD2511F53)
_MULTIPLIER1 = np.uint64(0xCD9E8D57)
_WEYL0 = np.uint64(0x9E3779B9)
_WEYL1 = np.uint64(0xBB67AE85)
_DOUBLE_ONE_52 = np.uint64(0x4330000000000000)
_SQRT_HALF = np.uint64(0x3FE6A09E667F3BCD)
_BIAS = np.uint64(1024 << 52)
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_MANTISSA_BITS = np.uint64(52)
_SIGN32 = np.uint64(0x80000000)
_ANGLE32 = np.uint64(0x7FFFFFFF)
_TWO_52 = 2.0**52
_TWO_M32 = 2.0**-32
_TWO_M31 = 2.0**-31
_LN2 = 0.6931471805599453


@njit(cache=True, nogil=True, inline="always")
def philox(c0, c1, c2, c3, key):  # type: ignore[no-untyped-def]
    """Four words (uint64, below 2^32) of Philox4x32-10 at a counter of four such words."""
    key0 = key & _LOW
    key1 = key >> _SHIFT
    for _ in range(10):
        product0 = np.uint64(_MULTIPLIER0 * c0)
        product1 = np.uint64(_MULTIPLIER1 * c2)
        c0 = (product1 >> _SHIFT) ^ c1 ^ key0
        c2 = (product0 >> _SHIFT) ^ c3 ^ key1
        c1 = product1 & _LOW
        c3 = product0 & _LOW
        key0 = np.uint64(key0 + _WEYL0) & _LOW
        key1 = np.uint64(key1 + _WEYL1) & _LOW
    return c0, c1, c2, c3


@njit(cache=True, nogil=True, inline="always")
def tile_block(position):  # type: ignore[no-untyped-def]
    """Index of the block that holds the word of a position: tiles of 64, sixteen blocks each."""
    return np.uint64(position // 64 * 16 + position % 16)


@njit(cache=True, nogil=True, inline="always")
def _small_to_double(value):  # type: ignore[no-untyped-def]
    return np.uint64(value | _DOUBLE_ONE_52).view(np.float64) - _TWO_52


@njit(cache=True, nogil=True, inline="always")
def log_positive(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a positive normal double; relative error below 5e-12."""
    shifted = np.uint64(np.uint64(np.float64(x).view(np.uint64) - _SQRT_HALF) + _BIAS)
    k = _small_to_double(shifted >> _MANTISSA_BITS) - 1024.0
    m = np.uint64(np.uint64(shifted & _MANTISSA) + _SQRT_HALF).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    t = s * s
    p = 0.23616359099145984
    p = p * t + 0.2853505103781631
    p = p * t + 0.4000038467237519
    p = p * t + 0.6666666524748752
    p = p * t + 2.0000000000083595
    return k * _LN2 + s * p


@njit(cache=True, nogil=True, inline="always")
def unit_uniform(word):  # type: ignore[no-untyped-def]
    """Turn a word into a uniform in (0, 1)."""
    return (_small_to_double(word) + 0.5) * _TWO_M32


@njit(cache=True, nogil=True, inline="always")
def standard_exponential(word):  # type: ignore[no-untyped-def]
    """Turn a word into a standard exponential."""
    return -log_positive(unit_uniform(word))


@njit(cache=True, nogil=True, inline="always")
def standard_normals(word0, word1):  # type: ignore[no-untyped-def]
    """Two independent standard normals from two words."""
    radius = np.sqrt(2.0 * standard_exponential(word0))
    turn = (_small_to_double(word1 & _ANGLE32) + 0.5) * _TWO_M31 - 0.5
    square = turn * turn
    c = -0.024395932097550446
    c = c * square + 0.2349370685950865
    c = c * square + -1.3352119493905503
    c = c * square + 4.058709154763134
    c = c * square + -4.934802136928946
    c = c * square + 0.999999999779154
    s = -0.007028303855203096
    s = s * square + 0.08205035020147247
    s = s * square + -0.599252186531583
    s = s * square + 2.550163317938427
    s = s * square + -5.167712764593
    s = s * square + 3.141592653536132
    sign = np.uint64((word1 & _SIGN32) << _SHIFT)
    cosine = np.uint64(np.float64(c).view(np.uint64) ^ sign).view(np.float64)
    return radius * cosine, radius * (turn * s)


@njit(cache=True, nogil=True, inline="always")
def normal_quantile(lower, upper):  # type: ignore[no-untyped-def]
    """Quantile of the standard normal from both of its tails."""
    tail = lower if lower < upper else upper
    square = -2.0 * log_positive(2.0 * tail)
    s2 = square if square > 0.0 else 0.0
    s = np.sqrt(s2)
    n = 0.00827466403717353
    n = n * s + 0.12814734572034495
    n = n * s + 0.4564969006251712
    n = n * s + 0.897419485121487
    n = n * s + 1.2178657817985994
    n = n * s + 1.0046180730409142
    n = n * s + 0.6266570682315129
    d = 0.00827303661126173
    d = d * s + 0.12835485373610508
    d = d * s + 0.4895645237063554
    d = d * s + 1.170081245508114
    d = d * s + 1.8328006912519097
    d = d * s + 2.1934372086765355
    d = d * s + 1.6031383605503569
    d = d * s + 1.0
    magnitude = s2 * (n / d)
    return -magnitude if lower < upper else magnitude


@njit(cache=True, nogil=True)
def mills_ratio_tail(x):  # type: ignore[no-untyped-def]
    """Mills ratio (1 - Phi(x)) / phi(x) for x >= 5."""
    fraction = x
    for i in range(40):
        fraction = x + np.float64(40 - i) / fraction
    return 1.0 / fraction
