"""Dispersion of each gene beyond counting noise: moments within strata, shrunk towards a trend over the mean.

The counts of a gene are negative binomial, x ~ NB(mean m s, variance m s + φ m² s²), where s is the library size over
the mean one of the cell's stratum. N = Σ (x − m̂ s)² less the counting noise has the mean φ D with D = m² Σ s² (first
order), and with m̂ = Σ x / Σ s (delta method, cumulants of the negative binomial) the variance

    V(φ) = 2 (1 + φ) Σ (m s + φ m² s²)².

Mean and variance make a quasi-likelihood (Wedderburn, Biometrika 61:439, 1974): that of a Poisson number of pairs of
molecules that met in a cell, where these are few. At φ = 0 the excess is the score of the likelihood in φ, so that no
other estimate is more precise for the many genes with φ m « 1. Genes with few counts say little about φ: log φ has a
prior about a trend over the mean, a Student law with four degrees of freedom, which lets a gene of much information be
an outlier. Trend and width of the prior come from all genes (empirical Bayes, as in McCarthy, Chen, Smyth, Nucleic
Acids Res. 40:4288, 2012, and Love, Huber, Anders, Genome Biol. 15:550, 2014); the estimate maximises the posterior in
log φ.

Sums are of integers where counts are, and functions are those of :mod:`bulkgen.elementary`: the same bits everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.elementary import exp, log, log1p
from bulkgen.io import library_sizes
from bulkgen.profiles import gene_moments

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["estimate_dispersion", "log_normal_sigma"]

_LOWEST, _HIGHEST = 1e-3, 10.0
_GRID = np.linspace(log(_LOWEST), log(_HIGHEST), 48)
_WIDTHS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6)
#: Where nothing is known: between the dispersions of genes in cell lines and in tissue.
_TYPICAL = -1.2
_TYPICAL_WIDTH = 2.0
#: The trend over log mean: intervals of this length, and how much it changes from one to the next.
_INTERVAL = 0.5
_STEP = 0.25
_FREEDOM = 4.0


def estimate_dispersion(
    counts: sp.csr_matrix, codes: Int64Array, n_strata: int, *, threads: int | None = None
) -> Float64Array:
    """Estimate one dispersion per gene from the spread of its counts within strata.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, canonical.
    codes
        Stratum of each cell, shape (n_cells,); -1 leaves a cell out. Differences between strata are no dispersion.
    n_strata
        Number of strata.
    threads
        Default: the CPUs available.

    Returns
    -------
    numpy.ndarray
        Dispersions φ between 0.001 and 10, exact in float32; shape (n_genes,). A gene without counts has that of the
        trend.

    Raises
    ------
    ValueError
        If no stratum has two cells with counts.
    """
    if codes.shape != (counts.shape[0],):
        raise ValueError(f"codes must have one entry for each of the {counts.shape[0]} cells, not shape {codes.shape}")
    evidence = _evidence(counts, codes, n_strata, threads)
    centre, width = _trend(evidence)
    return exp(_most_probable(evidence, centre, width)).astype(np.float32).astype(np.float64)


def log_normal_sigma(dispersion: Float64Array) -> Float64Array:
    """Return the deviation σ for which the log-normal law has the variance φ at the mean 1: √log(1 + φ)."""
    sigma: Float64Array = np.sqrt(log1p(dispersion))
    return sigma


@dataclass(frozen=True)
class _Evidence:
    """What the counts say about the dispersion of each gene; arrays of shape (n_genes,).

    Attributes
    ----------
    mean
        Mean count per cell.
    excess, scale
        N and D: the excess has the mean φ · scale.
    moments
        Sums of (m s)², (m s)³ and (m s)⁴ over the cells, which make V(φ).
    """

    mean: Float64Array
    excess: Float64Array
    scale: Float64Array
    moments: tuple[Float64Array, Float64Array, Float64Array]

    def of(self, genes: Int64Array) -> _Evidence:
        """Return the evidence on some genes."""
        second, third, fourth = self.moments
        moments = second[genes], third[genes], fourth[genes]
        return _Evidence(self.mean[genes], self.excess[genes], self.scale[genes], moments)

    def slope(self, log_dispersion: Float64Array | float) -> Float64Array:
        """Return the derivative of the quasi-likelihood by log φ; 0 where nothing is known."""
        second, third, fourth = self.moments
        phi = exp(log_dispersion)
        variance = 2.0 * (1.0 + phi) * (second + phi * (2.0 * third + phi * fourth))
        signal = phi * self.scale
        weight = np.divide(signal, variance, out=np.zeros_like(variance), where=variance > 0)
        return (self.excess - signal) * weight

    def log_likelihood(self) -> Float64Array:
        """Return the quasi-likelihood on the grid, less its maximum; shape (grid, n_genes)."""
        slopes = np.stack([self.slope(x) for x in _GRID])
        steps = 0.5 * (_GRID[1] - _GRID[0]) * (slopes[1:] + slopes[:-1])
        value = np.concatenate([np.zeros((1, self.mean.size)), np.cumsum(steps, axis=0)])
        likelihood: Float64Array = value - value.max(axis=0)
        return likelihood


def _evidence(counts: sp.csr_matrix, codes: Int64Array, n_strata: int, threads: int | None) -> _Evidence:
    sizes = library_sizes(counts)
    codes = np.where(sizes > 0, codes, -1)
    moments = gene_moments(counts, codes, n_strata, threads=threads)
    used = np.flatnonzero(moments.n > 1)
    if used.size == 0:
        raise ValueError("the dispersion cannot be estimated: no stratum has two cells with counts")
    cells = np.flatnonzero(codes >= 0)
    # library sizes are whole numbers: these sums are exact, the division by the mean comes after
    weights = sp.csr_matrix((sizes[cells], (codes[cells], cells)), shape=(n_strata, codes.size))
    products = (weights @ counts).toarray()

    n_genes = counts.shape[1]
    total, excess, scale = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    powers = np.zeros((3, n_genes))
    for stratum in used:
        n = float(moments.n[stratum])
        library = sizes[codes == stratum]
        typical = library.sum() / n
        s = library / typical
        s2, s3, s4 = (s * s).sum(), (s * s * s).sum(), (s * s * s * s).sum()
        mean, variance = moments.mean[stratum], moments.variance[stratum]
        squares = (n - 1.0) * variance + n * mean * mean
        residual = np.maximum(squares + mean * (mean * s2 - 2.0 * products[stratum] / typical), 0.0)
        # Σ (x − m̂ s)² has the mean m (n − s2/n) + φ m² (s2 − 2 s3/n + s2²/n²); m̂² exceeds m² by the variance of m̂
        square = np.maximum(mean * mean - residual / (n * n), 0.0)
        excess += residual - mean * (n - s2 / n)
        scale += square * (s2 - 2.0 * s3 / n + s2 * s2 / (n * n))
        total += n * mean
        powers += np.stack([square * s2, square * mean * s3, square * square * s4])
    return _Evidence(total / moments.n[used].sum(), excess, scale, (powers[0], powers[1], powers[2]))


def _trend(evidence: _Evidence) -> tuple[Float64Array, float]:
    """Centre of the prior of log φ for each gene and its width.

    The trend is a random walk over intervals of log mean, whose hidden states are the values of the grid: forwards
    and backwards over the chain gives its posterior mean exactly. Where genes say nothing it stays as it is.
    """
    genes = np.flatnonzero((evidence.mean > 0) & (evidence.scale > 0))
    if genes.size == 0:
        return np.full(evidence.mean.size, _TYPICAL), _WIDTHS[-1]
    known = evidence.of(genes)
    log_mean = log(known.mean)
    start = float(log_mean.min())
    interval = ((log_mean - start) / _INTERVAL).astype(np.int64)
    likelihood = exp(known.log_likelihood())

    smoothed = [_smooth(_marginal(likelihood, interval, width)) for width in _WIDTHS]
    best = max(range(len(_WIDTHS)), key=lambda i: smoothed[i][1])
    heights = smoothed[best][0]
    middles = start + _INTERVAL * (np.arange(heights.size) + 0.5)
    # a multiple of 2^-10, so that the order in which sums were added cannot show
    centre = np.full(evidence.mean.size, heights[0])
    centre[genes] = np.interp(log_mean, middles, heights)
    return np.rint(centre * 1024.0) / 1024.0, _WIDTHS[best]


def _marginal(likelihood: Float64Array, interval: Int64Array, width: float) -> Float64Array:
    """Log marginal likelihood of the genes of each interval for each centre on the grid, shape (intervals, grid)."""
    prior = exp(_log_prior(_GRID[:, None] - _GRID, width))
    of_genes = log((prior / prior.sum(axis=0)).T @ likelihood)
    return np.stack([np.bincount(interval, row) for row in of_genes], axis=1)


def _log_prior(distance: Float64Array, width: float) -> Float64Array:
    t = distance / width
    return -0.5 * (_FREEDOM + 1.0) * log(1.0 + t * t / _FREEDOM)


def _smooth(marginal: Float64Array) -> tuple[Float64Array, float]:
    """Posterior mean of the random walk at each interval, and the log evidence of all."""
    highest = marginal.max(axis=1)
    emission = exp(marginal - highest[:, None])
    step = (_GRID[:, None] - _GRID) / _STEP
    move = exp(-0.5 * step * step)
    move /= move.sum(axis=1, keepdims=True)
    first = (_GRID - _TYPICAL) / _TYPICAL_WIDTH
    before = exp(-0.5 * first * first)
    evidence = float(highest.sum())
    forwards = np.empty_like(emission)
    for k in range(len(emission)):
        state = before * emission[k]
        evidence += float(log(state.sum()))
        forwards[k] = state / state.sum()
        before = forwards[k] @ move
    means = np.empty(len(emission))
    after = np.ones(_GRID.size)
    for k in reversed(range(len(emission))):
        state = forwards[k] * after
        means[k] = (state * _GRID).sum() / state.sum()
        after = move @ (emission[k] * after)
        after /= after.sum()
    return means, evidence


def _most_probable(evidence: _Evidence, centre: Float64Array, width: float) -> Float64Array:
    """Maximum of the posterior of log φ: the best of the grid, then the root of the slope next to it by bisection."""
    likelihood = evidence.log_likelihood()
    best, highest = np.full(centre.size, _GRID[0]), np.full(centre.size, -np.inf)
    for x, row in zip(_GRID, likelihood, strict=True):
        value = row + _log_prior(x - centre, width)
        best, highest = np.where(value > highest, x, best), np.maximum(value, highest)
    step = _GRID[1] - _GRID[0]
    low, high = np.maximum(best - step, _GRID[0]), np.minimum(best + step, _GRID[-1])
    for _ in range(30):
        middle = 0.5 * (low + high)
        distance = middle - centre
        prior_slope = -(_FREEDOM + 1.0) * distance / (_FREEDOM * width * width + distance * distance)
        rising = evidence.slope(middle) + prior_slope > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    root: Float64Array = 0.5 * (low + high)
    return root
