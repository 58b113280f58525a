"""Dispersions against simulated truth."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.estimation.dispersion import estimate_dispersion, log_normal_sigma
from count_cases import random_counts
from estimation.simulation import negative_binomial_cells


def one_stratum(counts):
    return estimate_dispersion(counts, np.zeros(counts.shape[0], np.int64), 1)


@pytest.fixture(scope="module")
def truth():
    """Means from 0.01 to 20, a trend over them, and a spread of 0.5 about it."""
    rng = np.random.default_rng(3)
    mean = np.exp(rng.uniform(np.log(0.01), np.log(20), 1500))
    return mean, (0.2 + 0.05 / np.sqrt(mean)) * np.exp(0.5 * rng.normal(size=mean.size))


@pytest.mark.parametrize(
    ("n_cells", "worst"),
    # root mean square errors of log φ for means of 0.01-0.1, 0.1-1, 1-10 and 10-20; the trend alone would give 0.5
    [(150, (0.80, 0.56, 0.40, 0.28)), (2000, (0.56, 0.36, 0.14, 0.09))],
)
def test_log_dispersions_are_found_without_bias(truth, n_cells, worst):
    mean, dispersion = truth
    error = np.log(one_stratum(negative_binomial_cells(1, n_cells, mean, dispersion)) / dispersion)
    group = np.digitize(mean, [0.1, 1.0, 10.0])
    for k, bound in enumerate(worst):
        found = error[group == k]
        assert np.sqrt(np.mean(found**2)) < bound
        # few cells say little of genes with one count in ten of them
        assert abs(found.mean()) < (0.12 if n_cells == 2000 or k > 0 else 0.6)


def test_poisson_counts_have_almost_no_dispersion():
    mean = np.exp(np.random.default_rng(1).uniform(np.log(0.5), np.log(20), 300))
    assert np.median(one_stratum(negative_binomial_cells(2, 1000, mean, 0.0))) < 0.01


def test_a_gene_with_many_counts_keeps_its_own_dispersion():
    mean, dispersion = np.full(400, 5.0), np.full(400, 0.1)
    dispersion[7] = 5.0
    found = one_stratum(negative_binomial_cells(4, 1000, mean, dispersion))
    assert found[7] == pytest.approx(5.0, rel=0.2)
    assert np.delete(found, 7) == pytest.approx(0.1, rel=0.35)


def test_differences_between_strata_are_no_dispersion():
    cells = sp.vstack(
        [
            negative_binomial_cells(1, 400, np.tile([2.0, 8.0], 100), 0.1),
            negative_binomial_cells(2, 400, np.tile([8.0, 2.0], 100), 0.1),
        ],
        format="csr",
    )
    found = estimate_dispersion(cells, np.repeat([0, 1], 400), 2)
    assert found == pytest.approx(0.1, rel=0.3)
    assert np.median(one_stratum(cells)) > 0.3


def test_library_sizes_are_no_dispersion():
    cells = negative_binomial_cells(5, 2000, np.full(200, 3.0), 0.0, cv=0.7)
    assert np.median(one_stratum(cells)) < 0.01


def test_cells_left_out_and_cells_without_counts_do_not_matter():
    cells = negative_binomial_cells(6, 300, np.full(50, 2.0), 0.4)
    other = sp.vstack([cells, sp.csr_matrix((20, 50), dtype=np.float32), 7 * cells[:30]], format="csr")
    codes = np.repeat([0, 0, -1], [300, 20, 30])
    np.testing.assert_array_equal(estimate_dispersion(other, codes, 1), one_stratum(cells))


def test_a_gene_without_counts_has_the_dispersion_of_the_trend():
    counts = random_counts(1, 200, 100)
    counts = sp.hstack([counts, sp.csr_matrix((200, 1), dtype=np.float32)], format="csr")
    found = one_stratum(counts)
    assert 1e-3 <= found[-1] <= 10
    np.testing.assert_array_equal(found.astype(np.float32), found)


def test_two_cells_are_enough_and_one_is_not():
    found = one_stratum(random_counts(2, 2, 30, mean=5.0) + sp.csr_matrix(np.ones((2, 30), np.float32)))
    assert np.all((found >= 1e-3) & (found <= 10))
    with pytest.raises(ValueError, match="no stratum has two cells with counts"):
        estimate_dispersion(random_counts(1, 3, 5), np.array([0, 1, -1]), 2)
    with pytest.raises(ValueError, match="one entry for each of the 3 cells"):
        estimate_dispersion(random_counts(1, 3, 5), np.array([0, 1]), 2)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.float64])
def test_threads_number_types_and_machines_do_not_change_a_bit(dtype):
    rng = np.random.default_rng(8)
    # whole numbers alone, so that the cells too are the same everywhere
    counts = sp.csr_matrix((rng.integers(0, 9, (300, 120)) // rng.integers(1, 9, 120)).astype(dtype))
    codes = np.arange(300) % 3
    found = estimate_dispersion(counts, codes, 3, threads=1)
    assert found.tobytes() == estimate_dispersion(counts, codes, 3, threads=2).tobytes()
    assert hashlib.sha256(found.astype("<f8").tobytes()).hexdigest()[:16] == "e06600746cd2cbb7"


def test_the_log_normal_law_has_the_same_variance():
    phi = np.array([0.001, 0.3, 10.0])
    np.testing.assert_allclose(np.expm1(log_normal_sigma(phi) ** 2), phi, rtol=1e-12)
