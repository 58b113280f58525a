"""Factors against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import nbinom, norm

from bulkgen.estimation.factors import estimate_factors
from estimation.simulation import negative_binomial_cells

N_GENES, DISPERSION = 300, 0.4


def copula_cells(seed, n_cells, mean, loadings):
    """Negative binomial cells whose normal variates have the given loadings."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0.0, 0.4, (n_cells, 1))
    own = np.sqrt(1 - (loadings**2).sum(axis=0))
    z = rng.normal(size=(n_cells, len(loadings))) @ loadings + own * rng.normal(size=(n_cells, mean.size))
    r = 1 / DISPERSION
    return sp.csr_matrix(nbinom.ppf(norm.cdf(z), r, r / (r + mean * size)).astype(np.float32))


def fitted(counts, codes=None, n_strata=1, **options):
    codes = np.zeros(counts.shape[0], np.int64) if codes is None else codes
    return estimate_factors(counts, codes, n_strata, np.full(counts.shape[1], DISPERSION), **options)


def correlations(factors, n_genes=N_GENES):
    found = np.zeros((n_genes, n_genes))
    loadings = factors.loadings.astype(np.float64)
    found[np.ix_(factors.genes, factors.genes)] = loadings.T @ loadings
    return found


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(1)
    mean = np.exp(rng.uniform(np.log(0.2), np.log(10), N_GENES))
    loadings = rng.normal(size=(2, N_GENES)) * [[0.5], [0.3]] * (rng.random((2, N_GENES)) < 0.5)
    return mean, loadings * np.minimum(1, 0.9 / np.sqrt((loadings**2).sum(axis=0) + 1e-9))


@pytest.mark.parametrize(("n_cells", "worst", "bias"), [(250, 0.4, 0.2), (1500, 0.25, 0.1)])
def test_correlations_of_the_hidden_variates_are_found_for_weak_and_strong_genes(truth, n_cells, worst, bias):
    mean, loadings = truth
    found, exact = correlations(fitted(copula_cells(1, n_cells, mean, loadings))), loadings.T @ loadings
    for genes in (mean < 0.6, mean > 2):
        pairs = np.outer(genes, genes) & ~np.eye(N_GENES, dtype=bool)
        assert (found[pairs] @ exact[pairs]) / (exact[pairs] @ exact[pairs]) == pytest.approx(1, abs=bias)
        assert np.linalg.norm((found - exact)[pairs]) < worst * np.linalg.norm(exact[pairs])


def test_independent_genes_have_no_factors():
    mean = np.exp(np.random.default_rng(1).uniform(np.log(0.2), np.log(10), N_GENES))
    for n_cells in (150, 500):
        cells = [negative_binomial_cells(s, n_cells, mean, DISPERSION) for s in range(2)]
        assert sum(len(fitted(matrix).loadings) for matrix in cells) == 0


def test_variances_are_one_and_loadings_on_the_grid_with_the_strongest_above_0(truth):
    mean, loadings = truth
    factors = fitted(copula_cells(2, 400, mean, loadings))
    found = factors.loadings.astype(np.float64)
    np.testing.assert_allclose(factors.own**2 + (found**2).sum(axis=0), 1, rtol=1e-14)
    np.testing.assert_array_equal(found * 4096, np.rint(found * 4096))
    assert np.all(found.max(axis=1) >= -found.min(axis=1))
    assert np.all(np.diff((found**2).sum(axis=1)) < 0)
    assert len(fitted(copula_cells(2, 400, mean, loadings), n_factors=1).loadings) == 1


def test_the_order_of_genes_and_of_cells_does_not_matter(truth):
    mean, loadings = truth
    cells = copula_cells(3, 300, mean, loadings)
    rng = np.random.default_rng(1)
    genes, rows = rng.permutation(N_GENES), rng.permutation(300)
    expected = correlations(fitted(cells))[np.ix_(genes, genes)]
    np.testing.assert_allclose(correlations(fitted(cells[rows][:, genes].tocsr())), expected, atol=1e-12)


def test_differences_between_strata_and_cells_left_out_are_no_factors():
    rng = np.random.default_rng(1)
    means = np.exp(rng.uniform(np.log(0.5), np.log(10), (3, N_GENES)))
    cells = sp.vstack([negative_binomial_cells(s, 200, m, DISPERSION) for s, m in enumerate(means)], format="csr")
    assert len(fitted(cells, np.repeat([0, 1, -1], 200), 2).loadings) == 0
    assert len(fitted(cells).loadings) > 0


def test_genes_of_mostly_zeros_are_left_out():
    cells = negative_binomial_cells(1, 400, np.repeat([0.02, 3.0], 20), DISPERSION)
    factors = fitted(cells)
    np.testing.assert_array_equal(factors.genes, np.arange(20, 40))
    assert fitted(negative_binomial_cells(2, 400, np.full(200, 0.02), DISPERSION)).genes.size == 0


def test_what_cannot_be_fitted_is_refused():
    cells = negative_binomial_cells(1, 5, np.ones(4), DISPERSION)
    zeros = np.zeros(5, np.int64)
    with pytest.raises(ValueError, match="one for each of the 4 genes"):
        estimate_factors(cells, zeros, 1, np.ones(3))
    with pytest.raises(ValueError, match="at least three cells"):
        estimate_factors(cells, zeros - 1, 1, np.ones(4))
    with pytest.raises(ValueError, match="most_zeros"):
        estimate_factors(cells, zeros, 1, np.ones(4), most_zeros=0.0)
