"""The test for zero inflation on simulated genes with and without it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import expit, gammaln
from scipy.stats import norm

from bulkgen.errors import CountsError
from bulkgen.estimation.zero_inflation import fit_zero_inflation


def simulate(rng, inflated, n_cells=500, n_genes=400):
    """Cells of which the first `inflated` genes have 40 % additional zeros."""
    sizes = rng.lognormal(np.log(5000), 0.3, n_cells)
    profile = rng.lognormal(0, 1, n_genes)
    profile /= profile.sum()
    dispersion = rng.lognormal(-1.2, 0.4, n_genes)
    mean = sizes[:, None] * profile
    counts = rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape))
    counts[:, :inflated] *= rng.random((n_cells, inflated)) > 0.4
    return sp.csr_matrix(counts), dispersion


def fit(counts, dispersion, **options):
    profile = np.ravel(counts.sum(axis=0)) / counts.sum()
    return fit_zero_inflation(counts, profile, dispersion, **options)


def test_genes_without_additional_zeros_have_p_values_of_half_a_chi_square():
    result = fit(*simulate(np.random.default_rng(1), 0, n_genes=600))
    assert np.mean(result.p_value == 1) == pytest.approx(0.5, abs=0.07)
    for level in (0.01, 0.05, 0.2):
        assert np.mean(result.p_value < level) < level + 2.5 * np.sqrt(level / 600)
    assert np.mean(result.p_value < 0.2) > 0.12
    assert np.count_nonzero(result.probability) <= 2


def test_inflated_genes_are_found_with_their_probability_and_mean():
    counts, dispersion = simulate(np.random.default_rng(2), 40)
    result = fit(counts, dispersion)
    found = result.probability > 0
    assert found[:40].mean() > 0.8
    assert found[40:].mean() < 0.03
    inflated = np.flatnonzero(found[:40])
    assert np.median(result.probability[inflated]) == pytest.approx(0.4, abs=0.04)
    # the mean of what is no additional zero
    assert np.median(result.mean_factor[inflated] * (1 - result.probability[inflated])) == pytest.approx(1, abs=0.05)
    assert np.all(result.mean_factor[~found] == 1)
    assert np.all(result.dispersion[~found] == dispersion[~found])


def test_p_values_are_those_of_a_general_optimizer():
    counts, dispersion = simulate(np.random.default_rng(3), 6, n_genes=100)
    result = fit(counts, dispersion)
    sizes, dense = np.ravel(counts.sum(axis=1)), counts.toarray().astype(float)
    share = np.ravel(counts.sum(axis=0)) / counts.sum()

    def loss(law, x, mean):
        size, mean = np.exp(-law[0]), mean * np.exp(law[1])
        additional = expit(law[2]) if len(law) == 3 else 0.0
        log_law = gammaln(x + size) - gammaln(size) + size * np.log(size / (size + mean))
        log_law += x * np.log(mean / (size + mean))
        with np.errstate(divide="ignore"):
            zero = np.log(additional + (1 - additional) * np.exp(np.minimum(log_law, 0)))
        return -np.where(x == 0, zero, np.log1p(-additional) + log_law).sum()

    for gene in range(8):
        x, mean = dense[:, gene], sizes * share[gene]
        null = min(minimize(loss, [start, 0], (x, mean)).fun for start in (-2, -1))
        free = min(minimize(loss, [a, 0, b], (x, mean)).fun for a in (-3, -1) for b in (-3, -1))
        expected = norm.sf(np.sqrt(max(0.0, 2 * (null - free))))
        # the bins of library size cost a little
        found = norm.isf(np.clip(result.p_value[gene], 1e-12, 0.5))
        assert found == pytest.approx(min(norm.isf(expected), 7.0), abs=0.25)


def test_genes_that_cannot_be_tested_are_left_alone():
    counts, dispersion = simulate(np.random.default_rng(4), 0, n_genes=20)
    dense = counts.toarray()
    dense[:, 0] = 0
    dense[:, 1] = 1
    dense[:, 2] = np.minimum(dense[:, 2], 1)
    result = fit(sp.csr_matrix(dense), dispersion)
    assert np.all(result.p_value[:3] == 1)
    assert np.all(result.probability[:3] == 0)


def test_few_cells_are_refused():
    counts, dispersion = simulate(np.random.default_rng(5), 0, n_genes=20)
    with pytest.raises(CountsError, match="at least 50 reference cells, got 49"):
        fit(counts[:49], dispersion)
    with pytest.raises(ValueError, match="false_discovery_rate"):
        fit(counts, dispersion, false_discovery_rate=0)
