"""Seeds to keys, and the table of stream purposes.

Every random word in bulkgen has an address: a 64-bit key (from the public ``rng`` argument) and a 128-bit counter
``(position, cell low, cell high, purpose << 24 | attempt)`` of Philox4x32-10 (Salmon et al., SC'11). No result depends
on the order in which words are drawn; see ``docs/design/streams.md``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import TypeAlias

    RandomState: TypeAlias = "int | np.random.SeedSequence | np.random.Generator | None"

__all__ = ["STREAM_VERSION", "Purpose", "key_from_rng"]

#: Version of the definition of every random stream. A release that changes any stream bumps it.
STREAM_VERSION = 1


class Purpose(IntEnum):
    """What a random word is for. Eight bits of its address; a released number is never reused."""

    TRUNCATED_GAUSSIAN = 1
    TRUNCATED_GAUSSIAN_RETRY = 2
    GROUP_SIZE = 3
    GROUP_SIZE_RETRY = 4
    GROUP_SHUFFLE = 5
    SPLIT = 6
    ZERO_MASK = 7
    LIBRARY_SIZE = 8
    THIN = 9
    MULTINOMIAL = 10
    POISSON_LOG_NORMAL = 11
    NEGATIVE_BINOMIAL = 12
    ZERO_INFLATION = 13
    DONOR = 14
    DONOR_RESPONSE = 15
    DONOR_KEEP = 16
    DONOR_GAIN = 17
    COPULA_FACTOR = 18
    COPULA_GENE = 19
    MIXTURE_STATE = 20
    PSEUDOBULK_GROUP = 21


def key_from_rng(rng: RandomState = None) -> int:
    """Turn the public ``rng`` argument into a 64-bit Philox key.

    Parameters
    ----------
    rng
        ``int`` (non-negative, any size) or :class:`numpy.random.SeedSequence`: the same value gives the same key,
        always. :class:`numpy.random.Generator`: draws one 64-bit word from it. ``None``: fresh entropy from the
        operating system. (The convention of Scientific Python's SPEC 7.)

    Returns
    -------
    int
        The key, 0 ≤ key < 2**64.

    Raises
    ------
    TypeError
        For anything else, legacy ``numpy.random.RandomState`` included.
    ValueError
        For a negative integer.
    """
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    if isinstance(rng, np.random.SeedSequence):
        # generate_state is a pure function of the sequence; it does not spawn, so calling twice gives the same key
        return int(rng.generate_state(1, np.uint64)[0])
    if rng is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    seed: object = rng  # callers without a type checker pass anything
    if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
        if seed < 0:
            raise ValueError(f"rng must be a non-negative integer, got {seed}")
        return int(np.random.SeedSequence(int(seed)).generate_state(1, np.uint64)[0])
    raise TypeError(
        f"rng must be an int, a numpy.random.SeedSequence, a numpy.random.Generator or None, got {type(rng).__name__}"
    )
