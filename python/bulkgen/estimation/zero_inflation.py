"""Which genes have more zeros than a negative-binomial law explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from bulkgen.estimation.checks import checked_cells, checked_profile

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["ZeroInflation", "fit_zero_inflation"]

#: Cells of similar library size share one: their mean.
_SIZE_BINS = 32
#: Counts up to this are told apart in the likelihood's log-gamma terms; larger ones in steps of an eighth.
_EXACT = 64
_STEPS = 60
#: Bounds of log dispersion, log mean (about the moment estimate) and of the logit of the probability.
_LOW, _HIGH = np.array([-9.0, -3.0, -9.0]), np.array([5.0, 3.0, 4.0])
_GRID = 2.0**-20


@dataclass(frozen=True)
class ZeroInflation:
    """Result of the test, arrays of shape (n_genes,).

    Attributes
    ----------
    probability
        Of a zero beside the negative-binomial law; 0 where that law was not rejected.
    dispersion, mean_factor
        φ, and the factor on the gene's mean, of the law beside those zeros; the values that were given or 1 where
        not rejected.
    p_value
        1 for genes that were not tested.
    """

    probability: Float64Array
    dispersion: Float64Array
    mean_factor: Float64Array
    p_value: Float64Array


@dataclass(frozen=True)
class _Statistics:
    """What the likelihood of genes needs.

    Genes × bins of library size: the mean count, the numbers of zeros and of other counts, and the counts' sum. Genes ×
    values: how many cells have more than that `value`, times the width of its step.
    """

    size: Float64Array
    zeros: Float64Array
    others: Float64Array
    counts: Float64Array
    above: Float64Array
    value: Float64Array

    def of(self, genes: Int64Array) -> _Statistics:
        """Those of some genes."""
        matrices = (self.size, self.zeros, self.others, self.counts, self.above)
        return _Statistics(*(matrix[genes] for matrix in matrices), self.value)


def fit_zero_inflation(
    counts: sp.csr_matrix,
    profile: Float64Array,
    dispersion: Float64Array,
    *,
    false_discovery_rate: float = 0.05,
    least_cells: int = 20,
    most_cells: int = 5000,
) -> ZeroInflation:
    """Test each gene's negative-binomial law against one with additional zeros.

    The likelihood-ratio statistic of cells with their library sizes, mean and dispersion free under both laws. The law
    without additional zeros lies on the boundary of the other, so the statistic is 0 or χ² with one degree of
    freedom, each with chance ½ (Self & Liang 1987); p values are adjusted by Benjamini & Hochberg (1995).

    Parameters
    ----------
    counts
        Reference cells of one stratum × genes, whole counts; no row empty.
    profile
        Each gene's share of a cell's counts, shape (n_genes,).
    dispersion
        φ of each gene, where the search starts.
    false_discovery_rate
        Expected share of wrongly rejected genes among the rejected.
    least_cells
        Genes seen in fewer cells, or never more than once in a cell, or in all cells, are not tested.
    most_cells
        The first cells of the reference.

    Raises
    ------
    CountsError
        If there are under 50 cells.
    """
    if not 0.0 < false_discovery_rate < 1.0:
        raise ValueError(f"false_discovery_rate must be within (0, 1), got {false_discovery_rate}")
    counts = counts[:most_cells].tocsc()
    counts.eliminate_zeros()
    sizes = checked_cells(counts, fewest=50, purpose="the test for zero inflation")
    profile = checked_profile(profile, "profile")
    n_cells, n_genes = counts.shape
    seen = np.diff(counts.indptr)
    most = counts.max(axis=0).toarray().ravel()
    tested = np.flatnonzero((seen >= least_cells) & (seen < n_cells) & (most >= 2) & (profile > 0))
    result = ZeroInflation(np.zeros(n_genes), dispersion.astype(np.float64), np.ones(n_genes), np.ones(n_genes))
    if tested.size == 0:
        return result
    statistics = _statistics(counts[:, tested], sizes, profile[tested])
    start = np.array([np.log(dispersion[tested]), np.zeros(tested.size)]).T
    null, null_value = _maximise(statistics, start)
    additional = np.full((tested.size, 1), -3.0)
    # from the null's law, and from one of little dispersion whose zeros are additional
    free, value = _maximise(statistics, np.hstack([null, additional]))
    other, other_value = _maximise(statistics, np.hstack([null - [2.0, 0.0], additional + 2.0]))
    better = other_value > value
    free[better], value[better] = other[better], other_value[better]
    statistic = np.maximum(2.0 * (value - null_value), 0.0)
    p_value = np.where(statistic > 1e-6, ndtr(-np.sqrt(statistic)), 1.0)
    result.p_value[tested] = p_value
    rejected = _benjamini_hochberg(p_value, false_discovery_rate)
    genes, law = tested[rejected], free[rejected]
    # rounding hides the last bits of the C library's functions
    result.probability[genes] = np.rint(1.0 / (1.0 + np.exp(-law[:, 2])) / _GRID) * _GRID
    result.dispersion[genes] = np.rint(np.clip(np.exp(law[:, 0]), 1e-3, 10.0) / _GRID) * _GRID
    result.mean_factor[genes] = np.rint(np.exp(law[:, 1]) / _GRID) * _GRID
    return result


def _statistics(counts: sp.csc_matrix, sizes: Float64Array, profile: Float64Array) -> _Statistics:
    n_genes = counts.shape[1]
    order = np.argsort(sizes, kind="stable")
    bins = np.empty(len(sizes), np.int64)
    bins[order] = np.arange(len(sizes)) * min(_SIZE_BINS, len(sizes)) // len(sizes)
    n_bins = int(bins.max()) + 1
    cells = np.bincount(bins, minlength=n_bins)
    size = np.bincount(bins, sizes, n_bins) / cells
    gene = np.repeat(np.arange(n_genes), np.diff(counts.indptr))
    place = gene * n_bins + bins[counts.indices]
    others = np.bincount(place, minlength=n_genes * n_bins).reshape(n_genes, n_bins).astype(np.float64)
    total = np.bincount(place, counts.data, n_genes * n_bins).reshape(n_genes, n_bins)
    # log Γ(x + k) − log Γ(k) = Σ over j < x of log(k + j); above[g, j] is the number of cells with more than j
    most = float(counts.data.max())
    edges = [float(j) for j in range(_EXACT)]
    while edges[-1] < most:
        edges.append(edges[-1] + max(1.0, np.floor(edges[-1] / 8.0)))
    edge = np.array(edges)
    step = np.searchsorted(edge, counts.data, side="left") - 1
    histogram = np.bincount(gene * edge.size + step, minlength=n_genes * edge.size).reshape(n_genes, edge.size)
    above = histogram[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64) * np.diff(edge, append=edge[-1] + 1.0)
    value = edge + (np.diff(edge, append=edge[-1] + 1.0) - 1.0) / 2.0
    return _Statistics(size * profile[:, None], cells - others, others, total, above, value)


def _maximise(statistics: _Statistics, start: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Maximise every gene's likelihood by damped Newton steps that are kept only where they help."""
    n = start.shape[1]
    law = np.clip(start, _LOW[:n], _HIGH[:n])
    value, gradient = _likelihood(statistics, law)
    damping = np.ones(len(law))
    active = np.arange(len(law))
    for _ in range(_STEPS):
        part, here = statistics.of(active), law[active]
        proposal = np.clip(here + _newton_step(part, here, gradient[active], damping[active]), _LOW[:n], _HIGH[:n])
        new_value, new_gradient = _likelihood(part, proposal)
        gain = new_value - value[active]
        helps = gain > 0
        better = active[helps]
        law[better], value[better], gradient[better] = proposal[helps], new_value[helps], new_gradient[helps]
        damping[active] = np.where(helps, damping[active] / 4.0, damping[active] * 4.0)
        # finished: a step helped by nothing, or none helps however short it is
        active = active[np.where(helps, gain > 1e-5, damping[active] < 1e3)]
        if active.size == 0:
            break
    return law, value


