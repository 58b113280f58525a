"""Pseudo-bulk: exact sums, the three strategies, and what each group is called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import bulkgen
from bulkgen.aggregate import pseudobulk
from bulkgen.errors import CountsError, LabelError
from bulkgen.group_sums import group_sums
from bulkgen.kernels import backend_names
from bulkgen.splits import Groups, k_groups, strata_of
from count_cases import labelled_cells, make_cells, matrix_bytes, random_counts

SEEDS = st.integers(0, 10**6)


def indicator(groups: Groups, n_cells: int) -> sp.csr_matrix:
    """Groups x cells: 1 where a cell is in a group."""
    return sp.csr_matrix(
        (np.ones(groups.rows.size, np.int64), groups.rows, groups.offsets), shape=(groups.offsets.size - 1, n_cells)
    )


def groups_of(adata, *, seed=0, **options) -> Groups:
    """The groups that pseudobulk makes of these cells by ``label``."""
    key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    return k_groups(strata_of(adata.obs, "label"), rng=np.random.SeedSequence(key), **options)


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    sizes=st.lists(st.integers(6, 30), min_size=1, max_size=3),
    k=st.floats(1, 6),
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.uint16]),
    remainder=st.sampled_from(["merge", "keep", "drop"]),
)
def test_sums_are_the_product_with_the_groups_exactly(seed, sizes, k, dtype, remainder):
    adata = labelled_cells(seed, {f"L{i}": n for i, n in enumerate(sizes)}, n_genes=9, dtype=dtype)
    result = pseudobulk(adata, by="label", k=k, cv=0, strategy="sum", remainder=remainder, rng=seed)
    groups = groups_of(adata, seed=seed, k=k, cv=0, remainder=remainder)
    expected = indicator(groups, adata.n_obs) @ adata.X.astype(np.int64)
    assert result.X.dtype == np.int64
    assert result.X.has_canonical_format
    assert np.all(result.X.data > 0)
    assert np.array_equal(result.X.toarray(), expected.toarray())
    assert result.obs["psbulk_counts"].tolist() == expected.toarray().sum(axis=1).tolist()
    assert result.obs["n_obs_aggregated"].tolist() == result.obs["psbulk_cells"].tolist() == groups.sizes().tolist()
    if remainder == "drop":
        assert result.obs["psbulk_cells"].sum() == adata.n_obs - groups.dropped
    else:
        assert np.array_equal(np.asarray(result.X.sum(axis=0)), np.asarray(adata.X.sum(axis=0, dtype=np.int64)))


def test_sums_too_large_for_32_bits_or_for_float32_are_exact():
    for dtype, largest in ((np.int32, 2**31 - 1), (np.float32, 2.0**31 - 2**7), (np.uint32, 2**32 - 1)):
        X = np.full((7, 2), largest, dtype)
        X[:, 1] = 16777213
        result = pseudobulk(make_cells(X, label=["a"] * 7), by="label", k=7, cv=0, strategy="sum")
        assert result.X.toarray().tolist() == [[7 * int(largest), 7 * 16777213]]


def test_sums_beyond_64_bits_do_not_wrap():
    X = np.array([[2.0**62, 1], [2.0**62, 2], [2.0**62, 0]])
    result = pseudobulk(make_cells(X, label=["a"] * 3), by="label", k=3, cv=0, strategy="sum")
    assert result.X.toarray().tolist() == [[3 * 2.0**62, 3]]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, k=st.floats(1, 8))
def test_the_strategies_are_one_sum_on_three_scales(seed, k):
    adata = labelled_cells(seed, {"A": 20, "B": 25})
    total, mean_k, mean = (
        pseudobulk(adata, by="label", k=k, strategy=strategy, rng=seed) for strategy in ("sum", "mean_k", "mean")
    )
    assert total.X.dtype == np.int64
    sizes = total.obs["psbulk_cells"].to_numpy()
    sums = total.X.toarray()
    assert mean_k.X.dtype == mean.X.dtype == np.float64
    assert np.array_equal(mean_k.X.toarray(), sums / k)
    assert np.array_equal(mean.X.toarray(), sums / sizes[:, None])
    for other in (mean_k, mean):
        assert other.obs.equals(total.obs)
        assert other.var.equals(total.var)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, k=st.integers(2, 9), ties=st.booleans())
def test_the_strategies_give_a_rank_based_model_the_same_tokens(seed, k, ties):
    adata = labelled_cells(seed, {"A": 40, "B": 40}, n_genes=40, mean=3.0)
    rng = np.random.default_rng(seed)
    # among simple fractions, genes whose ratios of count to median are equal abound
    medians = rng.choice([0.5, 0.75, 1.0, 1.5, 3.0], 40) if ties else rng.lognormal(0, 1, 40)
    vocabulary = bulkgen.Vocabulary(
        name="test",
        tokens={gene: i + 2 for i, gene in enumerate(adata.var_names)},
        medians=dict(zip(adata.var_names, medians.tolist(), strict=True)),
        pad=0,
        mask=1,
        cls=None,
        eos=None,
        context=64,
        mapping=None,
    )
    pseudo = [pseudobulk(adata, by="label", k=k, strategy=strategy) for strategy in ("sum", "mean_k", "mean")]
    flat = [bulkgen.tokenize(cells, vocabulary=vocabulary).flat() for cells in pseudo]
    sums = pseudo[0].X.toarray()
    group = np.repeat(np.arange(len(sums)), np.diff(flat[0][1]))
    ratios = [sums[group, tokens - 2] / medians[tokens - 2] for tokens, _ in flat]
    for (tokens, offsets), ratio in zip(flat[1:], ratios[1:], strict=True):
        assert np.array_equal(offsets, flat[0][1])
        if ties:
            # only genes whose ratios are equal may change places: dividing by the size rounds, and breaks the tie
            assert ratio == pytest.approx(ratios[0], rel=1e-15)
        else:
            assert np.array_equal(tokens, flat[0][0])


def test_rounding_is_half_to_even_and_leaves_no_stored_zeros():
    X = np.array([[1, 0, 3, 1, 5], [2, 1, 4, 0, 5]], np.float32)
    result = pseudobulk(make_cells(X, label=["a", "a"]), by="label", k=2, cv=0, round=True)
    assert result.X.dtype == np.int64
    assert result.X.toarray().tolist() == [[2, 0, 4, 0, 5]]  # 1.5, 0.5, 3.5, 0.5, 5
    assert result.X.nnz == 3
    assert result.obs["psbulk_counts"].tolist() == [22]


def test_rounding_makes_the_strategies_differ_and_leaves_sums_alone():
    adata = labelled_cells(1, {"A": 60})
    options = {"by": "label", "k": 6, "cv": 0.4}
    rounded = {s: pseudobulk(adata, strategy=s, round=True, **options).X.toarray() for s in ("sum", "mean_k", "mean")}
    assert np.array_equal(rounded["sum"], pseudobulk(adata, strategy="sum", **options).X.toarray())
    assert not np.array_equal(rounded["mean"], rounded["mean_k"])
    assert np.array_equal(rounded["mean"], np.rint(pseudobulk(adata, **options).X.toarray()))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, strategy=st.sampled_from(["sum", "mean_k", "mean"]))
def test_k_of_one_is_the_identity(seed, strategy):
    adata = labelled_cells(seed, {"A": 9, "B": 1, "C": 14})
    result = pseudobulk(adata, by="label", k=1, cv=0, strategy=strategy, rng=seed)
    assert list(result.obs_names) == list(adata.obs_names)
    assert list(result.var_names) == list(adata.var_names)
    assert result.obs["label"].astype(object).tolist() == adata.obs["label"].tolist()
    assert np.array_equal(result.X.toarray(), adata.X.toarray())


def test_groups_are_named_after_their_first_cell_and_their_size():
    adata = make_cells(np.ones((5, 2), np.float32), label=["a", "b", "a", "a", "b"])
    result = pseudobulk(adata, by="label", k=3, cv=0, strategy="sum", remainder="keep")
    assert result.obs_names.tolist() == ["c0+2", "c1+1"]
    single = pseudobulk(adata[:3].copy(), by="label", k=2, cv=0, strategy="sum", remainder="keep")
    assert single.obs_names.tolist() == ["c0+1", "c1"]


def test_the_order_of_the_cells_of_a_group_does_not_matter():
    matrix = random_counts(3, 60, 11)
    groups = k_groups(strata_of(pd.DataFrame({"label": ["a", "b"] * 30}), "label"), k=7)
    rows = groups.rows.copy()
    for first, last in zip(groups.offsets[:-1], groups.offsets[1:], strict=True):
        rows[first:last] = np.random.default_rng(first).permutation(rows[first:last])
    assert not np.array_equal(rows, groups.rows)
    other = Groups(rows, groups.offsets, groups.stratum, groups.dropped)
    assert matrix_bytes(group_sums(matrix, other)) == matrix_bytes(group_sums(matrix, groups))


def test_fractional_values_are_added_in_the_order_of_the_cells():
    matrix = sp.csr_matrix(np.array([[0.1, 0], [0.2, 1], [0.3, 0]]))
    groups = Groups(np.arange(3), np.array([0, 3]), np.array([0]), 0)
    result = group_sums(matrix, groups)
    assert result.dtype == np.float64
    assert result.toarray().tolist() == [[0.1 + 0.2 + 0.3, 1.0]]


def test_groups_keep_to_every_combination_of_the_columns():
    adata = labelled_cells(2, {"A": 40, "B": 40})
    adata.obs["dose"] = pd.Categorical(adata.obs["dose"], categories=["low", "high", "never"], ordered=True)
    adata.obs["batch"] = np.arange(80) % 2
    result = pseudobulk(adata, by=["label", "dose", "batch"], k=4, strategy="sum")
    assert list(result.obs) == ["label", "dose", "batch", "n_obs_aggregated", "psbulk_cells", "psbulk_counts"]
    for column in ("label", "dose", "batch"):
        assert isinstance(result.obs[column].dtype, pd.CategoricalDtype)
    assert list(result.obs["dose"].cat.categories) == ["low", "high", "never"]
    by = ["label", "dose", "batch"]
    cells = adata.obs.assign(n=np.asarray(adata.X.sum(axis=1)).ravel()).groupby(by, observed=True)["n"].sum()
    pseudo = result.obs.groupby(by, observed=True)["psbulk_counts"].sum()
    assert cells.astype(int).tolist() == pseudo.tolist()


@pytest.mark.parametrize("strategy", ["sum", "mean"])
def test_neither_backend_nor_threads_nor_storage_change_a_bit(monkeypatch, strategy):
    adata = labelled_cells(4, {"A": 150, "B": 77, "C": 31}, n_genes=60)
    options = {"by": ["label", "dose"], "k": 5, "strategy": strategy, "rng": 9}
    expected = pseudobulk(adata, threads=1, **options)
    for backend in backend_names():
        monkeypatch.setenv("BULKGEN_BACKEND", backend)
        for threads in (1, 2, 3, 16):
            result = pseudobulk(adata, threads=threads, **options)
            assert matrix_bytes(result.X) == matrix_bytes(expected.X)
            assert result.obs.equals(expected.obs)
    for container in (np.asarray, sp.csc_matrix, sp.csr_array):
        other = adata.copy()
        dense = adata.X.toarray()
        other.X = container(dense.astype(np.int32))
        assert matrix_bytes(pseudobulk(other, **options).X) == matrix_bytes(expected.X)


def test_the_input_is_not_changed():
    adata = labelled_cells(5, {"A": 40, "B": 40})
    before, obs, uns = matrix_bytes(adata.X), adata.obs.copy(), dict(adata.uns)
    result = pseudobulk(adata, by="label", k=1, cv=0, strategy="sum")
    result.X.data[:] = 0
    result.var["new"] = 1
    assert matrix_bytes(adata.X) == before
    assert adata.obs.equals(obs)
    assert adata.obs.dtypes.equals(obs.dtypes)
    assert dict(adata.uns) == uns
    assert "new" not in adata.var


def test_views_give_what_their_copies_give():
    adata = labelled_cells(6, {"A": 40, "B": 40})
    view = adata[adata.obs["dose"] == "low", list(adata.var_names[::-1])]
    assert matrix_bytes(pseudobulk(view, by="label", k=3).X) == matrix_bytes(pseudobulk(view.copy(), by="label", k=3).X)


def test_gene_annotation_and_order_are_kept():
    adata = labelled_cells(6, {"A": 40})
    adata.var["symbol"] = [f"S{i}" for i in range(adata.n_vars)]
    assert pseudobulk(adata, by="label").var.equals(adata.var)


def test_cells_without_counts_are_aggregated_like_any_other():
    result = pseudobulk(
        make_cells(sp.csr_matrix((6, 3), dtype=np.float32), label=["a"] * 6), by="label", k=3, cv=0, strategy="mean"
    )
    assert result.X.nnz == 0
    assert result.obs["psbulk_counts"].tolist() == [0, 0]


def test_dropped_cells_are_counted_in_the_record():
    adata = labelled_cells(6, {"A": 13, "B": 11})
    result = pseudobulk(adata, by="label", k=5, cv=0, remainder="drop")
    assert '"cells_dropped": 4' in result.uns["bulkgen"]["parameters"]


def test_wrong_arguments_are_named_before_any_work():
    adata = labelled_cells(0, {"A": 20})
    for options, words in (
        ({"strategy": "median"}, "strategy must be 'sum', 'mean_k' or 'mean', got 'median'"),
        ({"k": 0}, "k must be"),
        ({"cv": 2}, "cv must be"),
        ({"remainder": "x"}, "remainder must be"),
        ({"threads": 0}, "threads must be at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            pseudobulk(adata, **{"by": "label", **options})
    with pytest.raises(LabelError, match="no column 'drug'"):
        pseudobulk(adata, by="drug")
    with pytest.raises(LabelError, match="stratum 'A' has 20 cell"):
        pseudobulk(adata, by="label", k=21)
    adata.X = np.log1p(adata.X)
    with pytest.raises(CountsError, match="log-normalised"):
        pseudobulk(adata, by="label")


@pytest.mark.parametrize("strategy", ["sum", "mean_k", "mean"])
@pytest.mark.parametrize("round_means", [False, True])
def test_dense_pseudo_bulk_is_the_sparse_one(strategy, round_means):
    adata = labelled_cells(8, {"A": 60, "B": 41})
    options = {"by": "label", "k": 4, "strategy": strategy, "round": round_means}
    dense, sparse = pseudobulk(adata, sparse=False, **options), pseudobulk(adata, **options)
    assert isinstance(dense.X, np.ndarray)
    assert dense.X.dtype == sparse.X.dtype
    assert np.array_equal(dense.X, sparse.X.toarray())
    assert dense.obs.equals(sparse.obs)


@pytest.mark.parametrize("limit", [0, 1 << 22])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_sums_made_sparse_or_dense_of_any_counts_are_the_same(monkeypatch, limit, threads):
    monkeypatch.setattr("bulkgen.group_sums._SMALL_DENSE", limit)
    matrix = random_counts(3, 90, 31)
    matrix.data[::5] = 0  # explicit zeros
    unsorted = matrix.copy()
    for row in range(90):
        entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
        unsorted.indices[entries] = matrix.indices[entries][::-1]
        unsorted.data[entries] = matrix.data[entries][::-1]
    groups = k_groups(strata_of(pd.DataFrame({"label": ["a"] * 90}), "label"), k=30)
    for counts in (matrix, unsorted, matrix * 0.3):
        expected = np.add.reduceat(counts.toarray().astype(np.float64)[groups.rows], groups.offsets[:-1])
        sums = group_sums(counts, groups, threads=threads)
        assert np.all(sums.data > 0)
        assert sums.toarray() == pytest.approx(expected, rel=1e-12)
        out = np.full(expected.shape, -1, sums.dtype)
        assert group_sums(counts, groups, out=out, threads=threads) is out
        assert out.tobytes() == sums.toarray().tobytes()


def test_an_array_that_cannot_hold_the_sums_is_refused():
    matrix = random_counts(3, 90, 31)
    groups = k_groups(strata_of(pd.DataFrame({"label": ["a"] * 90}), "label"), k=30)
    for out in (np.zeros((1, 31), np.int64), np.zeros((groups.offsets.size - 1, 31), np.int32)):
        with pytest.raises(ValueError, match="out must be"):
            group_sums(matrix, groups, out=out)
    with pytest.raises(ValueError, match="pass float64"):
        group_sums(matrix * 0.5, groups, out=np.zeros((groups.offsets.size - 1, 31), np.int64))
