"""Copula factors of simulated cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import ndtr
from scipy.stats import nbinom

from bulkgen.errors import CountsError
from bulkgen.estimation.factors import fit_copula_factors

DISPERSION = 0.3


def simulate(rng, loadings, mean=10.0, n_cells=500):
    n_genes = len(loadings)
    noise = np.sqrt(1 - (loadings**2).sum(axis=1)) * rng.standard_normal((n_cells, n_genes))
    z = rng.standard_normal((n_cells, loadings.shape[1])) @ loadings.T + noise
    counts = nbinom.ppf(ndtr(z), 1 / DISPERSION, 1 / (1 + DISPERSION * mean))
    return sp.csr_matrix(counts), np.full(n_genes, 1 / n_genes), np.full(n_genes, DISPERSION)


def blocks():
    """Few genes share factors: what most genes share is library size, which the scores leave out."""
    loadings = np.zeros((300, 2))
    loadings[:40, 0] = 0.7
    loadings[30:70, 1] = -0.6
    return loadings


@pytest.mark.parametrize("n_cells", [200, 600])  # fewer and more cells than genes
def test_correlations_are_recovered(n_cells):
    true = blocks()
    factors = fit_copula_factors(*simulate(np.random.default_rng(1), true, n_cells=n_cells))
    assert factors.loadings.shape == (300, 2)
    pairs = ~np.eye(300, dtype=bool)
    found, expected = (factors.loadings @ factors.loadings.T)[pairs], (true @ true.T)[pairs]
    assert np.corrcoef(found, expected)[0, 1] > 0.75
    assert 0.55 < (found * expected).sum() / (expected**2).sum() < 1.1


def test_independent_genes_have_no_factor():
    counted = [
        fit_copula_factors(*simulate(np.random.default_rng(seed), np.zeros((200, 1)))).loadings.shape[1]
        for seed in range(5)
    ]
    assert sum(counted) <= 1


def test_loadings_are_on_the_grid_and_leave_noise_to_every_gene():
    loadings = np.zeros((200, 1))
    loadings[:10] = 0.995
    factors = fit_copula_factors(*simulate(np.random.default_rng(2), loadings, mean=100.0))
    assert np.array_equal(factors.loadings * 1024, np.rint(factors.loadings * 1024))
    assert 0.8 < (factors.loadings**2).sum(axis=1).max() < 0.95
    assert factors.loadings.sum() > 0


def test_genes_that_are_mostly_zero_are_left_out():
    counts, profile, dispersion = simulate(np.random.default_rng(3), blocks())
    dense = counts.toarray()
    dense[:-20, 5] = 0
    factors = fit_copula_factors(sp.csr_matrix(dense), profile, dispersion)
    assert 5 not in factors.genes
    assert len(factors.genes) == 299


def test_few_cells_are_refused():
    counts, profile, dispersion = simulate(np.random.default_rng(4), blocks(), n_cells=19)
    with pytest.raises(CountsError, match="at least 20 reference cells, got 19"):
        fit_copula_factors(counts, profile, dispersion)
