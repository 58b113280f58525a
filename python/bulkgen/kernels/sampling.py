"""Arguments of the kernels of sparse samplers, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels import get_kernels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bulkgen.kernels.protocol import Float64Array, Int32Array, Kernels, UInt64Array

__all__ = ["LAWS", "AliasTable", "draw_variates"]

#: Laws of single variates, in the order of their numbers (``variates.hpp``).
LAWS = ("bernoulli", "poisson", "binomial", "log_series", "geometric", "geometric_sum", "gamma", "beta")


@dataclass(frozen=True)
class AliasTable:
    """Genes in proportion to weights, in constant time (``alias.hpp``).

    Attributes
    ----------
    threshold, other
        Column g of the table stays with gene g below its threshold and goes to gene ``other[g]`` above.
    """

    threshold: UInt64Array
    other: Int32Array

    @classmethod
    def of(cls, weights: ArrayLike, *, kernels: Kernels | None = None) -> AliasTable:
        """Build the table.

        Parameters
        ----------
        weights
            One per gene: finite, none below zero, some above. Differences below 1e-13 of the total are rounded away.
        kernels
            Backend (default: that of :func:`bulkgen.kernels.get_kernels`).

        Raises
        ------
        ValueError
            If the weights are no weights.
        """
        checked = np.ascontiguousarray(weights, np.float64)
        if checked.ndim != 1 or checked.size == 0:
            raise ValueError(f"weights must be a vector of at least one weight, got shape {checked.shape}")
        if not np.all(np.isfinite(checked)) or np.any(checked < 0):
            raise ValueError("weights must be finite and none below zero")
        largest = checked.max()
        if largest == 0:
            raise ValueError("weights must not all be zero")
        # neither the sum nor the units of it can leave the range of a double
        checked = np.ldexp(checked, -int(np.frexp(largest)[1]))
        threshold, other = np.empty(checked.size, np.uint64), np.empty(checked.size, np.int32)
        (kernels or get_kernels()).alias_table(checked, threshold, other)
        return cls(threshold, other)

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.other.size


def draw_variates(
    law: str,
    *parameters: float,
    n_cells: int,
    n_values: int,
    key: int,
    purpose: int,
    first_cell: int = 0,
    kernels: Kernels | None = None,
) -> Float64Array:
    """Draw variates of one law, `n_values` from the stream of each cell.

    Parameters
    ----------
    law
        One of `LAWS`.
    *parameters
        As the law takes them in ``discrete.hpp``; at most three.
    n_cells, n_values
        Shape of the result.
    key, purpose, first_cell
        Address of the words.
    kernels
        Backend (default: that of :func:`bulkgen.kernels.get_kernels`).

    Returns
    -------
    numpy.ndarray
        Shape (n_cells, n_values).
    """
    out, given = np.empty((n_cells, n_values)), np.zeros(3)
    given[: len(parameters)] = parameters
    (kernels or get_kernels()).variates(
        out, given, law=LAWS.index(law), key=key, purpose=purpose, first_cell=first_cell
    )
    return out
