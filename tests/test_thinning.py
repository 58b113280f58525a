"""Thinning: which law the thinned counts have, what stays, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

import bulkgen
from bulkgen.errors import CountsError
from bulkgen.io import provenance_of
from bulkgen.kernels import backend_names
from count_cases import labelled_cells, make_cells, matrix_bytes

pytestmark = pytest.mark.laws


@pytest.fixture(scope="module")
def cells():
    return labelled_cells(5, {"A": 80, "B": 60}, n_genes=50, mean=6.0)


def test_every_molecule_is_kept_with_the_fraction():
    counts = np.tile([0, 1, 3, 40, 2000, 1_500_000], (3000, 1)).astype(np.float32)
    thinned = bulkgen.thin(make_cells(counts), fraction=0.3, rng=1).X.toarray()
    assert np.all(thinned <= counts)
    assert np.all(thinned[:, 0] == 0)
    for gene in range(1, 6):
        n = int(counts[0, gene])
        law = stats.binom(n, 0.3)
        z = (thinned[:, gene].mean() - law.mean()) / (law.std() / np.sqrt(3000))
        assert abs(z) < 4
        assert stats.kstest(law.cdf(thinned[:, gene]) - law.pmf(thinned[:, gene]) / 2, "uniform").statistic < (
            0.04 if n > 1000 else 1
        )
    few = np.bincount(thinned[:, 2].astype(int), minlength=4)
    assert stats.chisquare(few, 3000 * stats.binom(3, 0.3).pmf(np.arange(4))).pvalue > 1e-4


def test_thinning_twice_is_thinning_once_by_the_product(cells):
    many = make_cells(np.full((4000, 3), 25, np.float32))
    twice = bulkgen.thin(bulkgen.thin(many, fraction=0.5, rng=1), fraction=0.4, rng=2).X.toarray().ravel().astype(int)
    expected = 12_000 * stats.binom(25, 0.2).pmf(np.arange(26))
    observed = np.bincount(twice, minlength=26)
    kept = expected > 5
    observed, expected = (
        np.append(observed[kept], observed[~kept].sum()),
        np.append(expected[kept], expected[~kept].sum()),
    )
    assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_rows_come_down_to_the_library_size_and_shallow_ones_stay(cells):
    sizes = np.where(np.arange(cells.n_obs) % 2, 100.0, 1e6)
    thinned = bulkgen.thin(cells, library_size=sizes, rng=3)
    totals = np.asarray(thinned.X.sum(axis=1)).ravel()
    assert np.array_equal(thinned.X[::2].toarray(), cells.X[::2].toarray())
    deep = np.asarray(cells.X.sum(axis=1)).ravel()[1::2] > 100
    assert deep.sum() > 50
    assert abs(totals[1::2][deep].mean() - 100) < 4 * np.sqrt(100 / deep.sum())
    assert thinned.obs.equals(cells.obs)
    assert thinned.X.dtype == np.float32
    assert provenance_of(thinned)["kind"] == "thinned"


def test_library_sizes_come_from_the_reference(cells):
    deep = make_cells(np.full((2000, 50), 1000, np.float32))
    reference = make_cells(np.repeat([[2], [8]], [30, 10], axis=0) * np.ones((40, 50), np.float32))
    totals = np.asarray(bulkgen.thin(deep, reference=reference, rng=4).X.sum(axis=1)).ravel()
    shallow = totals < 200
    assert abs(shallow.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)
    assert abs(totals[shallow].mean() - 100) < 1.5
    assert abs(totals[~shallow].mean() - 400) < 4


@pytest.mark.parametrize("backend", backend_names())
def test_neither_backend_nor_threads_change_a_bit(monkeypatch, cells, backend):
    expected = matrix_bytes(bulkgen.thin(cells, fraction=0.5, rng=7, threads=1).X)
    monkeypatch.setenv("BULKGEN_BACKEND", backend)
    for threads in (1, 3):
        assert matrix_bytes(bulkgen.thin(cells, fraction=0.5, rng=7, threads=threads).X) == expected
    assert matrix_bytes(bulkgen.thin(cells, fraction=0.5, rng=8).X) != expected


def test_pseudobulk_is_thinned_to_cells_of_its_stratum():
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.where(np.arange(1200)[:, None] < 600, 1.0, 4.0), (1200, 60)).astype(np.float32)
    cells = make_cells(counts, label=np.repeat(["low", "high"], 600))
    thinned = bulkgen.pseudobulk(cells, by="label", k=10, thin=True, rng=1)
    sums = bulkgen.pseudobulk(cells, by="label", k=10, strategy="sum", rng=1)
    assert thinned.obs_names.equals(sums.obs_names)
    assert sp.issparse(thinned.X)
    assert thinned.X.dtype == np.int64
    assert (thinned.X > sums.X).nnz == 0
    for label, mean in (("low", 60), ("high", 240)):
        totals = thinned.obs["psbulk_counts"][thinned.obs["label"] == label]
        # the variance of a cell's total and that of thinning
        assert abs(totals.mean() - mean) < 4 * np.sqrt(2 * mean / 60)
    dense = bulkgen.pseudobulk(cells, by="label", k=10, thin=True, sparse=False, rng=1)
    assert np.array_equal(dense.X, thinned.X.toarray())
    with pytest.raises(ValueError, match="strategy must be 'sum', got 'mean'"):
        bulkgen.pseudobulk(cells, by="label", k=10, thin=True, strategy="mean")


def test_wrong_arguments_are_named(cells):
    for options, words in (
        ({}, "pass one of library_size, fraction and reference, got none"),
        ({"fraction": 0.5, "library_size": 10}, "got library_size and fraction"),
        ({"fraction": 0.0}, r"fraction must be in \(0, 1\], got 0.0"),
        ({"fraction": 1.5}, "got 1.5"),
        ({"library_size": -1}, "library_size must be above 0, got -1"),
        ({"reference": make_cells(np.zeros((3, 50), np.float32))}, "no reference cell with counts"),
    ):
        with pytest.raises(ValueError, match=words):
            bulkgen.thin(cells, **options)
    with pytest.raises(ValueError, match="counts above 2"):
        bulkgen.thin(make_cells(np.full((1, 2), 2.0**25)), fraction=0.5)
    logged = cells.copy()
    logged.X = np.log1p(logged.X)
    with pytest.raises(CountsError, match="log-normalised"):
        bulkgen.thin(logged, fraction=0.5)
