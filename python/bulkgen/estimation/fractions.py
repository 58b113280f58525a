"""Fractions of reference states in bulk profiles of mixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import nnls

from bulkgen import elementary
from bulkgen.estimation.checks import checked_profile
from bulkgen.estimation.ratios import profile_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["marker_genes", "state_fractions"]

#: Fractions are rounded to this, which hides the last bits of the linear algebra library.
_GRID = 2.0**-30
_ITERATIONS = 500


def marker_genes(states: npt.ArrayLike, *, per_state: int = 200, least_counts: float = 20.0) -> Int64Array:
    """Choose the genes that tell states apart.

    Of each state, the genes whose share in it most exceeds that in the state with the next largest share, by
    log ratio times the square root of the smaller information (a z score of the two counts).

    Parameters
    ----------
    states
        Total counts of the reference cells of each state, shape (n_states, n_genes).
    per_state
        Genes per state.
    least_counts
        Genes with fewer counts in the state are left out.

    Returns
    -------
    numpy.ndarray
        Gene numbers, ascending.

    Raises
    ------
    CountsError
        If a state has no counts.
    ValueError
        If there is only one state.
    """
    counts = checked_profile(states, "states")
    if counts.ndim != 2 or len(counts) < 2:
        raise ValueError(f"states must have shape (n_states, n_genes) with at least two states, got {counts.shape}")
    logarithm = elementary.log(profile_of(counts))
    chosen: set[int] = set()
    for state in range(len(counts)):
        others = np.delete(np.arange(len(counts)), state)
        rival = others[np.argmax(logarithm[others], axis=0)]
        genes = np.arange(counts.shape[1])
        variance = 1.0 / (counts[state] + 0.5) + 1.0 / (counts[rival, genes] + 0.5)
        z = (logarithm[state] - logarithm[rival, genes]) / np.sqrt(variance)
        z[counts[state] < least_counts] = -np.inf
        best = np.argsort(-z, kind="stable")[:per_state]
        chosen.update(best[z[best] > 0].tolist())
    return np.array(sorted(chosen), dtype=np.int64)


def state_fractions(
    bulk: npt.ArrayLike,
    states: npt.ArrayLike,
    *,
    library_sizes: npt.ArrayLike | None = None,
    genes: Int64Array | None = None,
    method: Literal["poisson", "nnls"] = "poisson",
    gene_deviation: float = 0.5,
) -> Float64Array:
    """Estimate the non-negative fractions of states of which bulk profiles are mixtures.

    Parameters
    ----------
    bulk
        Counts of bulk profiles, shape (n_profiles, n_genes).
    states
        Total counts of the reference cells of each state, shape (n_states, n_genes).
    library_sizes
        Mean counts per cell of each state. Fractions of molecules are divided by them to give fractions of cells.
        Default: fractions of molecules.
    genes
        Numbers of the genes to use, e.g. :func:`marker_genes`. Default: all.
    method
        ``"poisson"``: maximum quasi-likelihood of counts, by EM (Richardson 1972, Lucy 1974). ``"nnls"``: least
        squares (Lawson & Hanson 1974).
    gene_deviation
        Relative standard deviation, per gene, of what a mixture's counts differ from the states' by platform and
        batch. A gene of expected count μ has the variance μ + (gene_deviation · μ)²; at 0 the few most expressed genes
        decide.

    Returns
    -------
    numpy.ndarray
        Shape (n_profiles, n_states); rows sum to 1.

    Raises
    ------
    CountsError
        If a profile or state has no counts in the genes.
    """
    mixtures = np.atleast_2d(checked_profile(bulk, "bulk"))
    counts = checked_profile(states, "states")
    if counts.ndim != 2 or counts.shape[1] != mixtures.shape[1]:
        raise ValueError(f"bulk and states must have the same genes, got shapes {mixtures.shape} and {counts.shape}")
    profiles = profile_of(counts)
    if genes is not None:
        # a state's share of molecules in the chosen genes stays in its profile, so the fractions keep their meaning
        profiles, mixtures = profiles[:, genes], checked_profile(mixtures[:, genes], "bulk in the chosen genes")
    if not (np.isfinite(gene_deviation) and gene_deviation >= 0):
        raise ValueError(f"gene_deviation must be 0 or more, got {gene_deviation}")
    solve = {"poisson": _poisson_fractions, "nnls": _least_squares_fractions}[method]
    fractions = np.array([solve(mixture, profiles, gene_deviation**2) for mixture in mixtures])
    if library_sizes is not None:
        fractions = fractions / checked_profile(library_sizes, "library_sizes")
    fractions = np.rint(fractions / fractions.sum(axis=1, keepdims=True) / _GRID) * _GRID
    rounded: Float64Array = fractions / fractions.sum(axis=1, keepdims=True)
    return rounded


def _poisson_fractions(mixture: Float64Array, profiles: Float64Array, extra: float) -> Float64Array:
    """Solve Σ (mixture − μ) profiles / (μ + extra μ²) = 0 with μ = w profiles for counts w ≥ 0 of the states."""
    weights = np.full(len(profiles), mixture.sum() / profiles.sum())
    for _ in range(_ITERATIONS):
        # sums over states add rows, in their order
        expected = (weights[:, None] * profiles).sum(axis=0)
        weighted = profiles / (1.0 + extra * expected)
        weights = weights * (mixture / expected * weighted).sum(axis=1) / weighted.sum(axis=1)
    return weights


def _least_squares_fractions(mixture: Float64Array, profiles: Float64Array, extra: float) -> Float64Array:
    expected = profiles.mean(axis=0) * (mixture.sum() / profiles.mean(axis=0).sum())
    scale = 1.0 / np.sqrt(expected + extra * expected**2)
    weights: Float64Array = nnls((profiles * scale).T, mixture * scale)[0]
    return weights
