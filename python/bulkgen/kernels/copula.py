"""Negative binomial counts of which some genes vary together: the plan of a stratum, and drawing cells with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels import get_kernels
from bulkgen.kernels.negative_binomial import (
    PURPOSES,
    NegativeBinomialPlan,
    checked_parameter,
    checked_sizes,
    total_of,
)
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int32Array, Kernels
    from bulkgen.kernels.rows import Rows

__all__ = ["CopulaPlan"]

_PURPOSES = (*PURPOSES, int(Purpose.COPULA_FACTOR), int(Purpose.COPULA_GENE))


@dataclass(frozen=True)
class CopulaPlan:
    """What ``copula.hpp`` needs to draw the cells of a stratum.

    Attributes
    ----------
    independent
        The genes that vary on their own; the others have rate 0 there. It also holds library sizes and inflation.
    gene
        The genes that vary together.
    rate, dispersion
        Their parameters.
    loadings
        Shape (factors, genes that vary together).
    own
        What remains of each gene's standard deviation: √(1 − Σ loadings²).
    """

    independent: NegativeBinomialPlan
    gene: Int32Array
    rate: Float64Array
    dispersion: Float64Array
    loadings: Float32Array
    own: Float64Array

    @classmethod
    def of(
        cls,
        rate: ArrayLike,
        dispersion: ArrayLike,
        sizes: ArrayLike,
        genes: ArrayLike,
        loadings: ArrayLike,
        *,
        inflation: ArrayLike | None = None,
        kernels: Kernels | None = None,
    ) -> CopulaPlan:
        """Prepare genes as :meth:`NegativeBinomialPlan.of`, some of which have a Gaussian copula of low rank.

        Parameters
        ----------
        rate, dispersion, sizes, inflation, kernels
            As in :meth:`NegativeBinomialPlan.of`, for all genes.
        genes
            Numbers of the genes that vary together.
        loadings
            Shape (genes that vary together, factors): two of them have the normal correlation of the product of their
            loadings.

        Raises
        ------
        ValueError
            For parameters that the negative binomial cannot have, genes that do not exist or are named twice, and
            loadings whose squares sum to more than 1.
        """
        all_rates = checked_parameter("rate", rate)
        n_genes = all_rates.size
        all_dispersions = checked_parameter("dispersion", dispersion, n_genes)
        gene = np.asarray(genes)
        if gene.ndim != 1 or (gene.size > 0 and not np.issubdtype(gene.dtype, np.integer)):
            raise ValueError(f"genes must be a vector of gene numbers, got shape {gene.shape} of {gene.dtype}")
        if gene.size != np.unique(gene).size or np.any((gene < 0) | (gene >= n_genes)):
            raise ValueError(f"genes must be different numbers from 0 to {n_genes - 1}")
        factors = np.asarray(loadings, np.float32)
        if factors.ndim != 2 or factors.shape[0] != gene.size:
            raise ValueError(f"loadings must have shape ({gene.size}, factors), got {factors.shape}")
        # one column after the other: NumPy's own sum may take another order elsewhere
        shared = np.zeros(gene.size)
        for column in factors.T.astype(np.float64):
            shared = shared + column * column
        if not np.all(shared <= 1 + 1e-6):
            worst = int(np.argmax(~(shared <= 1 + 1e-6)))
            raise ValueError(f"squares of loadings must sum to at most 1, but those of gene {gene[worst]} do not")
        # the plan of the independent genes has the others at rate 0
        checked_sizes(sizes, total_of(all_rates))
        gene = gene.astype(np.int32)
        alone = all_rates.copy()
        alone[gene] = 0.0
        return cls(
            independent=NegativeBinomialPlan.of(alone, all_dispersions, sizes, inflation=inflation, kernels=kernels),
            gene=gene,
            rate=all_rates[gene],
            dispersion=all_dispersions[gene],
            loadings=np.ascontiguousarray(factors.T),
            own=np.sqrt(np.maximum(1.0 - shared, 0.0)),
        )

    def draw(self, rows: Rows, *, key: int, first_cell: int, kernels: Kernels | None = None) -> int:
        """Draw cells from the address `first_cell` on; returns how many there was room for."""
        independent = self.independent
        return (kernels or get_kernels()).copula(
            rows.indptr,
            rows.columns,
            rows.values,
            independent.sizes,
            independent.table.threshold,
            independent.table.other,
            independent.overdispersion,
            independent.inflation,
            self.gene,
            self.rate,
            self.dispersion,
            self.loadings,
            self.own,
            total_rate=independent.total_rate,
            key=key,
            purposes=_PURPOSES,
            first_cell=first_cell,
        )
