"""Shares of the genes in a profile, with what the genes that were not counted probably have.

If n₁ of N molecules are of genes seen once, about n₁/N of all there are belong to genes not seen at all (Good,
Biometrika 40:237, 1953). The n₀ unseen genes get n₁ molecules in equal parts, and the genes that were seen give them in
equal parts (absolute discounting: Ney, Essen & Kneser, Computer Speech & Language 8:1, 1994): a strong gene keeps its
share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.errors import CountsError

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.kernels.protocol import Float64Array

__all__ = ["PROFILE_FLOOR", "checked_profile", "profile_of"]

#: A share that a gene may have without being seen; a cell of 5,000 counts has one in a thousand.
PROFILE_FLOOR = 2e-7


def profile_of(counts: npt.ArrayLike) -> Float64Array:
    """Return the share of each gene along the last axis; every one is above 0.

    An unseen gene counts as n₁/n₀ molecules, but as at least :data:`PROFILE_FLOOR` of all, at most ½ (what an unseen
    gene has on average under Jeffreys' prior), and never as more than what is left of a gene that was seen once. Values
    that are no whole numbers do not tell how many molecules there were: their n₁ is 0, and the floor decides. No gene
    counts less than an unseen one.

    Parameters
    ----------
    counts
        Counts, transcripts per million or any other rates, shape (..., n_genes).

    Raises
    ------
    CountsError
        If a value is negative or not finite, or a profile has no counts.
    """
    counts = checked_profile(counts, "a profile")
    once = np.minimum(counts, 1.0)
    seen = once.sum(axis=-1, keepdims=True)
    n_unseen = (counts == 0).sum(axis=-1, keepdims=True)
    n_once = (counts == 1).sum(axis=-1, keepdims=True)
    total = counts.sum(axis=-1, keepdims=True)
    unseen = np.maximum(n_once / np.maximum(n_unseen, 1), PROFILE_FLOOR * total)
    unseen = np.minimum(np.minimum(unseen, 0.5), seen / (n_unseen + seen))
    raised = np.maximum(counts - once * (unseen * n_unseen / seen), unseen)
    profile: Float64Array = raised / raised.sum(axis=-1, keepdims=True)
    return profile


def checked_profile(counts: npt.ArrayLike, name: str) -> Float64Array:
    """Return counts or rates as float64, rows one after the other.

    Raises
    ------
    CountsError
        If a value is negative or not finite, or a profile has no counts.
    """
    values = np.asarray(counts, np.float64, order="C")
    if not np.all(np.isfinite(values)) or values.min(initial=0.0) < 0:
        raise CountsError(f"{name} has negative, infinite or NaN values")
    if not np.all(values.sum(axis=-1) > 0):
        raise CountsError(f"{name} has a profile without counts")
    return values
