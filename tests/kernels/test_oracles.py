"""The kernels compute what slow, plain definitions compute."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkgen.kernels import backend_names, get_kernels
from kernel_cases import moments_integer, moments_real, random_csr, random_groups, sums

both = pytest.mark.parametrize("backend", backend_names())


def dense(csr, genes):
    return sp.csr_matrix((csr[2], csr[1], csr[0]), shape=(csr[0].size - 1, genes)).toarray()


@both
@given(seed=st.integers(0, 10**6), cells=st.integers(2, 30), genes=st.integers(1, 80), n_groups=st.integers(2, 7))
@settings(max_examples=40)
def test_group_sums_are_the_sums_of_the_dense_rows(backend, seed, cells, genes, n_groups):
    csr = random_csr(seed, cells=cells, genes=genes)
    rows, offsets = random_groups(seed, cells, n_groups)
    indptr, indices, data, counts = sums(get_kernels(backend), csr, (rows, offsets), genes, np.int64)
    # explicit zeros got slots, which hold zeros
    assert data.size - np.count_nonzero(data) == indptr[-1] - counts.sum()
    result = sp.csr_matrix((data, indices, indptr), shape=(n_groups, genes))
    result.eliminate_zeros()
    assert np.diff(result.indptr).tolist() == counts.tolist()
    assert result.has_canonical_format
    matrix = dense(csr, genes).astype(np.int64)
    for group in range(n_groups):
        members = rows[offsets[group] : offsets[group + 1]]
        assert np.array_equal(result[group].toarray()[0], matrix[members].sum(axis=0))
    assert np.all(result.data > 0)


@both
@given(seed=st.integers(0, 10**6), genes=st.integers(1, 60))
@settings(max_examples=30)
def test_integer_moments_are_exact(backend, seed, genes):
    csr = random_csr(seed, cells=25, genes=genes, value=np.int64)
    rows, offsets = random_groups(seed, 25, 4)
    nonzeros, total, squares, largest = moments_integer(get_kernels(backend), csr, (rows, offsets), genes)
    matrix = dense(csr, genes)
    for group in range(4):
        members = matrix[rows[offsets[group] : offsets[group + 1]]]
        assert np.array_equal(nonzeros[group], (members != 0).sum(axis=0))
        assert np.array_equal(total[group], members.sum(axis=0))
        assert np.array_equal(squares[group], (members**2).sum(axis=0))
        assert np.array_equal(largest[group], members.max(axis=0, initial=0))


@both
@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_running_moments_are_those_of_exact_fractions(backend, seed):
    csr = random_csr(seed, cells=25, genes=20, value=np.float64, fractional=True)
    rows, offsets = random_groups(seed, 25, 3)
    nonzeros, total, mean, squares, _ = moments_real(get_kernels(backend), csr, (rows, offsets), 20)
    matrix = dense(csr, 20)
    for group in range(3):
        for gene in range(20):
            values = [Fraction(v) for v in matrix[rows[offsets[group] : offsets[group + 1]], gene] if v != 0]
            assert nonzeros[group, gene] == len(values)
            if values:
                exact_mean = sum(values) / len(values)
                exact = sum((v - exact_mean) ** 2 for v in values)
                assert total[group, gene] == pytest.approx(float(sum(values)), rel=1e-13)
                assert mean[group, gene] == pytest.approx(float(exact_mean), rel=1e-13)
                assert squares[group, gene] == pytest.approx(float(exact), rel=1e-11, abs=1e-24)


@both
def test_running_moments_survive_a_large_common_offset(backend):
    # E[x²] − E[x]² would lose every digit here
    values = 1e9 + np.array([0.25, 0.5, 0.75, 1.0])
    csr = (np.arange(5, dtype=np.int64), np.zeros(4, np.int32), values)
    *_, squares, _ = moments_real(get_kernels(backend), csr, (np.arange(4), np.array([0, 4])), 1)
    assert squares[0, 0] == pytest.approx(0.3125, rel=1e-6)
