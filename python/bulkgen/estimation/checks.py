"""Checks of what the estimates are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import CountsError

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["checked_cells", "checked_codes", "checked_profile"]


def checked_cells(counts: sp.csr_matrix, *, fewest: int, purpose: str) -> Float64Array:
    """Return the library sizes of reference cells, all of them positive and at least `fewest` in number.

    Raises
    ------
    CountsError
        If there are too few cells, or one has no counts.
    """
    if counts.shape[0] < fewest:
        raise CountsError(f"{purpose} needs at least {fewest} reference cells, got {counts.shape[0]}")
    sizes = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    empty = np.flatnonzero(~(sizes > 0))
    if empty.size:
        raise CountsError(f"{empty.size} reference cells have no counts, the first in row {empty[0]}; remove them")
    return sizes


def checked_codes(codes: Int64Array | None, n_cells: int) -> Int64Array:
    """Return the stratum of each cell, all in one stratum if none are given."""
    if codes is None:
        return np.zeros(n_cells, np.int64)
    if codes.shape != (n_cells,) or codes.min(initial=0) < 0:
        raise ValueError(f"codes must give a stratum (0 or more) for each of the {n_cells} cells")
    return codes.astype(np.int64, copy=False)


def checked_profile(counts: npt.ArrayLike, name: str) -> Float64Array:
    """Return counts or rates as float64.

    Raises
    ------
    CountsError
        If a value is negative or not finite, or a profile has no counts.
    """
    values = np.asarray(counts, np.float64)
    if not np.all(np.isfinite(values)) or values.min(initial=0.0) < 0:
        raise CountsError(f"{name} has negative, infinite or NaN values")
    if not np.all(values.sum(axis=-1) > 0):
        raise CountsError(f"{name} has a profile without counts")
    return values
