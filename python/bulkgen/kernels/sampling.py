"""Arguments of the kernels of sparse samplers, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.kernels.rows import Rows
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from bulkgen.kernels.protocol import Float64Array, Int32Array, Kernels, UInt64Array

__all__ = ["LAWS", "AliasTable", "MultinomialPlan", "PoissonLogNormalPlan", "draw_variates", "thin_matrix"]

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


def _sizes(sizes: ArrayLike) -> Float64Array:
    checked = np.ascontiguousarray(sizes, np.float64)
    if checked.ndim != 1 or checked.size == 0 or not np.all((checked >= 0) & (checked < 2.0**31)):
        raise ValueError("sizes must be a vector of at least one library size in [0, 2**31)")
    return checked


@dataclass(frozen=True)
class MultinomialPlan:
    """Cells as molecules from a profile (``multinomial.hpp``).

    Attributes
    ----------
    profile
        Genes in proportion to the profile.
    sizes
        Library sizes, of which each cell takes one.
    poisson_total
        Whether the molecules of a cell are Poisson with mean size, instead of its nearest whole number.
    concentration
        Of the Dirichlet-multinomial law; infinite for the multinomial.
    """

    profile: AliasTable
    sizes: Float64Array
    poisson_total: bool = False
    concentration: float = np.inf

    @classmethod
    def of(
        cls,
        profile: ArrayLike,
        sizes: ArrayLike,
        *,
        poisson_total: bool = False,
        concentration: float = np.inf,
        kernels: Kernels | None = None,
    ) -> MultinomialPlan:
        """Validate, and build the alias table; the parameters are those of the class.

        Raises
        ------
        ValueError
            If the profile holds no weights, a size is out of range, or the concentration is not above zero.
        """
        if not concentration > 0:
            raise ValueError(f"concentration must be above zero, got {concentration}")
        return cls(AliasTable.of(profile, kernels=kernels), _sizes(sizes), poisson_total, float(concentration))

    def draw(self, rows: Rows, *, key: int, first_cell: int, kernels: Kernels | None = None) -> int:
        """Draw cells from the address `first_cell` on; returns how many there was room for."""
        return (kernels or get_kernels()).multinomial(
            rows.indptr,
            rows.columns,
            rows.values,
            self.profile.threshold,
            self.profile.other,
            self.sizes,
            poisson_total=self.poisson_total,
            concentration=self.concentration,
            key=key,
            purposes=(int(Purpose.LIBRARY_SIZE), int(Purpose.MULTINOMIAL)),
            first_cell=first_cell,
        )


@dataclass(frozen=True)
class PoissonLogNormalPlan:
    """Poisson genes with log-normal rates (``poisson_log_normal.hpp``).

    Attributes
    ----------
    scale, sigma
        One element per gene: the rate of a gene in a cell is size · scale · exp(sigma · z), z a standard normal; its
        mean is size · scale · exp(sigma² / 2).
    sizes
        Library sizes, of which each cell takes one.
    """

    scale: Float64Array
    sigma: Float64Array
    sizes: Float64Array

    @classmethod
    def of(cls, scale: ArrayLike, sigma: ArrayLike, sizes: ArrayLike) -> PoissonLogNormalPlan:
        """Validate; the parameters are those of the class, `sigma` may be one number for all genes.

        Raises
        ------
        ValueError
            If an element is negative or not finite, the lengths differ, or a size is out of range.
        """
        scales = np.ascontiguousarray(scale, np.float64)
        sigmas = np.ascontiguousarray(np.broadcast_to(np.asarray(sigma, np.float64), scales.shape))
        if scales.ndim != 1 or scales.size == 0:
            raise ValueError(f"scale must be a vector of at least one gene, got shape {scales.shape}")
        for name, values in (("scale", scales), ("sigma", sigmas)):
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise ValueError(f"{name} must be finite and nowhere below zero")
        return cls(scales, sigmas, _sizes(sizes))

    def draw(self, rows: Rows, *, key: int, first_cell: int, kernels: Kernels | None = None) -> int:
        """Draw cells from the address `first_cell` on; returns how many there was room for."""
        return (kernels or get_kernels()).poisson_log_normal(
            rows.indptr,
            rows.columns,
            rows.values,
            self.scale,
            self.sigma,
            self.sizes,
            key=key,
            purposes=(int(Purpose.LIBRARY_SIZE), int(Purpose.POISSON_LOG_NORMAL)),
            first_cell=first_cell,
        )


def thin_matrix(
    matrix: sp.csr_matrix,
    probability: ArrayLike,
    *,
    key: int,
    first_cell: int = 0,
    threads: int | None = None,
    kernels: Kernels | None = None,
) -> sp.csr_matrix:
    """Keep each molecule of a row with the probability of the row (``thin_rows.hpp``).

    Parameters
    ----------
    matrix
        Canonical CSR of whole counts up to 2**53.
    probability
        One number in [0, 1], or one per row.
    key
        Of the random words.
    first_cell
        Address of the first row.
    threads
        As :func:`bulkgen.kernels.resolve_threads`; does not change the result.
    kernels
        Backend (default: that of :func:`bulkgen.kernels.get_kernels`).

    Returns
    -------
    scipy.sparse.csr_matrix
        float32, without explicit zeros.

    Raises
    ------
    ValueError
        If a probability is no probability, or there is not one per row.
    """
    import scipy.sparse as sp

    n_rows, n_genes = matrix.shape
    given = np.asarray(probability, np.float64)
    if given.shape not in ((), (n_rows,)):
        raise ValueError(f"probability must be one number or one per row ({n_rows}), got shape {given.shape}")
    kept = np.ascontiguousarray(np.broadcast_to(given, (n_rows,)))
    if not np.all((kept >= 0) & (kept <= 1)):
        raise ValueError("every probability must lie in [0, 1]")
    backend = kernels or get_kernels()
    pointers = np.ascontiguousarray(matrix.indptr, np.int64)
    parts: dict[int, Rows] = {}

    def thin(first: int, last: int) -> None:
        part = Rows.empty(last - first, int(pointers[last] - pointers[first]))
        written = backend.thin_rows(
            part.indptr,
            part.columns,
            part.values,
            pointers[first : last + 1],
            matrix.indices,
            matrix.data,
            kept[first:last],
            key=key,
            purpose=int(Purpose.THIN),
            first_cell=first_cell + first,
        )
        assert written == last - first  # the room is that of all entries
        parts[first] = part

    parallel_ranges(thin, n_rows, threads=threads, weights=pointers)
    if not parts:
        return sp.csr_matrix((n_rows, n_genes), dtype=np.float32)
    return sp.vstack([parts[first].to_csr(n_genes) for first in sorted(parts)], format="csr")
