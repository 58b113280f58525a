"""A kernel called with arrays that do not fit together raises and writes nothing outside them."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from kernel_cases import random_csr, sums

both = pytest.mark.parametrize("backend", backend_names())
GROUPS = (np.array([0, 1, 2], np.int64), np.array([0, 2, 3], np.int64))


def call_sums(kernels, csr, groups, genes=130):
    return sums(kernels, csr, groups, genes, np.int64)


@both
@pytest.mark.parametrize(
    "change",
    [
        lambda p, i, d: (p + 1, i, d),
        lambda p, i, d: (np.where(np.arange(p.size) == 3, 10**9, p), i, d),
        lambda p, i, d: (np.where(np.arange(p.size) == 3, -1, p), i, d),
        lambda p, i, d: (p, i[:-1].copy(), d),
        lambda p, i, d: (p[:0].copy(), i, d),
    ],
    ids=["shifted", "beyond the end", "negative", "too few columns", "empty"],
)
def test_malformed_matrices_are_refused(backend, change):
    csr = change(*random_csr(0))
    with pytest.raises(ValueError, match=r"indptr|indices"):
        call_sums(get_kernels(backend), csr, GROUPS)


@both
@pytest.mark.parametrize("column", [-1, -(2**31), 130, 2**31 - 1])
def test_columns_out_of_range_are_skipped_not_followed(backend, column):
    indptr, indices, data = random_csr(0)
    kernels = get_kernels(backend)
    wild = indices.copy()
    wild[indptr[1] - 1] = column
    kept = np.ones(indices.size, bool)
    kept[indptr[1] - 1] = False
    shorter = np.where(np.arange(indptr.size) >= 1, indptr - 1, indptr)
    expected = call_sums(kernels, (shorter, indices[kept], data[kept]), GROUPS)
    for got, wanted in zip(call_sums(kernels, (indptr, wild, data), GROUPS), expected, strict=True):
        assert np.array_equal(got, wanted)


@both
@pytest.mark.parametrize(
    "groups",
    [
        (np.array([0, 40]), np.array([0, 2])),
        (np.array([0, -1]), np.array([0, 2])),
        (np.array([0, 1]), np.array([0, 3])),
        (np.array([0, 1]), np.array([0, 2, 1, 2])),
    ],
    ids=["row beyond", "negative row", "offset beyond", "decreasing offsets"],
)
def test_malformed_groups_are_refused(backend, groups):
    with pytest.raises(ValueError, match=r"rows|offsets"):
        call_sums(get_kernels(backend), random_csr(0), groups)


@both
def test_outputs_that_do_not_fit_are_refused(backend):
    kernels, csr = get_kernels(backend), random_csr(0)
    args = {"n_genes": 130, "first_group": 0, "last_group": 2}
    with pytest.raises(ValueError, match="out_indptr"):
        kernels.group_sums(*csr, *GROUPS, np.array([0, 1, 2]), np.empty(2, np.int32), np.empty(2, np.int64), **args)
    accumulators = [np.zeros(130, np.int64)] * 3 + [np.zeros(130)]
    with pytest.raises(ValueError, match="accumulator"):
        kernels.group_moments_integer(*csr, *GROUPS, *accumulators, **args)


@both
def test_wrong_types_are_refused_not_converted(backend):
    kernels = get_kernels(backend)
    indptr, indices, data = random_csr(0)
    for csr in (
        (indptr.astype(np.int32), indices, data),
        (indptr, indices.astype(np.int16), data),
        (indptr, indices, data.astype(np.float16)),
        (indptr, indices, np.repeat(data, 2)[::2]),
    ):
        with pytest.raises(TypeError):
            call_sums(kernels, csr, GROUPS)
