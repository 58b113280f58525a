"""Factors that genes have in common within strata: a Gaussian copula of low rank.

Each count of a gene is a normal variate z cut into intervals by the negative binomial law of its cell. The residual is
its expectation given the count, E[z | x]: it has the variance a² < 1, and where two variates have the correlation ρ,
the residuals have the correlation ρ a a′ to first order. (The randomised quantile residuals of Dunn and Smyth, J.
Comput. Graph. Stat. 5:236, 1996, add noise to it and so leave ρ a² a′².) Dividing by a undoes what the counts blurred.

Eigenvalues of the correlations of noise alone follow the law of Marchenko and Pastur; those clearly above its edge are
kept and shrunk to what minimises the squared error (Donoho, Gavish, Johnstone, Ann. Stat. 46:1742, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh
from scipy.special import betainc, ndtri

from bulkgen.io import library_sizes

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int64Array

__all__ = ["Factors", "estimate_factors"]

#: Loadings are multiples of this, so that the last bits of the linear algebra do not show.
_STEP = 2.0**-12
#: Most of a gene's variance that factors may explain.
_MOST_COMMON = 0.95
#: 99 % quantile of the law of Tracy and Widom for real matrices: how far noise reaches beyond the edge.
_TRACY_WIDOM = 2.02
_MOST_CELLS = 2000
_FARTHEST = 8.0
_GENES = 512


@dataclass(frozen=True)
class Factors:
    """z = own · e + Σ loadings · f with independent standard normal e and f has variance 1.

    Attributes
    ----------
    genes
        Genes that have factors, ascending; the others are independent.
    loadings
        Shape (n_factors, genes.size), the strongest factor first.
    own
        Shape (genes.size,).
    """

    genes: Int64Array
    loadings: Float32Array
    own: Float64Array


def estimate_factors(
    counts: sp.csr_matrix,
    codes: Int64Array,
    n_strata: int,
    dispersion: Float64Array,
    *,
    n_factors: int = 30,
    most_zeros: float = 0.9,
) -> Factors:
    """Estimate the factors behind the correlations of genes within strata.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, canonical. Of more than 2,000 cells every k-th is used.
    codes
        Stratum of each cell, shape (n_cells,); -1 leaves a cell out. Differences between strata are no correlation.
    n_strata
        Number of strata.
    dispersion
        Dispersion of each gene, as of :func:`bulkgen.estimation.dispersion.estimate_dispersion`.
    n_factors
        Factors at most.
    most_zeros
        Genes with a larger share of zeros are left out: their counts say next to nothing of z.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range, or fewer than three cells have counts.
    """
    if dispersion.shape != (counts.shape[1],) or not np.all(dispersion > 0):
        raise ValueError(f"dispersion must be positive, one for each of the {counts.shape[1]} genes")
    if n_factors < 0 or not 0 < most_zeros <= 1:
        raise ValueError("n_factors must not be negative, most_zeros must be in (0, 1]")
    sizes = library_sizes(counts)
    cells = np.flatnonzero((codes >= 0) & (sizes > 0))
    cells = cells[:: max(1, -(-cells.size // _MOST_CELLS))]
    if cells.size < 3:
        raise ValueError(f"factors need at least three cells with counts, not {cells.size}")
    of_cells = counts[cells].tocsc()
    genes = np.flatnonzero(np.diff(of_cells.indptr) > (1.0 - most_zeros) * cells.size)
    residuals = np.empty((cells.size, genes.size))
    for first in range(0, genes.size, _GENES):
        some = genes[first : first + _GENES]
        mean = _expected(of_cells[:, some].toarray(), sizes[cells], codes[cells], n_strata)
        residuals[:, first : first + some.size] = _residuals(of_cells[:, some], mean, dispersion[some])
    residuals -= residuals.mean(axis=0)
    clearness = np.sqrt((residuals * residuals).mean(axis=0))
    known = clearness > 0.05
    genes, residuals, clearness = genes[known], residuals[:, known] / clearness[known], clearness[known]

    loadings = _loadings(residuals, n_factors) / np.minimum(clearness, 1.0)
    common = (loadings * loadings).sum(axis=0)
    loadings *= np.sqrt(np.minimum(1.0, _MOST_COMMON / np.maximum(common, _MOST_COMMON)))
    loadings = np.rint(loadings / _STEP) * _STEP
    strongest = np.argmax(np.abs(loadings), axis=1) if genes.size else np.zeros(0, np.int64)
    loadings *= np.where(loadings[np.arange(len(loadings)), strongest] < 0, -1.0, 1.0)[:, None]
    own = np.sqrt(1.0 - (loadings * loadings).sum(axis=0))
    return Factors(genes, loadings.astype(np.float32), own)


def _expected(counts: Float64Array, sizes: Float64Array, codes: Int64Array, n_strata: int) -> Float64Array:
    """Mean count of each cell and gene, given the cell's stratum and library size."""
    mean = np.empty(counts.shape)
    for stratum in range(n_strata):
        rows = codes == stratum
        total = counts[rows].sum(axis=0, dtype=np.float64)
        mean[rows] = sizes[rows, None] * (total / max(sizes[rows].sum(), 1.0))
    return mean


