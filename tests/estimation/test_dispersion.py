"""Dispersions of simulated counts, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.errors import CountsError
from bulkgen.estimation.dispersion import estimate_dispersion


def simulate(rng, profile, dispersion, sizes):
    mean = sizes[:, None] * profile
    return sp.csr_matrix(rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape)).astype(np.float32))


def setting(rng, n_cells, n_genes=2000, spread=0.5):
    profile = rng.lognormal(0, 1.5, n_genes)
    profile /= profile.sum()
    dispersion = 0.3 * rng.lognormal(0, spread, n_genes)
    return profile, dispersion, rng.lognormal(np.log(3000), 0.4, n_cells)


def test_the_estimate_is_unbiased_and_closer_than_raw_and_trend():
    rng = np.random.default_rng(1)
    profile, dispersion, sizes = setting(rng, 600)
    found = estimate_dispersion(simulate(rng, profile, dispersion, sizes))
    for low, high, largest in ((0.1, 0.5, 0.5), (0.5, 2, 0.4), (2, np.inf, 0.2)):
        genes = (found.mean >= low) & (found.mean < high)
        error = {
            name: np.log(np.maximum(getattr(found, name), 1e-3) / dispersion)[genes]
            for name in ("raw", "trend", "shrunk")
        }
        rms = {name: np.sqrt(np.mean(value**2)) for name, value in error.items()}
        assert rms["shrunk"] < largest
        assert rms["shrunk"] < min(rms["raw"], rms["trend"]) * 1.05
        assert abs(np.mean(error["shrunk"])) < 0.1


def test_rare_genes_take_the_trend_which_pools_thousands_of_them():
    rng = np.random.default_rng(2)
    profile = rng.uniform(0.5, 1.5, 6000)
    profile /= profile.sum()
    sizes = np.full(500, 300.0)  # mean counts of a gene: 0.05
    found = estimate_dispersion(simulate(rng, profile, np.full(6000, 0.5), sizes))
    assert np.median(found.trend) == pytest.approx(0.5, rel=0.15)
    assert np.mean(found.shrunk) == pytest.approx(0.5, rel=0.15)
    assert np.std(found.shrunk) < 0.2 * np.std(found.raw)


def test_poisson_counts_have_the_lowest_dispersion():
    rng = np.random.default_rng(3)
    profile, _, sizes = setting(rng, 500)
    found = estimate_dispersion(sp.csr_matrix(rng.poisson(sizes[:, None] * profile)))
    assert np.median(found.shrunk[found.mean > 1]) < 0.01


def test_library_sizes_are_not_dispersion():
    rng = np.random.default_rng(4)
    profile, dispersion, _ = setting(rng, 1, spread=0.0)
    same = estimate_dispersion(simulate(rng, profile, dispersion, np.full(500, 3000.0)))
    wide = estimate_dispersion(simulate(rng, profile, dispersion, rng.lognormal(np.log(3000), 0.8, 500)))
    genes = same.mean > 1
    assert np.mean(wide.shrunk[genes]) == pytest.approx(np.mean(same.shrunk[genes]), rel=0.1)


def test_differences_between_strata_are_not_dispersion():
    rng = np.random.default_rng(5)
    profile, dispersion, sizes = setting(rng, 300, spread=0.0)
    other = rng.permutation(profile)
    counts = sp.vstack([simulate(rng, p, dispersion, sizes) for p in (profile, other)]).tocsr()
    pooled = estimate_dispersion(counts, np.repeat([0, 1], 300))
    genes = pooled.mean > 1
    assert np.median(pooled.raw[genes]) == pytest.approx(0.3, rel=0.1)
    assert np.median(estimate_dispersion(counts).raw[genes]) > 0.6


def test_strata_in_any_order_and_blocks_of_any_size_give_the_same_bits(monkeypatch):
    rng = np.random.default_rng(6)
    profile, dispersion, sizes = setting(rng, 60, n_genes=300)
    counts, codes = simulate(rng, profile, dispersion, sizes), rng.integers(0, 3, 60)
    whole = estimate_dispersion(counts, codes)
    assert np.array_equal(whole.shrunk, estimate_dispersion(counts.astype(np.int64), codes).shrunk)
    monkeypatch.setattr("bulkgen.estimation.dispersion._BLOCK", 500)
    assert np.allclose(whole.shrunk, estimate_dispersion(counts, codes).shrunk, rtol=1e-9)


def test_every_value_is_within_bounds_and_unseen_genes_are_too():
    rng = np.random.default_rng(7)
    counts = sp.csr_matrix(np.hstack([rng.poisson(0.3, (6, 40)), np.zeros((6, 10)), np.ones((6, 1))]))
    found = estimate_dispersion(counts)
    assert np.all((found.shrunk >= 1e-3) & (found.shrunk <= 10))
    assert np.all(found.raw[40:50] == 0)


def test_too_few_and_empty_cells_are_refused():
    counts = sp.csr_matrix(np.ones((6, 3)))
    with pytest.raises(CountsError, match="at least 5 reference cells, got 4"):
        estimate_dispersion(counts[:4])
    with pytest.raises(CountsError, match="stratum of at least two"):
        estimate_dispersion(counts, np.arange(6))
    with pytest.raises(CountsError, match="row 5"):
        estimate_dispersion(sp.vstack([counts[:5], sp.csr_matrix((1, 3))]).tocsr())
    with pytest.raises(ValueError, match="codes"):
        estimate_dispersion(counts, np.zeros(5, np.int64))
