"""Library sizes of generated cells, from those of reference cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtri

from bulkgen import elementary
from bulkgen.errors import CountsError

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["library_size_table"]

#: Entries of the table of the log-normal law.
_QUANTILES = 4096


def library_size_table(sizes: Float64Array, *, law: Literal["bootstrap", "log_normal"] = "bootstrap") -> Int64Array:
    """Return library sizes of which each entry is equally likely.

    Parameters
    ----------
    sizes
        Total counts of each reference cell, shape (n_cells,).
    law
        ``"bootstrap"``: the sizes themselves, ascending. ``"log_normal"``: the quantiles (i + ½)/4096 of the log-normal
        law with the mean and standard deviation of their logarithms; for few cells, or sizes between those seen.

    Returns
    -------
    numpy.ndarray
        Whole counts of at least 1, ascending, int64.

    Raises
    ------
    CountsError
        If there is no cell (for the log-normal law: fewer than two), or one is empty.
    """
    fewest = 1 if law == "bootstrap" else 2
    if sizes.size < fewest:
        raise CountsError(f"library sizes by {law!r} need at least {fewest} reference cells, got {sizes.size}")
    if not np.all(np.isfinite(sizes)) or sizes.min() <= 0:
        raise CountsError("library sizes must be positive and finite; remove empty reference cells")
    if law == "bootstrap":
        table = np.sort(sizes)
    else:
        logarithms = elementary.log(sizes)
        # rounding to counts below hides the last bits of the C library's quantile
        normal = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
        table = elementary.exp(logarithms.mean() + logarithms.std(ddof=1) * normal)
    return np.maximum(np.rint(table), 1.0).astype(np.int64)
