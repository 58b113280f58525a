"""Zero inflation against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.estimation.zero_inflation import estimate_zero_inflation
from estimation.simulation import negative_binomial_cells

N_CELLS, N_GENES = 800, 600


def one_stratum(counts):
    return estimate_zero_inflation(counts, np.zeros(counts.shape[0], np.int64), 1)


@pytest.fixture(scope="module")
def genes():
    rng = np.random.default_rng(1)
    return np.exp(rng.uniform(np.log(0.05), np.log(20), N_GENES)), np.exp(rng.normal(-1.2, 0.7, N_GENES))


def test_negative_binomial_counts_are_not_inflated(genes):
    found = [one_stratum(negative_binomial_cells(seed, N_CELLS, *genes, cv=0.6)) for seed in range(3)]
    p_value = np.concatenate([z.p_value for z in found])
    for alpha in (0.05, 0.01):
        assert np.mean(p_value <= alpha) <= alpha + 2 * np.sqrt(alpha / p_value.size)
    # all three may have a first false one in twenty
    assert sum(np.any(z.probability > 0) for z in found) <= 1


def test_inflated_genes_are_found_with_their_law_and_the_others_left(genes):
    mean, dispersion = genes
    rng = np.random.default_rng(2)
    counts = negative_binomial_cells(4, N_CELLS, mean, dispersion).toarray()
    inflated = np.arange(N_GENES) < N_GENES // 2
    counts[:, inflated] *= rng.random((N_CELLS, N_GENES // 2)) > 0.3
    found = one_stratum(sp.csr_matrix(counts))
    rejected = found.probability > 0
    assert np.mean(~inflated[rejected]) < 0.08
    strong = inflated & (mean > 3)
    assert np.mean(rejected[strong]) > 0.95
    assert np.mean(found.probability[strong & rejected]) == pytest.approx(0.3, abs=0.02)
    assert np.median(found.dispersion[strong & rejected] / dispersion[strong & rejected]) == pytest.approx(1, abs=0.15)
    np.testing.assert_array_equal(np.isnan(found.dispersion), ~rejected)


def test_differences_between_strata_and_cells_left_out_are_no_inflation():
    low, high = np.tile([0.3, 9.0], 100), np.tile([9.0, 0.3], 100)
    cells = sp.vstack(
        [negative_binomial_cells(seed, 500, mean, 0.2) for seed, mean in enumerate((low, high, 0 * low))], format="csr"
    )
    found = estimate_zero_inflation(cells, np.repeat([0, 1, -1], 500), 2)
    assert not np.any(found.probability > 0)
    # as one stratum they are bimodal
    assert np.mean(one_stratum(cells[:1000]).probability > 0) > 0.5


def test_library_sizes_are_no_inflation():
    cells = negative_binomial_cells(5, 2000, np.full(200, 1.0), 0.05, cv=1.0)
    assert not np.any(one_stratum(cells).probability > 0)


def test_large_counts_are_counted_too():
    mean = np.full(60, 200.0)
    counts = negative_binomial_cells(6, 300, mean, 0.3).toarray()
    counts[np.random.default_rng(1).random(300) < 0.1, 7] = 0
    found = one_stratum(sp.csr_matrix(counts))
    np.testing.assert_array_equal(np.flatnonzero(found.probability), [7])
    assert found.probability[7] == pytest.approx(0.1, abs=0.04)


def test_what_says_nothing_is_not_tested_and_what_is_no_count_refused():
    found = one_stratum(sp.csr_matrix(np.ones((30, 4), np.float32)))
    np.testing.assert_array_equal(found.p_value, 1)
    with pytest.raises(ValueError, match="whole counts"):
        one_stratum(sp.csr_matrix(np.full((3, 2), 0.5, np.float32)))
    with pytest.raises(ValueError, match="no cell has counts"):
        one_stratum(sp.csr_matrix((3, 2), dtype=np.float32))
