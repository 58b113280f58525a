"""Fractions of reference states in bulk profiles (deconvolution)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import nnls

from bulkgen.elementary import log
from bulkgen.estimation.profile import profile_of

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["cell_fractions", "estimate_fractions", "marker_genes"]

#: How far bulk and single cells differ on one gene, as a standard deviation of the logarithm.
_PLATFORM = 0.3
_WEIGHTINGS = 30
_POISSON_STEPS = 500


def estimate_fractions(
    bulk: Float64Array,
    states: Float64Array,
    *,
    method: Literal["nnls", "poisson"] = "nnls",
    n_markers: int | None = 50,
) -> Float64Array:
    """Estimate how much of the RNA of each bulk profile comes from each reference state.

    Bulk and single cells differ gene by gene by more than counting noise, so that a fit to all genes follows the
    strong ones; marker genes, each weighted by its relative error, tell the states apart. What this gives on
    wells of known composition stands in ``docs/generators.md``.

    Parameters
    ----------
    bulk
        Counts (or transcripts per million) of the profiles, shape (n_profiles, n_genes).
    states
        Total counts of the reference cells of each state on the same genes, shape (n_states, n_genes).
    method
        ``nnls``: non-negative least squares, weighted again and again by the inverse variance that the fit has:
        counting noise of bulk and states, and a platform difference of 30 %. ``poisson``: maximum likelihood by
        expectation and maximisation (Richardson 1972, Lucy 1974).
    n_markers
        Genes used for each state, as of :func:`marker_genes`; ``None``: all genes.

    Returns
    -------
    numpy.ndarray
        Fractions of RNA, rows sum to 1; shape (n_profiles, n_states).

    Raises
    ------
    ValueError
        If shapes do not fit, if values are negative or not finite, or if a profile or state has no counts on the
        genes used.
    """
    bulk, states = np.asarray(bulk, np.float64), np.asarray(states, np.float64)
    if bulk.ndim != 2 or states.ndim != 2 or bulk.shape[1] != states.shape[1]:
        raise ValueError(f"bulk {bulk.shape} and states {states.shape} must be matrices with the same genes as columns")
    if not (np.all(np.isfinite(bulk) & (bulk >= 0)) and np.all(np.isfinite(states) & (states >= 0))):
        raise ValueError("bulk and states must be finite and not negative")
    if method not in ("nnls", "poisson"):
        raise ValueError(f"the method must be 'nnls' or 'poisson', not {method!r}")
    if len(states) == 1:
        return np.ones((len(bulk), 1))
    totals = bulk.sum(axis=1)
    genes = slice(None) if n_markers is None else marker_genes(states, n_markers)
    for name, matrix in (("bulk profile", bulk), ("state", states)):
        empty = np.flatnonzero(matrix[:, genes].sum(axis=1) == 0)
        if empty.size:
            raise ValueError(f"{name} {empty[0]} has no counts on the genes that tell the states apart")
    fit = _least_squares if method == "nnls" else _most_likely
    profiles = profile_of(states)[:, genes]
    bulk, states = bulk[:, genes], states[:, genes]
    fractions = np.stack([fit(row, total, states, profiles) for row, total in zip(bulk, totals, strict=True)])
    # a multiple of 2^-20 before it is normalised, so that the last bits of the linear algebra do not show
    fractions = np.rint(fractions / fractions.sum(axis=1, keepdims=True) * 2.0**20)
    shares: Float64Array = fractions / fractions.sum(axis=1, keepdims=True)
    return shares


def cell_fractions(fractions: Float64Array, library_sizes: Float64Array) -> Float64Array:
    """Turn fractions of RNA into fractions of cells.

    Parameters
    ----------
    fractions
        From :func:`estimate_fractions`, shape (n_profiles, n_states).
    library_sizes
        Mean library size of the cells of each state, shape (n_states,).

    Raises
    ------
    ValueError
        If a library size is not positive.
    """
    if not np.all(library_sizes > 0):
        raise ValueError("mean library sizes must be positive")
    cells = fractions / library_sizes
    shares: Float64Array = cells / cells.sum(axis=1, keepdims=True)
    return shares


def marker_genes(states: Float64Array, n_markers: int) -> Int64Array:
    """Return the genes by which each state differs most from every other, ascending.

    The score is the log ratio of a gene's share to its largest share in another state, over its standard error with
    the platform difference; a marker is above 0.
    """
    logs = log((states + 1.0) / (states + 1.0).sum(axis=1, keepdims=True))
    chosen = np.zeros(states.shape[1], bool)
    for state in range(len(states)):
        others = np.delete(np.arange(len(states)), state)
        highest = others[np.argmax(logs[others], axis=0)]
        genes = np.arange(states.shape[1])
        variance = 1.0 / (states[state] + 1.0) + 1.0 / (states[highest, genes] + 1.0) + _PLATFORM**2
        score = (logs[state] - logs[highest, genes]) / np.sqrt(variance)
        best = np.argsort(-score, kind="stable")[:n_markers]
        chosen[best[score[best] > 0]] = True
    return np.flatnonzero(chosen)


def _least_squares(bulk: Float64Array, total: float, states: Float64Array, profiles: Float64Array) -> Float64Array:
    share = bulk / total
    fractions = np.full(len(profiles), 1.0 / len(profiles))
    for _ in range(_WEIGHTINGS):
        fitted = fractions @ profiles
        parts = fractions[:, None] * profiles
        # a fit near 0 counts half a molecule
        relative = 1.0 / np.maximum(total * fitted, 0.5) + _PLATFORM**2
        variance = fitted * fitted * relative + (parts * parts / np.maximum(states, 0.5)).sum(axis=0)
        weight = 1.0 / np.sqrt(variance)
        solution = nnls((profiles * weight).T, share * weight)[0]
        if solution.sum() == 0:
            break
        fractions = solution
    return fractions


def _most_likely(bulk: Float64Array, total: float, states: Float64Array, profiles: Float64Array) -> Float64Array:
    fractions = np.full(len(profiles), 1.0 / len(profiles))
    reach = profiles.sum(axis=1)
    for _ in range(_POISSON_STEPS):
        fractions = fractions * (profiles @ (bulk / (fractions @ profiles))) / reach
        fractions /= fractions.sum()
    return fractions
