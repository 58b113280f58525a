"""Co-variation of genes as a few factors of a Gaussian copula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc, ndtri

from bulkgen.estimation.checks import checked_cells

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["CopulaFactors", "fit_copula_factors"]

#: Loadings are rounded to this, which hides the last bits of the linear algebra library.
_GRID = 2.0**-10
#: The most of a gene's variance that factors may explain.
_MOST_SHARED = 0.9


@dataclass(frozen=True)
class CopulaFactors:
    """Standard normals of genes: z_g = Σ_f loadings[g, f] · factor_f + √(1 − Σ_f loadings[g, f]²) · noise_g.

    Attributes
    ----------
    genes
        Numbers of the genes with loadings, ascending, shape (n_used,).
    loadings
        Shape (n_used, n_factors), multiples of 2^-10; the sum of squares of a gene is below 1.
    """

    genes: Int64Array
    loadings: Float64Array


def fit_copula_factors(
    counts: sp.csr_matrix,
    profile: Float64Array,
    dispersion: Float64Array,
    *,
    most_factors: int = 20,
    most_zeros: float = 0.9,
    most_genes: int = 1000,
    most_cells: int = 2000,
    key: int = 0,
) -> CopulaFactors:
    """Fit factors to the normal scores of reference cells of one stratum.

    A count's score is the normal quantile of a uniform number between the negative-binomial probabilities of fewer
    and of at most as many (randomised quantile residual: Dunn & Smyth 1996). Eigenvalues of the scores' correlations
    above the edge (1 + √(genes/cells))² of pure noise (Marchenko & Pastur 1967) are kept, each shrunk to what it
    estimates and by the angle between its vector and the true one (Donoho, Gavish & Johnstone 2018).

    Parameters
    ----------
    counts
        Cells × genes, whole counts; no row empty.
    profile
        Each gene's share of a cell's counts, shape (n_genes,).
    dispersion
        φ of each gene, shape (n_genes,).
    most_factors
        Factors at most.
    most_zeros
        Genes with a larger share of zeros are left out: their scores are noise.
    most_genes, most_cells
        Of the genes, those with fewest zeros; of the cells, the first ones.
    key
        64-bit key of the residuals' uniform numbers.

    Returns
    -------
    CopulaFactors
        Possibly with no gene and no factor, where genes do not vary together.

    Raises
    ------
    CountsError
        If there are under 20 cells.
    """
    counts = counts[:most_cells]
    sizes = checked_cells(counts, fewest=20, purpose="a copula")
    n_cells, n_genes = counts.shape
    seen = np.bincount(counts.indices[counts.data > 0], minlength=n_genes)
    genes = np.flatnonzero((seen > (1.0 - most_zeros) * n_cells) & (profile > 0))
    if genes.size > most_genes:
        genes = np.sort(genes[np.argsort(-seen[genes], kind="stable")[:most_genes]])
    nothing = CopulaFactors(np.empty(0, np.int64), np.empty((0, 0)))
    if genes.size < 2:
        return nothing
    x = np.asarray(counts[:, genes].todense(), np.float64)
    scores = _normal_scores(x, sizes[:, None] * profile[genes], dispersion[genes], key)
    scores -= scores.mean(axis=0)
    scores /= np.sqrt((scores * scores).mean(axis=0))
    loadings = _spikes(scores, most_factors)
    if loadings.shape[1] == 0:
        return nothing
    shared = (loadings**2).sum(axis=1, keepdims=True)
    loadings *= np.sqrt(np.minimum(1.0, _MOST_SHARED / np.maximum(shared, 1e-12)))
    return CopulaFactors(genes.astype(np.int64), np.rint(loadings / _GRID) * _GRID)


def _normal_scores(x: Float64Array, mean: Float64Array, dispersion: Float64Array, key: int) -> Float64Array:
    size = np.broadcast_to(1.0 / dispersion, x.shape)
    success = size / (size + mean)
    below = np.zeros(x.shape)
    positive = x > 0
    below[positive] = betainc(size[positive], x[positive], success[positive])
    upto = betainc(size, x + 1.0, success)
    # raw words, whose stream NumPy guarantees; its distributions may change
    words = np.random.Philox(key=key).random_raw(x.size).reshape(x.shape)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    scores: Float64Array = ndtri(np.clip(below + uniform * (upto - below), 1e-12, 1.0 - 1e-12))
    return scores


def _spikes(scores: Float64Array, most_factors: int) -> Float64Array:
    """Return loadings (genes × factors) of the eigenvalues above the noise's edge."""
    n_cells, n_genes = scores.shape
    ratio = n_genes / n_cells
    # the smaller of the two products has the same eigenvalues
    by_cells = n_cells < n_genes
    product = (scores @ scores.T if by_cells else scores.T @ scores) / n_cells
    values, vectors = np.linalg.eigh(product)
    values, vectors = values[::-1][:most_factors], vectors[:, ::-1][:, :most_factors]
    kept = values > (1.0 + np.sqrt(ratio)) ** 2
    values, vectors = values[kept], vectors[:, kept]
    if by_cells:
        vectors = scores.T @ vectors / np.sqrt(n_cells * values)
    shifted = values + 1.0 - ratio
    true = (shifted + np.sqrt(np.maximum(shifted**2 - 4.0 * values, 0.0))) / 2.0
    cosine = (1.0 - ratio / (true - 1.0) ** 2) / (1.0 + ratio / (true - 1.0))
    loadings: Float64Array = vectors * np.sqrt((true - 1.0) * np.maximum(cosine, 0.0))
    # the sign of a vector is arbitrary: its entry farthest from 0 is made positive
    largest = np.abs(vectors).argmax(axis=0)
    loadings *= np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return loadings
