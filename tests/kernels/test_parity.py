"""Both backends give the same bits, for every type, and however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.sampling import AliasTable
from kernel_cases import (
    INDEX_TYPES,
    VALUE_TYPES,
    VARIATES,
    cell_plans,
    cells_of,
    draw,
    moments_integer,
    moments_real,
    profile,
    random_csr,
    random_groups,
    same_bits,
    sampled_paths_agree,
    sums,
    thinned,
    tokens,
    variates,
)

pytestmark = pytest.mark.skipif(len(backend_names()) < 2, reason="this installation has one backend only")

N_GENES = 130
all_types = pytest.mark.parametrize(
    ("value", "index"), [(value, index) for value in VALUE_TYPES for index in INDEX_TYPES]
)


@pytest.fixture(params=["baseline", "x86-64-v3", "x86-64-v4"])
def backends(request):
    """The native backend at each instruction-set level, and Numba."""
    native = get_kernels("native")
    if request.param not in native.levels:
        pytest.skip(f"this processor or build has no {request.param}")
    before = native.level
    native.use_level(request.param)
    yield native, get_kernels("numba")
    native.use_level(before)


def all_same(first, second):
    return all(same_bits(a, b) for a, b in zip(first, second, strict=True))


@all_types
@pytest.mark.parametrize("seed", range(3))
def test_group_moments_are_the_same_bits(backends, value, index, seed):
    csr = random_csr(seed, value=value, index=index)
    groups = random_groups(seed, 40, 6)
    assert all_same(*(moments_integer(kernels, csr, groups, N_GENES) for kernels in backends))
    fractional = random_csr(seed, value=value, index=index, fractional=np.issubdtype(value, np.floating))
    assert all_same(*(moments_real(kernels, fractional, groups, N_GENES) for kernels in backends))


@all_types
@pytest.mark.parametrize("sum_type", [np.int64, np.float64])
def test_group_sums_are_the_same_bits(backends, value, index, sum_type):
    fractional = sum_type is np.float64 and np.issubdtype(value, np.floating)
    csr = random_csr(5, value=value, index=index, fractional=fractional)
    groups = random_groups(5, 40, 6)
    assert all_same(*(sums(kernels, csr, groups, N_GENES, sum_type) for kernels in backends))


@pytest.mark.parametrize(
    ("value", "index", "token_type"),
    [(value, index, np.int32) for value in VALUE_TYPES for index in INDEX_TYPES]
    # the width of a token is that of one store
    + [(np.float32, np.int32, np.int16), (np.int64, np.int64, np.int16)],
)
@pytest.mark.parametrize("first_column", [(), np.arange(N_GENES) // 3 * 3], ids=["alone", "merged"])
def test_rank_tokens_are_the_same_bits(backends, value, index, token_type, first_column):
    rng = np.random.default_rng(1)
    token = np.where(rng.random(N_GENES) < 0.8, np.arange(4, N_GENES + 4), -1).astype(np.int32)
    median = rng.choice([0.5, 1.0, 1.7, 3.0], N_GENES)  # few values: many ties
    if len(first_column):
        token, median = token[first_column], median[first_column]
    fractional = np.issubdtype(value, np.floating)
    csr = random_csr(9, value=value, index=index, density=0.6, fractional=fractional)
    for most_genes, cls, eos in [(2048, -1, -1), (12, 2, 3), (0, 2, 3), (1, -1, 3)]:
        options = {"most_genes": most_genes, "cls": cls, "eos": eos, "token_type": token_type}
        assert all_same(*(tokens(kernels, csr, token, median, first_column, **options) for kernels in backends))


@all_types
def test_long_rows_are_ranked_to_the_same_bits(backends, value, index):
    # both sizes of digits, with and without a cut
    rng = np.random.default_rng(2)
    token, median = np.arange(6000, dtype=np.int32), rng.lognormal(0, 1, 6000)
    csr = random_csr(4, cells=3, genes=6000, density=0.7, value=value, index=index)
    for most_genes in (100, 1500, 6000):
        assert all_same(*(tokens(kernels, csr, token, median, most_genes=most_genes) for kernels in backends))


@all_types
def test_check_csr_reports_the_same(backends, value, index):
    indptr, indices, data = random_csr(3, value=value, index=index)
    places = np.random.default_rng(2).integers(0, data.size, 6).tolist()
    reports = []
    for kernels in backends:
        for fault, where in enumerate(places):
            pointers, columns, values = indptr.copy(), indices.copy(), data.copy()
            if fault == 0:
                values[where] = -1
            elif fault == 1:
                columns[where] = N_GENES
            elif fault == 2:
                columns[where] = -3
            elif fault == 3:
                pointers[1 + where % (pointers.size - 2)] = 10**6
            elif np.issubdtype(value, np.floating):
                values[where] = np.nan if fault == 4 else 0.25
            reports.append(
                kernels.check_csr(pointers, columns, values, n_columns=N_GENES, first_row=0, last_row=indptr.size - 1)
            )
    assert reports[:6] == reports[6:]
    assert reports[0].negative >= 0
    assert reports[1].bad_index >= 0
    assert reports[2].bad_index >= 0
    assert reports[3].bad_pointer_row >= 0


def test_the_sampled_paths_are_the_same_bits(backends):
    assert sampled_paths_agree(*backends)


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize("sampler", ["rejection", "inverse"])
def test_cells_do_not_depend_on_threads_or_chunks(backend, sampler):
    kernels = get_kernels(backend)
    whole = draw(kernels, sampler, cells=33)
    for threads in (2, 3, 8):
        assert same_bits(draw(kernels, sampler, cells=33, threads=threads), whole)
    pieces = [draw(kernels, sampler, cells=n, first_cell=start) for start, n in ((0, 1), (1, 20), (21, 12))]
    assert same_bits(np.concatenate(pieces), whole)


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize("sampler", ["rejection", "inverse"])
def test_a_gene_does_not_depend_on_the_genes_beside_it(backend, sampler):
    from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian

    kernels = get_kernels(backend)
    alone, crowded = np.empty((2, 50, 64), np.float32)
    mean = np.full(64, 0.1)
    draw_truncated_gaussian(plan_truncated_gaussian(mean, 0.3, 0, 5, sampler=sampler), alone, key=3, kernels=kernels)
    mean[:32] = -4.0  # half of the genes reject nearly always
    draw_truncated_gaussian(plan_truncated_gaussian(mean, 0.3, 0, 5, sampler=sampler), crowded, key=3, kernels=kernels)
    assert same_bits(alone[:, 32:].copy(), crowded[:, 32:].copy())
    assert not np.array_equal(alone[:, :32], crowded[:, :32])


@pytest.mark.parametrize("case", VARIATES, ids=str)
def test_variates_are_the_same_bits(backends, case):
    first, second = (variates(kernels, case) for kernels in backends)
    assert same_bits(first, second)
    assert same_bits(first[2:], variates(backends[0], case, cells=2, first_cell=2))


@pytest.mark.parametrize("n_genes", [1, 2, 3, 64, 700])
def test_alias_tables_are_the_same_bits(backends, n_genes):
    weights = profile(n_genes, seed=n_genes)
    weights[-1] = 1
    first, second = (AliasTable.of(weights, kernels=kernels) for kernels in backends)
    assert same_bits(first.threshold, second.threshold)
    assert same_bits(first.other, second.other)


@pytest.mark.parametrize("law", ["multinomial", "poisson", "dirichlet_multinomial", "poisson_log_normal"])
def test_sparse_cells_are_the_same_bits_however_they_are_cut(backends, law):
    first, second = (cells_of(cell_plans(kernels)[law], kernels) for kernels in backends)
    assert all_same(first, second)
    assert first[0].min() == 0  # the library of size 0
    for kernels in backends:
        plan = cell_plans(kernels)[law]
        # a buffer with room for few cells at a time, and cells in pieces
        assert all_same(first, cells_of(plan, kernels, room=700))
        pieces = [
            cells_of(plan, kernels, cells=n, first_cell=2**40 - 3 + start) for start, n in ((0, 1), (1, 17), (18, 12))
        ]
        assert all_same(first, [np.concatenate(parts) for parts in zip(*pieces, strict=True)])


@all_types
def test_thinned_rows_are_the_same_bits(backends, value, index):
    csr = random_csr(8, cells=60, genes=900, value=value, index=index)
    csr[2][::7] *= 1000
    probability = np.random.default_rng(0).random(60)
    probability[:4] = [0.0, 1.0, 1e-9, 1 - 1e-9]
    first, second = (thinned(kernels, csr, probability) for kernels in backends)
    assert first[0] == second[0] == 60
    assert all_same(first[1:], second[1:])
    for kernels in backends:
        part = thinned(kernels, (csr[0][20:41], *csr[1:]), probability[20:40], first_cell=25)
        begin, end = first[1][20], first[1][40]
        assert all_same(part[2:], (first[2][begin:end], first[3][begin:end]))
