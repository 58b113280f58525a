"""Ratios of bulk profiles to the control profile, shrunk by empirical Bayes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen import elementary
from bulkgen.estimation.profile import PROFILE_FLOOR, checked_profile

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.kernels.protocol import Float64Array

__all__ = ["information", "shrunk_ratios"]

#: Bounds of a ratio: 2^-6 and 2^6.
_LOG_LARGEST = 4.1588830833596715
#: Log ratios at which the prior has mass: dense around 0.
_POINTS = 41
#: Groups of genes by their information, each with a prior of its own.
_GROUPS = 8
_ITERATIONS = 40


def information(
    counts: npt.ArrayLike,
    *,
    molecules: npt.ArrayLike = np.inf,
    dispersion: npt.ArrayLike = 0.0,
    samples: npt.ArrayLike = np.inf,
) -> Float64Array:
    """Return how many Poisson counts would know a bulk profile's genes as well as the profile does.

    1 / information = 1 / min(counts + ½, molecules + ½) + dispersion / samples, the relative variance of a gene.

    Parameters
    ----------
    counts
        Counts of the bulk profile (UMIs or reads).
    molecules
        Counts that the cells behind the profile had in all: cells · mean library size · the gene's share. Reads beyond
        them are copies and add nothing. Default: as many as were read.
    dispersion
        φ of each gene between cells, with `samples` the number of cells; or between biological replicates, with
        `samples` their number.
    samples
        Cells or replicates that the profile is the sum of. Default: no variance beyond that of counts.

    Returns
    -------
    numpy.ndarray
        float64, the shape of the arguments broadcast.
    """
    counts = checked_profile(counts, "counts")
    fewest = np.minimum(counts, np.asarray(molecules, np.float64)) + 0.5
    return 1.0 / (1.0 / fewest + np.asarray(dispersion, np.float64) / np.asarray(samples, np.float64))


def shrunk_ratios(
    treated: npt.ArrayLike,
    control: npt.ArrayLike,
    *,
    treated_information: npt.ArrayLike | None = None,
    control_information: npt.ArrayLike | None = None,
    reference: npt.ArrayLike | None = None,
    shrinkage: float = 0.5,
) -> Float64Array:
    """Estimate r = treated profile / control profile of each gene.

    The information of both profiles makes each ratio a binomial observation: k of k + k₀ counts were treated. The prior
    of log r is free on a grid, is estimated by EM (Kiefer & Wolfowitz 1956) in eight groups of genes of similar
    information, and gives the posterior mean of the treated profile, the estimate of least squared error. Classes made
    with posterior means alone are harder to tell apart than real ones where thousands of genes change a little, for
    posterior means spread less than what they estimate; the geometric mean with the raw ratio (`shrinkage` ½) makes up
    for it (for a normal prior exactly: constrained empirical Bayes, Louis, JASA 79:393, 1984). What was measured is in
    ``docs/design/generators.md``.

    Parameters
    ----------
    treated
        Counts of one treated profile, shape (n_genes,).
    control
        Counts of the control profile, shape (n_genes,), from the same platform, whose bias per gene cancels.
    treated_information, control_information
        From :func:`information`. Default: that of the counts alone.
    reference
        Profile of the cells that the ratios will be applied to, which decides the scale: Σ r · reference = 1. Default:
        the control profile.
    shrinkage
        0: raw ratios; 1: posterior means; between: r = raw^(1 − w) · posterior^w.

    Returns
    -------
    numpy.ndarray
        Ratios, shape (n_genes,); |log2 r| ≤ 6 before the scale is set.

    Raises
    ------
    CountsError
        If a profile has no counts, or a value is negative or not finite.
    """
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"shrinkage must be within [0, 1], got {shrinkage}")
    treated, control = checked_profile(treated, "treated"), checked_profile(control, "control")
    # half a molecule of the shallower profile (Haldane 1956) is the same share of both: a gene seen in neither has the
    # ratio one, however unequal the depths
    least = 0.5 / min(treated.sum(), control.sum())
    p, p0 = _raised(treated, least), _raised(control, least)
    if p.ndim != 1 or p.shape != p0.shape:
        raise ValueError(f"treated and control must have one shape (n_genes,), got {p.shape} and {p0.shape}")
    logarithm = elementary.log(p / p0)
    if shrinkage > 0.0:
        k = information(treated) if treated_information is None else np.asarray(treated_information, np.float64)
        k0 = information(control) if control_information is None else np.asarray(control_information, np.float64)
        for name, value in (("treated_information", k), ("control_information", k0)):
            if value.shape != p.shape or not np.all((value > 0) & np.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite for each of the {p.size} genes")
        logarithm = (1.0 - shrinkage) * logarithm + shrinkage * _posterior_mean(p, p0, k, k0)
    ratio = elementary.exp(np.clip(logarithm, -_LOG_LARGEST, _LOG_LARGEST))
    scale = p0 if reference is None else checked_profile(reference, "reference")
    ratio *= scale.sum() / (ratio * scale).sum()
    return ratio


def _raised(counts: Float64Array, least: float) -> Float64Array:
    """Return the shares, each raised by `least`, in a profile that sums to 1; none is below the floor."""
    raised = counts / counts.sum() + least
    profile: Float64Array = np.maximum(raised / raised.sum(), PROFILE_FLOOR)
    return profile


def _posterior_mean(p: Float64Array, p0: Float64Array, k: Float64Array, k0: Float64Array) -> Float64Array:
    """Return the log of E[treated profile] / control profile; counts k = p · exposure, k0 = p0 · exposure0.

    The control profile below the line is the raw one, because that is what the cells to be shifted have.
    """
    total, exposure, exposure0 = k + k0, k / p, k0 / p0
    # log ratios sinh(3u) for equal steps of u: ten times as dense around 0 as at the ends
    step = 2.0 / (_POINTS - 1)
    u = step * np.arange(_POINTS) - 1.0
    unit = 2.0 * _LOG_LARGEST / (elementary.exp(3.0) - elementary.exp(-3.0))
    ratios = elementary.exp(unit * (elementary.exp(3.0 * u) - elementary.exp(-3.0 * u)) / 2.0)
    raw = elementary.log(p / p0)
    result = np.empty_like(p)
    for genes in np.array_split(np.argsort(total, kind="stable"), _GROUPS):
        if genes.size == 0:
            continue
        # odds of treated against control for each ratio; rows are points, so that sums over points add rows
        odds = ratios[:, None] * (exposure[genes] / exposure0[genes])
        log_odds = elementary.log(odds)
        log_likelihood = k[genes] * log_odds - total[genes] * (log_odds + elementary.log1p(1.0 / odds))
        likelihood = elementary.exp(log_likelihood - log_likelihood.max(axis=0))
        prior = np.full(_POINTS, 1.0 / _POINTS)
        for _ in range(_ITERATIONS):
            posterior = likelihood * prior[:, None]
            posterior /= posterior.sum(axis=0)
            prior = posterior.mean(axis=1)
        posterior = likelihood * prior[:, None]
        posterior /= posterior.sum(axis=0)
        # given r, the control profile is best estimated by total / (exposure0 + r exposure)
        treated = ratios[:, None] * total[genes] / (exposure0[genes] + ratios[:, None] * exposure[genes])
        result[genes] = elementary.log((posterior * treated).sum(axis=0) / p0[genes])
    # a point stands for the width between points: a ratio known better than that is not moved to it
    width = (3.0 * step) ** 2 * (unit**2 + np.minimum(np.abs(raw), _LOG_LARGEST) ** 2)
    variance = 1.0 / k + 1.0 / k0
    shrunk: Float64Array = raw + (result - raw) * (variance / (variance + width))
    return shrunk
