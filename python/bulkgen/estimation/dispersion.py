"""Negative-binomial dispersions of genes: moments, a trend over the mean, and shrinkage towards it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkgen import elementary
from bulkgen.errors import CountsError
from bulkgen.estimation.checks import checked_cells, checked_codes

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["Dispersion", "estimate_dispersion"]

#: Bounds of a dispersion. Below the lower one a cell's counts cannot be told from Poisson's.
_LOWEST, _HIGHEST = 1e-3, 10.0
#: A bin of the trend has at least so many genes, or so much information.
_BIN_GENES, _BIN_INFORMATION = 200, 400.0
#: Stored entries that are worked on at once.
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Dispersion:
    """Dispersions φ of genes: variance = μ + φ μ² for mean μ. Arrays of shape (n_genes,).

    Attributes
    ----------
    mean
        Counts per cell of the mean library size.
    raw
        By moments; negative where a gene varies less than Poisson's law, 0 where it was never seen.
    trend
        Of genes of that mean.
    shrunk
        Between the two, within [0.001, 10]: the estimate to use.
    """

    mean: Float64Array
    raw: Float64Array
    trend: Float64Array
    shrunk: Float64Array


def estimate_dispersion(counts: sp.csr_matrix, codes: Int64Array | None = None) -> Dispersion:
    """Estimate the dispersion of each gene within strata.

    With the size factor s of a cell (its library size over the stratum's mean), the stratum's mean m = Σx/Σs and n
    cells, Σ(x − s m)² · n/(n − 1) has the expectation m Σs + φ m² Σs² to first order, which is solved for φ; strata are
    pooled by adding both sides, so that differences between strata do not count. Weighting by s makes deep cells
    count more; genes with few counts would otherwise depend on the shallowest cells. The trend is this ratio of sums
    over the genes of similar mean, without the genes of the largest raw values where these are reliable. A gene's
    relative distance d from the trend is shrunk to d τ²/(τ² + v), with v = 2 (1/(mφ) + 1)²/n the sampling variance and
    τ² the variance of true distances by moments (as edgeR and DESeq2 do: Love et al., Genome Biology 15:550, 2014).

    Parameters
    ----------
    counts
        Reference cells × genes, whole counts; no row empty.
    codes
        Stratum of each cell, 0 or more, shape (n_cells,). Default: one stratum.

    Returns
    -------
    Dispersion

    Raises
    ------
    CountsError
        If there are under 5 cells, an empty cell, or no stratum of two cells.
    """
    sizes = checked_cells(counts, fewest=5, purpose="the dispersion of genes")
    codes = checked_codes(codes, len(sizes))
    n_genes = counts.shape[1]
    numerator, denominator, total, exposure, cells = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes), 0.0, 0
    for stratum in np.unique(codes):
        rows = np.flatnonzero(codes == stratum)
        if rows.size < 2:
            continue
        factor = sizes[rows] / sizes[rows].mean()
        sums, weighted, squares = _sums(counts, rows, factor)
        n, sum_factor, sum_square = rows.size, float(factor.sum()), float((factor * factor).sum())
        mean = sums / sum_factor
        deviations = squares - 2.0 * mean * weighted + mean * mean * sum_square
        numerator += deviations * (n / (n - 1.0)) - mean * sum_factor
        denominator += mean * mean * sum_square
        total += sums
        exposure += sum_factor
        cells += n
    if cells == 0:
        raise CountsError("the dispersion of genes needs a stratum of at least two cells")
    mean = total / exposure
    seen = denominator > 0
    raw = np.where(seen, numerator / np.where(seen, denominator, 1.0), 0.0)
    trend = _trend(mean, raw, numerator, denominator, cells)
    return Dispersion(mean, raw, trend, _shrunk(mean, raw, trend, cells))


def _sums(
    counts: sp.csr_matrix, rows: Int64Array, factor: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Σx, Σsx and Σx² of each gene over rows, in the order of the rows."""
    n_genes = counts.shape[1]
    sums, weighted, squares = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    lengths = np.diff(counts.indptr)[rows]
    blocks = np.cumsum(lengths) // _BLOCK
    for block in np.unique(blocks):
        part = blocks == block
        cells = counts[rows[part]]
        x = cells.data.astype(np.float64)
        s = np.repeat(factor[part], np.diff(cells.indptr))
        for result, values in ((sums, x), (weighted, s * x), (squares, x * x)):
            result += np.bincount(cells.indices, values, n_genes)
    return sums, weighted, squares


def _trend(
    mean: Float64Array, raw: Float64Array, numerator: Float64Array, denominator: Float64Array, cells: int
) -> Float64Array:
    """Dispersion of genes of that mean: a ratio of sums per bin, interpolated over log mean."""
    genes = np.flatnonzero(mean * cells >= 1.0)
    if genes.size == 0:
        genes = np.flatnonzero(mean > 0)
    genes = genes[np.argsort(mean[genes], kind="stable")]
    # n m²/2 is 1 / variance of a raw value where counts are rare; there a bin takes thousands of genes
    known = np.cumsum(cells * mean[genes] ** 2 / 2.0) / _BIN_INFORMATION
    number = np.floor(np.minimum(np.arange(genes.size) / _BIN_GENES, known))
    position, value = [], []
    for part in np.split(genes, np.flatnonzero(np.diff(number)) + 1):
        # few counts make raw values so skewed that the largest carry the mean
        reliable = cells * float(np.median(mean[part])) > 50
        kept = part[raw[part] <= np.quantile(raw[part], 0.97)] if reliable else part
        position.append(float(elementary.log(mean[part]).mean()))
        value.append(float(np.clip(numerator[kept].sum() / denominator[kept].sum(), _LOWEST, _HIGHEST)))
    lowest = float(mean[genes[0]])
    logarithm = elementary.log(np.where(mean > 0, mean, lowest))
    return elementary.exp(np.interp(logarithm, position, elementary.log(value)))


def _shrunk(mean: Float64Array, raw: Float64Array, trend: Float64Array, cells: int) -> Float64Array:
    seen = mean > 0
    distance = np.where(seen, raw / trend - 1.0, 0.0)
    sampling = 2.0 * (1.0 / (np.where(seen, mean, np.inf) * trend) + 1.0) ** 2 / cells
    known = mean * cells > 20.0
    spread = 0.5
    if np.count_nonzero(known) >= 50:
        # a few genes far from the trend would otherwise decide it
        excess = np.minimum(distance[known] ** 2 - sampling[known], 25.0)
        weight = 1.0 / (1.0 + sampling[known]) ** 2
        spread = max(0.01, float((weight * excess).sum() / weight.sum()))
    weight = np.where(seen, spread / (spread + sampling), 0.0)
    return np.clip(trend * (1.0 + weight * distance), _LOWEST, _HIGHEST)
