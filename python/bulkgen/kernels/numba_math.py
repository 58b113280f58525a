"""Random words and elementary functions for Numba: the twins of ``philox.hpp``, ``math.hpp`` and ``math_single.hpp``.

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
    "normals_at",
    "philox",
    "philox_blocks",
    "philox_tile",
    "quantile_argument",
    "quantile_magnitude",
    "radius_argument",
    "round_count",
    "small_to_double",
    "standard_exponential",
    "standard_normals",
    "tile_block",
    "unit_uniform",
    "unit_uniform_single",
]

#: Positions and blocks of a tile.
TILE = 256
LANES = 64

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
_PURPOSE = np.uint64(24)
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
    """Index of the block that holds the word of a position: tiles of 256, 64 blocks each."""
    return np.uint64(position // TILE * LANES + position % LANES)


@njit(cache=True, nogil=True)
def philox_blocks(key, purpose, cell, attempt, positions, n, stride, words):  # type: ignore[no-untyped-def]
    """Blocks of n positions (uint64): word i of the block of positions[lane] goes to words[i * stride + lane]."""
    low_cell, high_cell = cell & _LOW, cell >> _SHIFT
    last = np.uint64(np.uint64(purpose << _PURPOSE) | np.uint64(attempt))
    for lane in range(n):
        word0, word1, word2, word3 = philox(positions[lane], low_cell, high_cell, last, key)
        words[lane] = word0
        words[stride + lane] = word1
        words[2 * stride + lane] = word2
        words[3 * stride + lane] = word3


@njit(cache=True, nogil=True)
def philox_tile(key, purpose, cell, first, words):  # type: ignore[no-untyped-def]
    """Words of the 256 positions from `first`, a multiple of 256."""
    block = np.uint64(first // TILE * LANES)
    low_cell, high_cell = cell & _LOW, cell >> _SHIFT
    last = np.uint64(purpose << _PURPOSE)
    for lane in range(LANES):
        position = np.uint64(block + np.uint64(lane))
        word0, word1, word2, word3 = philox(position, low_cell, high_cell, last, key)
        words[lane] = word0
        words[LANES + lane] = word1
        words[2 * LANES + lane] = word2
        words[3 * LANES + lane] = word3


@njit(cache=True, nogil=True, inline="always")
def small_to_double(value):  # type: ignore[no-untyped-def]
    """Turn an integer (uint64) below 2^52 into a double."""
    return np.uint64(value | _DOUBLE_ONE_52).view(np.float64) - _TWO_52


@njit(cache=True, nogil=True, inline="always")
def log_positive(x):  # type: ignore[no-untyped-def]
    """Natural logarithm of a positive normal double; relative error below 5e-12."""
    shifted = np.uint64(np.uint64(np.float64(x).view(np.uint64) - _SQRT_HALF) + _BIAS)
    k = small_to_double(shifted >> _MANTISSA_BITS) - 1024.0
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
    return (small_to_double(word) + 0.5) * _TWO_M32


@njit(cache=True, nogil=True, inline="always")
def standard_exponential(word):  # type: ignore[no-untyped-def]
    """Turn a word into a standard exponential."""
    return -log_positive(unit_uniform(word))


@njit(cache=True, nogil=True, inline="always")
def standard_normals(word0, word1):  # type: ignore[no-untyped-def]
    """Two independent standard normals from two words."""
    radius = np.sqrt(2.0 * standard_exponential(word0))
    turn = (small_to_double(word1 & _ANGLE32) + 0.5) * _TWO_M31 - 0.5
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


@njit(cache=True, nogil=True, error_model="numpy")
def mills_ratio_tail(x):  # type: ignore[no-untyped-def]
    """Mills ratio (1 - Phi(x)) / phi(x) for x >= 5."""
    fraction = x
    for i in range(40):
        fraction = x + np.float64(40 - i) / fraction
    return 1.0 / fraction


# ---- single precision (math_single.hpp): every constant is a float32, since a Python float would promote ----

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_MINUS_TWO = np.float32(-2.0)
_TWO = np.float32(2.0)
_SINGLE_LN2 = np.float32(0.693147182)
_SINGLE_TWO_M31 = np.float32(2.0**-31)
_TWO_23 = np.float32(2.0**23)
_SINGLE_SQRT_HALF = np.int32(0x3F3504F3)
_SINGLE_MANTISSA = np.int32(0x007FFFFF)
_SINGLE_EXPONENT = np.int32(23)
_BIT = np.uint32(1)
_BIT_31 = np.uint32(31)
(_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8) = (
    np.float32(x)
    for x in (
        0.333333313,
        -0.24999994,
        0.200007141,
        -0.166680574,
        0.142493233,
        -0.124201410,
        0.116769984,
        -0.115146101,
        0.0703768358,
    )
)
(_S0, _S1, _S2, _S3, _S4, _S5) = (
    np.float32(x) for x in (3.14159274, -5.16771269, 2.55016327, -0.599252164, 0.0820503533, -0.00702830311)
)
(_C0, _C1, _C2, _C3, _C4, _C5) = (
    np.float32(x) for x in (1.0, -4.93480206, 4.05870914, -1.33521199, 0.234937072, -0.0243959315)
)
(_N0, _N1, _N2, _N3, _N4, _N5) = (
    np.float32(x) for x in (0.626657069, 0.885056853, 0.933094680, 0.581991374, 0.221890107, 0.0308398254)
)
(_D0, _D1, _D2, _D3, _D4, _D5, _D6) = (
    np.float32(x) for x in (1.0, 1.41234875, 1.73894989, 1.28228569, 0.679623783, 0.223603174, 0.0308123920)
)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _log_positive_single(x):  # type: ignore[no-untyped-def]
    shifted = np.int32(np.float32(x).view(np.int32) - _SINGLE_SQRT_HALF)
    k = np.float32(np.int32(shifted >> _SINGLE_EXPONENT))
    f = np.int32(np.int32(shifted & _SINGLE_MANTISSA) + _SINGLE_SQRT_HALF).view(np.float32) - _ONE
    square = f * f
    p = _L8
    p = p * f + _L7
    p = p * f + _L6
    p = p * f + _L5
    p = p * f + _L4
    p = p * f + _L3
    p = p * f + _L2
    p = p * f + _L1
    p = p * f + _L0
    rest = f * square * p - _HALF * square
    return k * _SINGLE_LN2 + (f + rest)


@njit(cache=True, nogil=True, inline="always")
def unit_uniform_single(word):  # type: ignore[no-untyped-def]
    """Turn the upper 31 bits of a word (uint32) into a uniform in (0, 1], rounded to 24 bits."""
    return (np.float32(np.int32(np.uint32(word >> _BIT))) + _HALF) * _SINGLE_TWO_M31


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def radius_argument(word):  # type: ignore[no-untyped-def]
    """Squared radius of a pair of normals from a word (uint32)."""
    return _MINUS_TWO * _log_positive_single(unit_uniform_single(word))


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def normals_at(argument, word1):  # type: ignore[no-untyped-def]
    """Two independent standard normals from a squared radius and a word (uint32), in single precision."""
    radius = np.sqrt(argument)
    turn = (np.float32(np.int32(np.int32(word1) >> np.int32(1))) + _HALF) * _SINGLE_TWO_M31
    square = turn * turn
    c = _C5
    c = c * square + _C4
    c = c * square + _C3
    c = c * square + _C2
    c = c * square + _C1
    c = c * square + _C0
    s = _S5
    s = s * square + _S4
    s = s * square + _S3
    s = s * square + _S2
    s = s * square + _S1
    s = s * square + _S0
    sign = np.uint32(word1 << _BIT_31)
    cosine = np.uint32(np.float32(c).view(np.uint32) ^ sign).view(np.float32)
    return radius * cosine, radius * (turn * s)


@njit(cache=True, nogil=True, inline="always")
def quantile_argument(tail):  # type: ignore[no-untyped-def]
    """L(t) = -2 log(2 t) of a tail t in (0, 1/2]."""
    value = _MINUS_TWO * _log_positive_single(_TWO * tail)
    return value if value > _ZERO else _ZERO


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def quantile_magnitude(argument):  # type: ignore[no-untyped-def]
    """Distance from the mean at which the tail beyond has argument L."""
    s = np.sqrt(argument)
    n = _N5
    n = n * s + _N4
    n = n * s + _N3
    n = n * s + _N2
    n = n * s + _N1
    n = n * s + _N0
    d = _D6
    d = d * s + _D5
    d = d * s + _D4
    d = d * s + _D3
    d = d * s + _D2
    d = d * s + _D1
    d = d * s + _D0
    return argument * (n / d)


@njit(cache=True, nogil=True, inline="always")
def round_count(x):  # type: ignore[no-untyped-def]
    """Nearest whole number, ties to even, of a float32 >= 0."""
    return (x + _TWO_23) - _TWO_23 if x < _TWO_23 else x
