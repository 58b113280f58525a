"""Concentration of the Dirichlet-multinomial law of whole cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.io import library_sizes

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Int64Array

__all__ = ["estimate_concentration"]

_LOWEST, _HIGHEST = 1.0, 1e7


def estimate_concentration(counts: sp.csr_matrix, codes: Int64Array, n_strata: int) -> float:
    """Estimate the concentration α of cells x ~ DirichletMultinomial(L, α p), with a profile p for each stratum.

    Given its library size L a count has the variance L p (1 − p) (1 + (L − 1) ρ), ρ = 1 / (1 + α) (Mosimann, Biometrika
    49:65, 1962). Sums of the squares (x − L p̂)² over all genes and cells have their expectation at the estimate; p̂ is
    the share of the gene in all molecules of the stratum. One number for all genes: mostly that of the strong ones.

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
    excess = scale = 0.0
    for stratum in range(n_strata):
        rows = np.flatnonzero((codes == stratum) & (sizes > 0))
        if rows.size < 2:
            continue
        cells, size = counts[rows].astype(np.float64), sizes[rows]
        total, square = size.sum(), (size * size).sum()
        profile = cells.T @ np.ones(rows.size) / total
        same = float((profile * profile).sum())
        residual = (cells.data * cells.data).sum() - 2.0 * (profile * (cells.T @ size)).sum() + square * same
        pairs = size * (size - 1.0)
        # a cell's own part of p̂ takes from its square; Σ (x − L p̂)² has the mean (1 − Σ p²) (first + ρ second)
        first = total - square / total
        second = pairs.sum() * (1.0 + square / (total * total)) - 2.0 * (size * pairs).sum() / total
        excess += residual - (1.0 - same) * first
        scale += (1.0 - same) * second
    if scale <= 0:
        raise ValueError("the concentration cannot be estimated: no stratum has two cells with counts of several genes")
    correlation = min(max(excess / scale, 1.0 / (1.0 + _HIGHEST)), 1.0 / (1.0 + _LOWEST))
    return float(np.float32((1.0 - correlation) / correlation))
