"""Concentration of the Dirichlet-multinomial law of whole cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from bulkgen.elementary import exp, log
from bulkgen.io import library_sizes

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["estimate_concentration"]

_LOWEST, _HIGHEST = 1.0, 1e7
#: Halvings of the interval: the logarithm is found to 2e-5.
_STEPS = 20
#: Groups of cells of similar library size.
_SIZES = 32


def estimate_concentration(counts: sp.csr_matrix, codes: Int64Array, n_strata: int) -> float:
    """Estimate the concentration α of cells x ~ DirichletMultinomial(L, α p), with a profile p for each stratum.

    The law gives a gene the dispersion 1 / (α p) where real genes of every strength vary alike, so that no α fits all
    genes: a fit of variances follows the few strong ones and leaves cells with a quarter of their genes. This α is the
    one at which cells express as many genes as the reference's do. A gene is absent from a cell of L molecules with
    probability

        Γ(α (1 − p) + L) Γ(α) / (Γ(α (1 − p)) Γ(α + L))  ≈  exp(−c p),

    a convex function of p, so that with p̂ for p it is too large by ½ c² Var p̂ of itself, which is taken off.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, canonical.
    codes
        Stratum of each cell, shape (n_cells,); -1 leaves a cell out.
    n_strata
        Number of strata.

    Returns
    -------
    float
        Between 1 and 10^7, which is as good as the multinomial law; exact in float32.

    Raises
    ------
    ValueError
        If no stratum has two cells with counts of several genes.
    """
    sizes = library_sizes(counts)
    strata = []
    for stratum in range(n_strata):
        rows = np.flatnonzero((codes == stratum) & (sizes > 0))
        cells = counts[rows]
        sums = np.asarray(cells.sum(axis=0, dtype=np.float64)).ravel()
        if rows.size >= 2 and np.count_nonzero(sums) >= 2:
            strata.append(_Stratum.of(sums[sums > 0], sizes[rows], int(np.count_nonzero(cells.data))))
    if not strata:
        raise ValueError("the concentration cannot be estimated: no stratum has two cells with counts of several genes")
    # a point of a fixed grid, so that the last bits of the gamma function do not show
    low, high = float(log(_LOWEST)), float(log(_HIGHEST))
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if sum(stratum.excess_of_genes(float(exp(middle))) for stratum in strata) > 0:
            high = middle
        else:
            low = middle
    return float(np.float32(exp(0.5 * (low + high))))


@dataclass(frozen=True)
class _Stratum:
    """What the expected number of expressed genes depends on.

    Attributes
    ----------
    share, n_genes
        Distinct shares of the genes, and how many have each.
    size, n_cells
        Library sizes, and how many cells have about each.
    inverse_total, pairs
        1 / Σ L and Σ L (L − 1) / (Σ L)², over the cells.
    expressed
        Genes found, summed over the cells.
    """

    share: Float64Array
    n_genes: Int64Array
    size: Float64Array
    n_cells: Int64Array
    inverse_total: float
    pairs: float
    expressed: int

    @classmethod
    def of(cls, sums: Float64Array, sizes: Float64Array, expressed: int) -> _Stratum:
        distinct, n_genes = np.unique(sums, return_counts=True)
        groups = np.array_split(np.sort(sizes), min(_SIZES, sizes.size))
        total = float(sizes.sum())
        return cls(
            distinct / total,
            n_genes,
            np.array([group.mean() for group in groups]),
            np.array([group.size for group in groups]),
            1.0 / total,
            float((sizes * (sizes - 1.0)).sum()) / total**2,
            expressed,
        )

    def excess_of_genes(self, concentration: float) -> float:
        """Return by how many the expected number of expressed genes exceeds that found."""
        others = concentration * (1.0 - self.share)
        # of p̂, over p² (Mosimann, Biometrika 49:65, 1962)
        variance = (1.0 / self.share - 1.0) * (self.inverse_total + self.pairs / (1.0 + concentration))
        expected = 0.0
        for size, n_cells in zip(self.size, self.n_cells, strict=True):
            absent = gammaln(others + size) - gammaln(others) + gammaln(concentration) - gammaln(concentration + size)
            chance = exp(absent) * np.maximum(1.0 - 0.5 * absent * absent * variance, 0.0)
            expected += float(n_cells) * float((self.n_genes * (1.0 - chance)).sum())
        return expected - self.expressed