def _residuals(counts: sp.csc_matrix, mean: Float64Array, dispersion: Float64Array) -> Float64Array:
    """E[z | x] with (lower, upper) = the chances of at least x and of more than x."""
    r = 1.0 / dispersion
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = np.exp(-r * np.log1p(mean / r))
        residual = np.where(mean > 0, -_height(zero) / zero, 0.0)
    entries = counts.tocoo()
    seen = entries.data > 0
    row, column, x = entries.row[seen], entries.col[seen], entries.data[seen].astype(np.float64)
    mu, size = mean[row, column], r[column]
    share = mu / (size + mu)
    more = betainc(x + 1.0, size, share)
    least = betainc(x, size, share)
    chance = least - more
    far = chance < 1e-12
    inside = (_height(least) - _height(more)) / np.where(far, 1.0, chance)
    residual[row, column] = np.where(far, -ndtri(least), inside)
    return np.clip(residual, -_FARTHEST, _FARTHEST)


def _height(probability: Float64Array) -> Float64Array:
    """Return the normal density at the quantile of a probability."""
    z = ndtri(probability)
    height: Float64Array = np.exp(-0.5 * z * z) * 0.3989422804014327
    return height


def _loadings(residuals: Float64Array, n_factors: int) -> Float64Array:
    """Shrunk eigenvectors of the correlation matrix, shape (factors, genes)."""
    n_cells, n_genes = residuals.shape
    smaller = min(n_cells, n_genes)
    if smaller == 0 or n_factors == 0:
        return np.zeros((0, n_genes))
    ratio = n_genes / n_cells
    # the eigenvalues above 0 of ZᵀZ and ZZᵀ are the same, and one's eigenvectors give the other's
    by_genes = n_genes <= n_cells
    gram = (residuals.T @ residuals if by_genes else residuals @ residuals.T) / n_cells
    if smaller > 4 * n_factors:
        # a fixed first vector: ARPACK's own is random
        values, vectors = eigsh(gram, k=n_factors, v0=np.linspace(1.0, 2.0, smaller))
    else:
        values, vectors = eigh(gram, subset_by_index=(max(0, smaller - n_factors), smaller - 1))
    reach = np.sqrt(n_cells - 1.0) + np.sqrt(n_genes)
    spread = reach * (1.0 / np.sqrt(n_cells - 1.0) + 1.0 / np.sqrt(n_genes)) ** (1.0 / 3.0)
    kept = np.flatnonzero(values > (reach * reach + _TRACY_WIDOM * spread) / n_cells)[::-1]
    values, vectors = values[kept], vectors[:, kept]
    if not by_genes:
        vectors = residuals.T @ vectors / np.sqrt(n_cells * values)
    # eigenvalue above 1 of the truth, and how much of its direction the sample's has
    centre = values + 1.0 - ratio
    spike = np.maximum(0.5 * (centre + np.sqrt(np.maximum(centre * centre - 4.0 * values, 0.0))) - 1.0, np.sqrt(ratio))
    cosine = (1.0 - ratio / (spike * spike)) / (1.0 + ratio / spike)
    loadings: Float64Array = (vectors * np.sqrt(spike * cosine)).T
    return loadings
