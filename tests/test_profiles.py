"""Bulk profiles and moments against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkgen.errors import CountsError, LabelError
from bulkgen.io import canonical_counts, provenance_of, read, write
from bulkgen.kernels import backend_names
from bulkgen.profiles import bulk_profiles, gene_moments
from count_cases import labelled_cells, make_cells, matrix_bytes, random_counts

FIELDS = ("n", "nonzeros", "sum", "mean", "variance", "max")


def moments_of(dense, codes, n_strata, **options):
    matrix = canonical_counts(np.asarray(dense), require_integers=False)
    return gene_moments(matrix, np.asarray(codes, np.int64), n_strata, **options)


def exact_variance(values) -> Fraction:
    values = [Fraction(value) for value in values]
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def ulps(value: float, exact: Fraction) -> float:
    """Distance in units in the last place."""
    return float(abs(Fraction(value) - exact) / Fraction(float(np.spacing(float(exact))))) if exact else float(value)


def same_bits(a, b) -> bool:
    return all(getattr(a, field).tobytes() == getattr(b, field).tobytes() for field in FIELDS)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), most=st.sampled_from([1, 3, 1000, 10**6, 10**9]))
def test_integer_moments_are_exact(data, most):
    n_cells = data.draw(st.integers(1, 9))
    cells = data.draw(
        st.lists(
            st.lists(st.integers(0, most) | st.just(0) | st.just(most), min_size=3, max_size=3),
            min_size=n_cells,
            max_size=n_cells,
        )
    )
    codes = data.draw(st.lists(st.integers(-1, 2), min_size=n_cells, max_size=n_cells))
    dtype = data.draw(st.sampled_from([np.int32, np.int64, np.float64]))
    dense = np.array(cells, dtype)
    moments = moments_of(dense, codes, 3)
    for stratum in range(3):
        members = [row for row, code in zip(cells, codes, strict=True) if code == stratum]
        assert moments.n[stratum] == len(members)
        for gene in range(3):
            values = [row[gene] for row in members]
            assert moments.nonzeros[stratum, gene] == sum(value > 0 for value in values)
            assert int(moments.sum[stratum, gene]) == sum(values)
            if not values:
                assert np.isnan(moments.mean[stratum, gene])
                continue
            assert moments.mean[stratum, gene] == float(Fraction(sum(values), len(values)))
            assert moments.max[stratum, gene] == max(values)
            if len(values) == 1:
                assert np.isnan(moments.variance[stratum, gene])
            else:
                assert ulps(moments.variance[stratum, gene], exact_variance(values)) <= 2


def test_the_variance_of_large_counts_keeps_its_digits_where_the_float_formula_loses_them():
    # counts just below 2^31 that differ by ones: n Σx² and (Σx)² agree in their first 18 digits
    n = 2
    counts = np.array([2**31 - 1, 2**31 - 2])
    moments = moments_of(counts[:, None], np.zeros(n), 1)
    assert moments.variance[0, 0] == 0.5
    # a thousand cells at a million counts
    n = 1000
    counts = 1_000_000 + np.arange(n) % 3
    moments = moments_of(counts[:, None], np.zeros(n), 1)
    exact = exact_variance(counts.tolist())
    naive = (n * np.sum(counts.astype(float) ** 2) - np.sum(counts.astype(float)) ** 2) / (n * (n - 1))
    assert ulps(moments.variance[0, 0], exact) <= 2
    assert ulps(float(naive), exact) > 1000


def test_the_variance_is_exact_also_where_its_numerator_needs_128_bits():
    # n Σx² is around 2^65, beyond 64 bits; 400 genes, so that the two products carry and borrow in every way
    counts = np.random.default_rng(3).integers(0, 10**9, (9, 400))
    moments = moments_of(counts, np.zeros(9), 1)
    for gene in range(400):
        assert ulps(moments.variance[0, gene], exact_variance(counts[:, gene].tolist())) <= 2


@pytest.mark.parametrize("n", [3, 100])
def test_counts_whose_squares_do_not_fit_64_bits_are_still_right(n):
    rng = np.random.default_rng(0)
    counts = rng.integers(2**40, 2**41, (n, 2))
    moments = moments_of(counts, np.zeros(n), 1)
    for gene in range(2):
        exact = exact_variance(counts[:, gene].tolist())
        assert moments.variance[0, gene] == pytest.approx(float(exact), rel=1e-12)
        assert moments.sum[0, gene] == pytest.approx(int(counts[:, gene].sum()), rel=1e-15)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_cells=st.integers(2, 40),
    zeros=st.floats(0, 1),
    offset=st.sampled_from([0.0, 1.0, 1e6]),
)
def test_fractional_moments_are_those_of_two_passes(seed, n_cells, zeros, offset):
    rng = np.random.default_rng(seed)
    dense = (rng.gamma(0.5, 3, (n_cells, 4)) + offset) * (rng.random((n_cells, 4)) >= zeros)
    codes = rng.integers(0, 2, n_cells)
    moments = moments_of(dense, codes, 2)
    for stratum in range(2):
        members = dense[codes == stratum]
        if len(members) < 2:
            assert np.isnan(moments.variance[stratum]).all()
            continue
        assert moments.mean[stratum] == pytest.approx(members.mean(axis=0), rel=1e-12)
        # two passes: deviations from the mean, then their squares
        expected = [float(exact_variance(members[:, gene])) for gene in range(4)]
        assert moments.variance[stratum] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert np.array_equal(moments.max[stratum], members.max(axis=0))
        assert np.array_equal(moments.nonzeros[stratum], (members > 0).sum(axis=0))


def test_the_largest_count_is_zero_only_where_a_zero_is_the_largest():
    X = sp.csr_matrix((np.array([0.0, 4.0, 3.0]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 3))
    moments = gene_moments(canonical_counts(X, require_integers=True), np.zeros(2, np.int64), 1)
    assert moments.max.tolist() == [[0, 4, 0]]
    assert moments.nonzeros.tolist() == [[0, 2, 0]]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_the_cells_does_not_change_a_bit_of_integer_moments(seed):
    matrix = random_counts(seed, 50, 9, dtype=np.float64)
    codes = np.random.default_rng(seed).integers(-1, 3, 50)
    order = np.random.default_rng(seed + 1).permutation(50)
    assert same_bits(gene_moments(matrix, codes, 3), gene_moments(matrix[order], codes[order], 3))


@pytest.mark.parametrize("fractional", [False, True])
def test_neither_backend_nor_threads_nor_types_change_a_bit(monkeypatch, fractional):
    matrix = random_counts(1, 200, 40, dtype=np.float64)
    if fractional:
        matrix.data = matrix.data / 4
    codes = np.random.default_rng(1).integers(-1, 7, 200)
    expected = gene_moments(matrix, codes, 7, threads=1)
    for backend in backend_names():
        monkeypatch.setenv("BULKGEN_BACKEND", backend)
        for threads in (1, 2, 5):
            for dtype in (np.float32, np.float64) if fractional else (np.float32, np.float64, np.int32, np.int64):
                other = canonical_counts(matrix.astype(dtype), require_integers=False)
                assert same_bits(gene_moments(other, codes, 7, threads=threads), expected)


def test_profiles_hold_the_totals_and_the_moments_of_each_stratum():
    adata = labelled_cells(3, {"B": 30, "A": 20, "one": 1})
    before = matrix_bytes(adata.X)
    profiles = bulk_profiles(adata, by="label")
    assert profiles.obs_names.tolist() == ["A", "B", "one"]
    assert profiles.X.dtype == np.int64
    dense = adata.X.toarray().astype(np.int64)
    for i, label in enumerate(profiles.obs_names):
        members = dense[(adata.obs["label"] == label).to_numpy()]
        assert np.array_equal(profiles.X[i], members.sum(axis=0))
        assert np.array_equal(profiles.layers["mean"][i], members.sum(axis=0) / len(members))
        assert np.array_equal(profiles.layers["max"][i], members.max(axis=0))
        assert np.array_equal(profiles.layers["detection"][i], (members > 0).mean(axis=0))
        if len(members) > 1:
            assert profiles.layers["variance"][i] == pytest.approx(members.var(axis=0, ddof=1), rel=1e-12, abs=1e-15)
    assert np.isnan(profiles.layers["variance"][2]).all()
    assert profiles.obs["n_obs_aggregated"].tolist() == profiles.obs["psbulk_cells"].tolist() == [20, 30, 1]
    assert profiles.obs["psbulk_counts"].tolist() == profiles.X.sum(axis=1).tolist()
    assert profiles.X.sum() == dense.sum()
    assert profiles.var.equals(adata.var)
    assert matrix_bytes(adata.X) == before


def test_profiles_by_two_columns_are_one_per_combination():
    adata = labelled_cells(3, {"A": 30, "B": 30})
    profiles = bulk_profiles(adata, by=["label", "dose"])
    assert profiles.obs_names.tolist() == ["A | high", "A | low", "B | high", "B | low"]
    assert profiles.obs["label"].astype(str).tolist() == ["A", "A", "B", "B"]
    assert provenance_of(profiles)["kind"] == "bulk_profiles"
    assert np.array_equal(profiles.X.sum(axis=0), np.asarray(adata.X.sum(axis=0)).ravel())


def test_profiles_survive_a_file(tmp_path):
    profiles = bulk_profiles(labelled_cells(3, {"A": 30, "one": 1}), by="label")
    write(profiles, tmp_path / "bulk.h5ad")
    back = read(tmp_path / "bulk.h5ad")
    assert matrix_bytes(back.X) == matrix_bytes(profiles.X)
    for name, layer in profiles.layers.items():
        assert matrix_bytes(back.layers[name]) == matrix_bytes(layer)


def test_profiles_of_cells_that_are_no_counts_are_refused():
    adata = labelled_cells(3, {"A": 30})
    with pytest.raises(LabelError, match="no column 'drug'"):
        bulk_profiles(adata, by="drug")
    adata.X = adata.X / 2
    with pytest.raises(CountsError, match="whole numbers"):
        bulk_profiles(adata, by="label")
    with pytest.raises(CountsError, match="negative"):
        bulk_profiles(make_cells(np.array([[-1.0]]), label=["a"]), by="label")
