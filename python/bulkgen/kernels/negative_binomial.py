"""Independent negative binomial counts: the plan of a stratum, and drawing cells with it."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels import get_kernels
from bulkgen.kernels.sampling import AliasTable
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bulkgen.kernels.protocol import Float64Array, Kernels
    from bulkgen.kernels.rows import Rows

__all__ = ["NegativeBinomialPlan", "checked_parameter", "checked_sizes", "total_of"]

#: Molecules of a cell on average; they are work, and their candidates are numbered in 32 bits.
_MOST_MOLECULES = 2.0**30

PURPOSES = (int(Purpose.LIBRARY_SIZE), int(Purpose.NEGATIVE_BINOMIAL), int(Purpose.ZERO_INFLATION))


@dataclass(frozen=True)
class NegativeBinomialPlan:
    """What ``negative_binomial.hpp`` needs to draw the cells of a stratum.

    Attributes
    ----------
    sizes
        Library sizes, of which each cell takes one.
    table
        The genes in proportion to their rates.
    overdispersion
        Dispersion times rate of each gene.
    inflation
        Empty, or the chance of each gene that its count becomes 0.
    total_rate
        Sum of the rates.
    """

    sizes: Float64Array
    table: AliasTable
    overdispersion: Float64Array
    inflation: Float64Array
    total_rate: float

    @classmethod
    def of(
        cls,
        rate: ArrayLike,
        dispersion: ArrayLike,
        sizes: ArrayLike,
        *,
        inflation: ArrayLike | None = None,
        kernels: Kernels | None = None,
    ) -> NegativeBinomialPlan:
        """Prepare genes of mean ``library size × rate`` and variance ``mean + dispersion × mean²``.

        Parameters
        ----------
        rate
            Shape (n_genes,): a profile that sums to 1, or means of cells divided by their mean library size.
        dispersion
            Shape (n_genes,) or one for all; 0 is Poisson.
        sizes
            Library sizes of reference cells; each synthetic cell takes one of them.
        inflation
            Shape (n_genes,): the chance that a count becomes 0 on top of the law (default: none).
        kernels
            Backend (default: that of :func:`bulkgen.kernels.get_kernels`).

        Raises
        ------
        ValueError
            For parameters that are not finite or below zero, chances above 1, or no library size.
        """
        checked_rate = checked_parameter("rate", rate)
        n_genes = checked_rate.size
        total = total_of(checked_rate)
        table = AliasTable.of(checked_rate if total > 0 else np.ones(n_genes), kernels=kernels)
        chance = np.empty(0) if inflation is None else checked_parameter("inflation", inflation, n_genes)
        if np.any(chance > 1):
            raise ValueError(f"inflation must hold chances, got {chance.max()}")
        return cls(
            sizes=checked_sizes(sizes, total),
            table=table,
            overdispersion=checked_parameter("dispersion", dispersion, n_genes) * checked_rate,
            inflation=chance,
            total_rate=total,
        )

    def draw(self, rows: Rows, *, key: int, first_cell: int, kernels: Kernels | None = None) -> int:
        """Draw cells from the address `first_cell` on; returns how many there was room for."""
        return (kernels or get_kernels()).negative_binomial(
            rows.indptr,
            rows.columns,
            rows.values,
            self.sizes,
            self.table.threshold,
            self.table.other,
            self.overdispersion,
            self.inflation,
            total_rate=self.total_rate,
            key=key,
            purposes=PURPOSES,
            first_cell=first_cell,
        )


def total_of(values: Float64Array) -> float:
    """Sum, rounded once: the same on every machine."""
    return fsum(values.tolist())


def checked_parameter(name: str, values: ArrayLike, size: int | None = None) -> Float64Array:
    """Return a vector of finite numbers of at least 0, of `size` elements if it is given (one is for all)."""
    checked = np.asarray(values, np.float64)
    if size is not None and checked.ndim == 0:
        checked = np.full(size, checked)
    if checked.ndim != 1 or checked.size != (checked.size if size is None else size) or checked.size == 0:
        wanted = "at least one element" if size is None else f"{size} elements"
        raise ValueError(f"{name} must be a vector of {wanted}, got shape {checked.shape}")
    bad = ~(np.isfinite(checked) & (checked >= 0))
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f"{name} must be finite and not below 0, but element {i} is {checked[i]}")
    return np.ascontiguousarray(checked)


def checked_sizes(sizes: ArrayLike, total: float) -> Float64Array:
    """Return library sizes whose cells of `total` molecules per unit of size can be drawn."""
    checked = checked_parameter("sizes", sizes)
    largest = checked.max()
    if largest >= 2.0**31 or largest * total > _MOST_MOLECULES:
        raise ValueError(
            f"sizes must be below 2^31 and cells have at most 2^30 molecules, but a cell of size {largest:g} would "
            f"have {largest * total:g} on average (rates are counts per unit of library size, a profile sums to 1)"
        )
    return checked
