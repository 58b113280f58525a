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
@pytest.mark.parametrize("genes", [(0, 130), (0, 60), (60, 130), (10, 20)])
def test_columns_out_of_range_are_never_followed(backend, column, genes):
    """The outputs are surrounded by guards: a write outside the range of genes would change them."""
    indptr, indices, data = random_csr(0)
    kernels = get_kernels(backend)
    first, last = genes
    for place in (indptr[1] - 1, indptr[1] // 2, 0):
        wild = indices.copy()
        wild[place] = column
        refused = False
        for kernel, fields, dtype in (
            (kernels.group_sums_dense, 1, np.int64),
            (kernels.group_sums_dense, 1, np.float64),
            (kernels.group_moments_integer, 4, np.int64),
            (kernels.group_moments_real, 5, np.float64),
        ):
            guarded = np.full((4, 130, fields), 7, dtype)
            out = guarded[1:3]
            out[:, first:last] = 0
            added = kernel(
                indptr,
                wild,
                data,
                *GROUPS,
                out,
                n_genes=130,
                first_group=0,
                last_group=2,
                first_gene=first,
                last_gene=last,
            )
            refused = added.bad_row == 0
            assert np.all(guarded[[0, 3]] == 7)
            assert np.all(guarded[:, :first] == 7)
            assert np.all(guarded[:, last:] == 7)
        if genes == (0, 130):
            assert refused
    counts = np.zeros(2, np.int64)
    ends = {"n_genes": 130, "first_group": 0, "last_group": 2}
    assert kernels.group_sums_count(indptr, wild, data, *GROUPS, counts, **ends).bad_row == 0
    columns, values, pointers = np.zeros(200, np.int32), np.zeros(200, np.int64), np.array([0, 100, 200])
    assert kernels.group_sums(indptr, wild, data, *GROUPS, pointers, columns, values, counts, **ends).bad_row == 0


@both
def test_ranges_of_genes_refuse_every_unsorted_row_between_them(backend):
    """Each thread looks at its own genes; what no thread looked at could hide."""
    indices = np.arange(0, 130, 2, dtype=np.int32)
    indptr, data = np.array([0, indices.size], np.int64), np.ones(indices.size, np.float32)
    kernels, rng = get_kernels(backend), np.random.default_rng(0)
    groups = (np.zeros(1, np.int64), np.array([0, 1], np.int64))
    for _ in range(200):
        wild = indices.copy()
        some = rng.integers(0, wild.size, rng.integers(1, 5))
        wild[some] = rng.integers(-3, 135, some.size)
        cuts = [0, *np.sort(rng.integers(0, 131, 3)).tolist(), 130]
        bad = bool(np.any(np.diff(wild) <= 0) or wild[0] < 0 or wild[-1] >= 130)
        refused = [
            kernels.group_sums_dense(
                indptr,
                wild,
                data,
                *groups,
                np.zeros((1, 130)),
                n_genes=130,
                first_group=0,
                last_group=1,
                first_gene=first,
                last_gene=last,
            ).bad_row
            == 0
            for first, last in zip(cuts[:-1], cuts[1:], strict=True)
        ]
        assert any(refused) == bad


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
    for pointers in ([0, 1, 2], [0, 1, 3], [0, -1, 2], [-1, 0, 2], [0, 2, 1]):
        out = np.empty(2, np.int32), np.empty(2, np.int64), np.empty(2, np.int64)
        with pytest.raises(ValueError, match="out_indptr"):
            kernels.group_sums(*csr, *GROUPS, np.array(pointers), *out, **args)
    genes = {"first_gene": 0, "last_gene": 130}
    with pytest.raises(ValueError, match="accumulator"):
        kernels.group_moments_integer(*csr, *GROUPS, np.zeros((1, 130, 4), np.int64), **args, **genes)
    with pytest.raises(ValueError, match="groups x n_genes"):
        kernels.group_sums_dense(*csr, *GROUPS, np.zeros((1, 130)), **args, **genes)
    with pytest.raises(ValueError, match="gene range"):
        kernels.group_sums_dense(*csr, *GROUPS, np.zeros((2, 130)), **args, first_gene=3, last_gene=131)


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


@both
@pytest.mark.parametrize("median", [-1.0, 0.0, np.nan])
def test_medians_that_would_pass_for_marks_are_refused(backend, median):
    indptr, indices, data = random_csr(0)
    lengths, genes = np.zeros((2, indptr.size - 1), np.int64)
    medians = np.ones(130)
    medians[7] = median
    with pytest.raises(ValueError, match="median"):
        get_kernels(backend).rank_tokens(
            indptr,
            indices,
            data,
            np.arange(130, dtype=np.int32),
            medians,
            np.empty(0, np.int32),
            np.empty(10_000, np.int16),
            np.empty(0, np.float32),
            lengths,
            genes,
            most_genes=50,
            cls=-1,
            eos=-1,
            first_row=0,
            last_row=lengths.size,
        )


@pytest.mark.skipif("native" not in backend_names(), reason="this installation has no compiled core")
def test_sizes_whose_product_wraps_are_refused():
    kernels, csr = get_kernels("native"), random_csr(0)
    for genes in (2**63, 2**62, 2**31):
        ends = {"n_genes": genes, "first_group": 0, "last_group": 2, "first_gene": 0, "last_gene": genes}
        for kernel, out in (
            (kernels.group_sums_dense, np.zeros((2, 0))),
            (kernels.group_moments_integer, np.zeros((2, 0, 4), np.int64)),
            (kernels.group_moments_real, np.zeros((2, 0, 5))),
        ):
            with pytest.raises((ValueError, OverflowError, TypeError)):
                kernel(*csr, *GROUPS, out, **ends)