def _newton_step(
    statistics: _Statistics, law: Float64Array, gradient: Float64Array, damping: Float64Array
) -> Float64Array:
    n = law.shape[1]
    curvature = np.empty((len(law), n, n))
    for i in range(n):
        shifted = law.copy()
        shifted[:, i] += 1e-4
        curvature[:, i] = (gradient - _likelihood(statistics, shifted)[1]) / 1e-4
    curvature = (curvature + curvature.transpose(0, 2, 1)) / 2.0
    scale = np.abs(np.einsum("gii->gi", curvature)) + 1e-3
    curvature += (damping[:, None] * scale)[:, :, None] * np.eye(n)
    # where the curvature is indefinite, along the gradient instead
    step = gradient / scale
    definite = np.linalg.eigvalsh(curvature)[:, 0] > 0
    step[definite] = np.linalg.solve(curvature[definite], gradient[definite][:, :, None])[:, :, 0]
    return np.clip(step, -1.0, 1.0)


def _likelihood(statistics: _Statistics, law: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Log likelihood of each gene and its derivatives by log φ, log mean factor and logit of the probability."""
    k = np.exp(-law[:, 0])[:, None]
    mean = statistics.size * np.exp(law[:, 1])[:, None]
    log_success = -np.log1p(mean / k)
    fail = mean / (k + mean)
    log_zero = k * log_success
    zero = np.exp(log_zero)
    # derivatives of log_zero by log φ (= −log k) and log mean
    zero_phi, zero_mean = -(log_zero + k * fail), -k * fail
    odd = 1.0 / (1.0 + np.exp(-law[:, 2]))[:, None] if law.shape[1] == 3 else np.zeros_like(k)
    any_zero = odd + (1.0 - odd) * zero
    share = statistics.zeros * (1.0 - odd) * zero / any_zero
    others, total = statistics.others, statistics.counts
    value = (
        (statistics.zeros * np.log(any_zero)).sum(axis=1)
        + (others * (np.log1p(-odd) + log_zero) + total * (np.log(mean) - np.log(k + mean))).sum(axis=1)
        + (statistics.above * np.log(k + statistics.value)).sum(axis=1)
    )
    by_phi = ((share + others) * zero_phi + total * (k / (k + mean))).sum(axis=1) - (
        statistics.above * (k / (k + statistics.value))
    ).sum(axis=1)
    by_mean = ((share + others) * zero_mean + total * (k / (k + mean))).sum(axis=1)
    if law.shape[1] == 2:
        return value, np.array([by_phi, by_mean]).T
    by_odd = (odd * (1.0 - odd) * (statistics.zeros * (1.0 - zero) / any_zero - others / (1.0 - odd))).sum(axis=1)
    return value, np.array([by_phi, by_mean, by_odd]).T


def _benjamini_hochberg(p_value: Float64Array, rate: float) -> Int64Array:
    """Numbers of the rejected hypotheses."""
    order = np.argsort(p_value, kind="stable")
    passed = np.flatnonzero(p_value[order] <= rate * np.arange(1, order.size + 1) / order.size)
    return order[: passed[-1] + 1] if passed.size else order[:0]
