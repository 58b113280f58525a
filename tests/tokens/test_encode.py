"""Tokens are what the definition says, however the counts are held, and differ from the reference where documented."""

from __future__ import annotations

import warnings
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulkgen.errors import CountsError, GeneOverlapError, LabelError, OutputExistsError
from bulkgen.tokens import TokenDataset, tokenize
from bulkgen.tokens.genes import resolve
from oracle.rank_tokens import collapse, rank_tokens

GENES = [f"ENSG{i:011d}" for i in range(1, 13)]
LAWS = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COUNTS = npst.arrays(np.int64, st.tuples(st.integers(1, 6), st.just(12)), elements=st.integers(0, 9))


def cells_of(X, genes=None):
    index = [f"c{i}" for i in range(X.shape[0])]
    names = pd.Index(GENES[: X.shape[1]] if genes is None else genes, dtype=object)
    with warnings.catch_warnings():
        # anndata warns of what several tests are about
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        return ad.AnnData(X=X, obs=pd.DataFrame(index=index), var=pd.DataFrame(index=names))


def lists(dataset):
    return dataset.table["input_ids"].to_pylist()


def expected(X, vocabulary, genes=GENES):
    """The oracle, from the dense matrix: tokens and counts of every cell."""
    resolved = [resolve(gene, vocabulary) for gene in genes]
    token = [-1 if gene is None else vocabulary.tokens[gene] for gene in resolved]
    median = [1.0 if gene is None else vocabulary.medians[gene] for gene in resolved]
    special = {"cls": -1 if vocabulary.cls is None else vocabulary.cls}
    special["eos"] = -1 if vocabulary.eos is None else vocabulary.eos
    return [
        rank_tokens(collapse(row, resolved), token, median, most_genes=vocabulary.max_genes, **special)
        for row in X.tolist()
    ]


@LAWS
@given(X=COUNTS, counts=st.booleans())
def test_tokens_follow_the_definition(X, counts, backend, plain_vocabulary, mapped_vocabulary):
    genes = [GENES[0], "ISG15", "x", *GENES[2:9], "ENSG00000999999", f"{GENES[1]}.3"]
    for vocabulary in (plain_vocabulary, mapped_vocabulary):
        dataset = tokenize(cells_of(X, genes), vocabulary=vocabulary, keep_empty=True, counts=counts)
        oracle = expected(X, vocabulary, genes)
        assert lists(dataset) == [tokens for tokens, _ in oracle]
        np.testing.assert_array_equal(dataset.lengths, [len(tokens) for tokens, _ in oracle])
        if counts:
            for i, (_, values) in enumerate(oracle):
                scaled = np.array(values) * (10_000 / max(X[i].sum(), 1))
                np.testing.assert_allclose(dataset.counts(i), scaled, rtol=3e-7)


@LAWS
@given(
    X=npst.arrays(np.float64, (4, 12), elements=st.floats(0, 1e6).map(lambda x: 0.0 if x < 1e-3 else x)),
)
def test_fractional_counts_follow_the_definition(X, plain_vocabulary):
    dataset = tokenize(cells_of(X), vocabulary=plain_vocabulary, keep_empty=True, allow_fractional=True)
    assert lists(dataset) == [tokens for tokens, _ in expected(X, plain_vocabulary)]


@LAWS
@given(X=COUNTS, powers=st.lists(st.integers(-3, 9), min_size=6, max_size=6))
def test_tokens_do_not_depend_on_the_scale_of_a_cell(X, powers, plain_vocabulary):
    scaled = X * 2.0 ** np.array(powers[: len(X)])[:, None]
    options = {"vocabulary": plain_vocabulary, "keep_empty": True, "allow_fractional": True}
    assert lists(tokenize(cells_of(scaled), **options)) == lists(tokenize(cells_of(X), **options))


@LAWS
@given(X=COUNTS, times=st.integers(1, 40))
def test_the_sum_of_equal_cells_has_their_tokens(X, times, plain_vocabulary):
    options = {"vocabulary": plain_vocabulary, "keep_empty": True}
    assert lists(tokenize(cells_of(X * times), **options)) == lists(tokenize(cells_of(X), **options))


@LAWS
@given(X=COUNTS, seed=st.integers(0, 1000))
def test_the_order_of_cells_changes_nothing_but_the_order_of_rows(X, seed, mapped_vocabulary):
    order = np.random.default_rng(seed).permutation(len(X))
    options = {"vocabulary": mapped_vocabulary, "keep_empty": True}
    before, after = tokenize(cells_of(X), **options), tokenize(cells_of(X)[order].copy(), **options)
    assert lists(after) == [lists(before)[i] for i in order]
    assert after.column("cell_id").tolist() == [f"c{i}" for i in order]


@LAWS
@given(X=COUNTS, seed=st.integers(0, 1000))
def test_the_order_of_columns_matters_in_ties_alone(X, seed, plain_vocabulary):
    vocabulary = replace(plain_vocabulary, context=12)
    order = np.random.default_rng(seed).permutation(12)
    before = tokenize(cells_of(X), vocabulary=vocabulary, keep_empty=True)
    after = tokenize(cells_of(X[:, order], [GENES[i] for i in order]), vocabulary=vocabulary, keep_empty=True)
    for i in range(len(X)):
        a, b = before.input_ids(i), after.input_ids(i)
        assert sorted(a) == sorted(b)
        value = {vocabulary.tokens[gene]: X[i, j] / vocabulary.medians[gene] for j, gene in enumerate(GENES) if X[i, j]}
        assert [value[t] for t in a] == [value[t] for t in b] == sorted(value.values(), reverse=True)


def big(seed=0, cells=300, dtype=np.int64):
    return np.random.default_rng(seed).poisson(0.6, size=(cells, 12)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64, np.uint8, np.uint16, np.int8, bool])
def test_tokens_do_not_depend_on_the_number_type(dtype, backend, plain_vocabulary):
    X = big().clip(0, 1) if dtype is bool else big()
    reference = lists(tokenize(cells_of(X), vocabulary=plain_vocabulary))
    assert lists(tokenize(cells_of(sp.csr_matrix(X.astype(dtype))), vocabulary=plain_vocabulary)) == reference


def test_tokens_do_not_depend_on_how_the_matrix_is_held(tmp_path, mapped_vocabulary):
    genes = [*GENES[:10], "ISG15", "ACTB"]  # two genes have two columns: the reference crashes on dense X here
    X = big()
    reference = tokenize(cells_of(X, genes), vocabulary=mapped_vocabulary, counts=True)
    assert reference.summary.genes_collapsed == 2
    shuffled = sp.csr_matrix(X)
    for i in range(X.shape[0]):
        row = slice(shuffled.indptr[i], shuffled.indptr[i + 1])
        shuffled.indices[row], shuffled.data[row] = shuffled.indices[row][::-1].copy(), shuffled.data[row][::-1].copy()
    shuffled.has_sorted_indices = False
    wide = sp.csr_matrix(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    held = {
        "csr": sp.csr_matrix(X),
        "csr array": sp.csr_array(X),
        "csc": sp.csc_matrix(X),
        "fortran": np.asfortranarray(X),
        "unsorted": shuffled,
        "int64 indices": wide,
    }
    for name, matrix in held.items():
        found = tokenize(cells_of(matrix, genes), vocabulary=mapped_vocabulary, counts=True)
        assert found.table.equals(reference.table), name
    for name, matrix in {"csr": sp.csr_matrix(X), "csc": sp.csc_matrix(X), "dense": X}.items():
        file = tmp_path / f"{name}.h5ad"
        cells_of(matrix, genes).write_h5ad(file)
        assert tokenize(file, vocabulary=mapped_vocabulary, counts=True).table.equals(reference.table), name
        backed = ad.read_h5ad(file, backed="r")
        assert tokenize(backed, vocabulary=mapped_vocabulary, counts=True).table.equals(reference.table), name
        backed.file.close()


class Lazy:
    """A matrix that gives rows only on request, as Dask's does."""

    def __init__(self, X, log):
        self.X, self.log, self.shape, self.dtype = X, log, X.shape, X.dtype

    def __getitem__(self, rows):
        return Lazy(self.X[rows], self.log)

    def compute(self):
        self.log.append(self.shape[0])
        return self.X


class LazyCells:
    """As much of an AnnData as tokenize reads, with a lazy X."""

    def __init__(self, adata, log):
        self.X, self.obs, self.var, self.uns = Lazy(adata.X, log), adata.obs, adata.var, adata.uns
        self.n_obs, self.obs_names, self.var_names = adata.n_obs, adata.obs_names, adata.var_names


def test_a_lazy_matrix_is_read_by_blocks_and_errors_name_the_cell(monkeypatch, plain_vocabulary):
    monkeypatch.setattr("bulkgen.tokens.encoder.CELLS_PER_BLOCK", 64)
    cells = cells_of(sp.csr_matrix(big()))
    log = []
    found = tokenize(LazyCells(cells, log), vocabulary=plain_vocabulary)
    assert log == [64, 64, 64, 64, 44]
    assert lists(found) == lists(tokenize(cells, vocabulary=plain_vocabulary))
    cells.X = cells.X.astype(np.float64)
    cells.X.data[cells.X.indptr[100]] = np.nan
    with pytest.raises(CountsError, match=r"c100"):
        tokenize(LazyCells(cells, log), vocabulary=plain_vocabulary)


@pytest.mark.parametrize("rows", [1, 7, 299, 300, 1000])
def test_tokens_do_not_depend_on_blocks_or_threads(rows, monkeypatch, backend, mapped_vocabulary):
    genes = [*GENES[:11], "ISG15"]
    cells = cells_of(sp.csr_matrix(big()), genes)
    reference = tokenize(cells, vocabulary=mapped_vocabulary, counts=True, threads=1)
    monkeypatch.setattr("bulkgen.tokens.encoder.CELLS_PER_BLOCK", rows)
    for threads in (1, 3, 16):
        found = tokenize(cells, vocabulary=mapped_vocabulary, counts=True, threads=threads)
        assert found.table.equals(reference.table)
        assert found.summary == reference.summary


def test_the_input_is_not_changed(mapped_vocabulary):
    X = sp.csr_matrix(big())
    X.data[3] = 0
    cells = cells_of(X, [*GENES[:11], "ISG15"])
    before = cells.copy()
    assert tokenize(cells, vocabulary=mapped_vocabulary, counts=True).summary.genes_collapsed == 1
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(cells.X, part), getattr(before.X, part))
    pd.testing.assert_frame_equal(cells.var, before.var)


def test_small_vocabularies_take_two_bytes_a_token_and_large_ones_four(plain_vocabulary):
    limit = replace(plain_vocabulary, tokens=plain_vocabulary.tokens | {GENES[11]: 2**15 - 1})
    beyond = replace(plain_vocabulary, tokens=plain_vocabulary.tokens | {GENES[11]: 2**15})
    for vocabulary, kind in ((limit, pa.int16()), (beyond, pa.int32())):
        dataset = tokenize(cells_of(big()), vocabulary=vocabulary)
        assert dataset.table.schema.field("input_ids").type == pa.list_(kind)
        assert vocabulary.tokens[GENES[11]] in dataset.flat()[0]
        assert lists(dataset) == [t for t, _ in expected(big(), vocabulary) if t]


# --- where bulkgen differs from the reference, row by row of the table in the design ---


def test_versioned_ids_keep_their_gene_and_are_reported(plain_vocabulary):
    dataset = tokenize(cells_of(np.array([[1, 5]]), [f"{GENES[0]}.5", GENES[1]]), vocabulary=plain_vocabulary)
    assert lists(dataset) == [[3, 2]]
    assert dataset.summary.genes_versioned == 1


def test_two_columns_with_one_id_are_summed_and_give_the_gene_once(plain_vocabulary):
    # 3/1 < 7/2 < (3 + 1)/1: the sum decides the rank
    X = np.array([[3, 7, 1]])
    dataset = tokenize(cells_of(X, [GENES[0], GENES[1], GENES[0]]), vocabulary=plain_vocabulary)
    assert lists(dataset) == [[2, 3]]
    assert lists(tokenize(cells_of(X[:, :2], GENES[:2]), vocabulary=plain_vocabulary)) == [[3, 2]]
    assert (dataset.summary.genes_mapped, dataset.summary.genes_collapsed) == (3, 1)


def test_two_ids_of_one_gene_are_summed_even_where_the_first_has_no_count(mapped_vocabulary):
    dataset = tokenize(cells_of(np.array([[0, 4, 3]]), ["ISG15", GENES[1], "G1P2"]), vocabulary=mapped_vocabulary)
    assert lists(dataset) == [[2, 4, 5, 3]]


def test_many_columns_of_one_gene_sum_exactly(plain_vocabulary):
    # float32 would lose the ones: 2**24 + 1 is not a float32
    X = np.array([[2**24, 1, 1, 1, 2**25]], dtype=np.float32)
    genes = [GENES[0]] * 4 + [GENES[1]]
    dataset = tokenize(cells_of(X, genes), vocabulary=plain_vocabulary)
    assert lists(dataset) == [[2, 3]]  # 2**24 + 3 > 2**25 / 2


def test_explicit_zeros_are_dropped(plain_vocabulary):
    X = sp.csr_matrix(np.array([[1, 2, 3]]))
    X.data[1] = 0
    assert lists(tokenize(cells_of(X), vocabulary=plain_vocabulary)) == [[4, 2]]
    X.data[:] = 0
    dataset = tokenize(cells_of(X), vocabulary=plain_vocabulary, keep_empty=True)
    assert lists(dataset) == [[]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("held", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_values_that_are_no_counts_name_the_first_offender(bad, held, plain_vocabulary):
    X = big(dtype=np.float64)
    X[7, 3], X[9, 2] = bad, bad
    with pytest.raises(CountsError, match=rf"c7.*{GENES[3]}"):
        tokenize(cells_of(held(X)), vocabulary=plain_vocabulary)


def test_library_sizes_are_computed_over_all_columns_whatever_obs_says(plain_vocabulary):
    cells = cells_of(np.array([[30, 60, 10]]), [GENES[0], "unknown", GENES[1]])
    with_n_counts = cells.copy()
    with_n_counts.obs["n_counts"] = [7.0]
    for each in (cells, with_n_counts):
        dataset = tokenize(each, vocabulary=plain_vocabulary, counts=True)
        assert lists(dataset) == [[2, 3]]
        np.testing.assert_array_equal(dataset.counts(0), np.float32([3000, 1000]))


def test_counts_of_special_tokens_are_zero(mapped_vocabulary):
    dataset = tokenize(cells_of(np.array([[1, 9]])), vocabulary=mapped_vocabulary, counts=True)
    assert lists(dataset) == [[2, 5, 4, 3]]
    np.testing.assert_array_equal(dataset.counts(0), np.float32([0, 9000, 1000, 0]))
    with pytest.raises(KeyError, match="counts=True"):
        tokenize(cells_of(np.array([[1, 9]])), vocabulary=mapped_vocabulary).counts(0)


@pytest.mark.parametrize("counts", [False, True])
def test_empty_cells_are_dropped_counted_and_listed(counts, plain_vocabulary, mapped_vocabulary):
    X = big(cells=30)
    X[::2] = 0
    X[1::2, 0] = 1
    X[4, 11] = 9  # a count, but of no gene of the vocabulary
    genes = [*GENES[:11], "unknown"]
    for vocabulary in (plain_vocabulary, mapped_vocabulary):
        dataset = tokenize(cells_of(X, genes), vocabulary=vocabulary, counts=counts)
        summary = dataset.summary
        assert (summary.cells_in, summary.cells_out, summary.cells_dropped_empty) == (30, 15, 15)
        assert summary.empty_cells == tuple(f"c{i}" for i in range(0, 20, 2))
        assert dataset.column("cell_id").tolist() == [f"c{i}" for i in range(1, 30, 2)]
        oracle = expected(X, vocabulary, genes)
        assert lists(dataset) == [oracle[i][0] for i in range(1, 30, 2)]
        kept = tokenize(cells_of(X, genes), vocabulary=vocabulary, keep_empty=True, counts=counts)
        assert (kept.summary.cells_out, kept.summary.cells_kept_empty) == (30, 15)
        assert kept.summary.cells_dropped_empty == 0
        assert lists(kept) == [tokens for tokens, _ in oracle]
        assert lists(kept)[0] == ([] if vocabulary.cls is None else [2, 3])
        if counts:
            np.testing.assert_array_equal(np.concatenate([kept.counts(i) for i in range(1, 30, 2)]),
                                          np.concatenate([dataset.counts(i) for i in range(15)]))  # fmt: skip


def test_the_mapped_fraction_is_reported_warned_about_and_refused(plain_vocabulary):
    def tokens(known, of):
        X = np.ones((1, of), dtype=np.int64)
        return tokenize(
            cells_of(X, [*GENES[:known], *(f"S{i}" for i in range(of - known))]), vocabulary=plain_vocabulary
        )

    assert tokens(3, 4).summary.mapped_fraction == 0.75
    with pytest.warns(UserWarning, match=r"only 3 of 8 columns \(37\.5%\)") as caught:
        tokens(3, 8)
    assert caught[0].filename == __file__
    with pytest.raises(GeneOverlapError):
        tokens(1, 20)


def test_labels_are_sorted_whatever_their_order_in_the_data(plain_vocabulary, make_cells):
    X = big(cells=6).clip(1, None)
    labels = ["b", "a", "c", "a", "B", "b"]
    for values in (labels, pd.Categorical(labels, categories=["c", "b", "B", "a", "unused"])):
        dataset = tokenize(make_cells(X, obs={"kind": values}), vocabulary=plain_vocabulary, label="kind")
        assert dataset.label_names == ("B", "a", "b", "c")
        assert dataset.label_values.tolist() == labels


# --- the rest of the contract ---


def test_log_normalised_values_are_refused_with_a_remedy(plain_vocabulary, make_cells):
    X = np.log1p(big(dtype=np.float64) * 3.7)
    with pytest.raises(CountsError, match=r"looks log-normalised.*allow_fractional=True \(--allow-fractional\)"):
        tokenize(make_cells(X), vocabulary=plain_vocabulary)
    assert len(tokenize(make_cells(X), vocabulary=plain_vocabulary, allow_fractional=True)) > 0


def test_fractional_counts_pass_where_they_are_large_or_of_bulkgens_making(plain_vocabulary, make_cells):
    X = big(dtype=np.float64) / 3
    with pytest.raises(CountsError, match="log-normalised"):
        tokenize(make_cells(X, uns={"bulkgen": {"kind": "split"}}), vocabulary=plain_vocabulary)
    made = {"kind": "pseudobulk", "bulkgen_version": "0.1.0"}
    dataset = tokenize(make_cells(X, uns={"bulkgen": made}), vocabulary=plain_vocabulary)
    assert dataset.provenance == made
    split = {"kind": "split", "history": '{"kind": "pseudobulk"}'}
    assert len(tokenize(make_cells(X, uns={"bulkgen": split}), vocabulary=plain_vocabulary)) == len(dataset)
    X[0, 0] = 20.5
    assert lists(tokenize(make_cells(X), vocabulary=plain_vocabulary)) == [
        tokens for tokens, _ in expected(X, plain_vocabulary) if tokens
    ]


def test_saturated_cells_are_counted(plain_vocabulary):
    X = np.zeros((4, 12), dtype=np.int64)
    for i, n in enumerate([4, 5, 6, 12]):
        X[i, :n] = 1
    summary = tokenize(cells_of(X), vocabulary=plain_vocabulary).summary
    assert summary.cells_saturated == 3
    assert (summary.tokens_total, summary.tokens_max, summary.tokens_median) == (19, 5, 5.0)
    assert summary.tokens_mean == 19 / 4


def test_a_label_that_every_cell_loses_is_refused(plain_vocabulary, make_cells):
    X = np.array([[1, 0], [0, 0], [0, 0]])
    cells = make_cells(X, obs={"kind": ["a", "b", "b"]})
    with pytest.raises(LabelError, match=r"every cell of 'b' in 'kind' is empty"):
        tokenize(cells, vocabulary=plain_vocabulary, label="kind")
    assert tokenize(cells, vocabulary=plain_vocabulary, label="kind", keep_empty=True).label_names == ("a", "b")


def test_nothing_to_tokenize_is_an_error(plain_vocabulary, make_cells):
    with pytest.raises(CountsError, match="none of the 2 cells expresses"):
        tokenize(make_cells(np.zeros((2, 3), dtype=np.int64)), vocabulary=plain_vocabulary)
    with pytest.raises(CountsError, match="no cells"):
        tokenize(make_cells(np.zeros((0, 3), dtype=np.int64)), vocabulary=plain_vocabulary)
    without = ad.AnnData(obs=pd.DataFrame(index=["c0"]), var=pd.DataFrame(index=GENES))
    with pytest.raises(CountsError, match="no matrix X"):
        tokenize(without, vocabulary=plain_vocabulary)


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (["a", None, "b"], 1),
        (pd.Categorical(["a", None, None]), 2),
        ([1.0, np.nan, 2.0], 1),
        (["a", "", " "], 2),
        (pd.array([1, None, 3], dtype="Int64"), 1),
    ],
)
def test_cells_without_a_label_are_refused_and_counted(values, missing, plain_vocabulary, make_cells):
    cells = make_cells(np.ones((3, 2), dtype=np.int64), obs={"kind": values})
    with pytest.raises(LabelError, match=rf"{missing} of 3 cells have no value in obs\['kind'\]"):
        tokenize(cells, vocabulary=plain_vocabulary, label="kind")


def test_a_missing_label_column_says_what_there_is(plain_vocabulary, make_cells):
    cells = make_cells(np.ones((1, 2), dtype=np.int64), obs={"a": ["x"], "b": ["y"]})
    with pytest.raises(LabelError, match=r"obs has no column 'kind'; columns: 'a', 'b'"):
        tokenize(cells, vocabulary=plain_vocabulary, label="kind")


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (["absent"], ValueError, "obs has no column 'absent'; columns: 'kind', 'length', 'label', 'mixed'"),
        (["length"], ValueError, "has the name of a column of tokens"),
        (["label"], ValueError, "'label' would hide the class ids"),
        (["mixed"], ValueError, r"obs\['mixed'\].*several kinds.*astype\(str\)"),
        ("kind", TypeError, r"write \['kind'\]"),
    ],
)
def test_columns_that_cannot_come_along_are_refused(columns, error, message, plain_vocabulary, make_cells):
    obs = {"kind": ["a", "b"], "length": [1, 2], "label": ["x", "y"], "mixed": pd.Series(["a", 1.5], dtype=object)}
    cells = make_cells(np.ones((2, 2), dtype=np.int64))
    cells.obs = pd.DataFrame({name: list(values) for name, values in obs.items()}, index=["c0", "c1"])
    with pytest.raises(error, match=message):
        tokenize(cells, vocabulary=plain_vocabulary, label="kind", columns=columns)


def test_vocabulary_and_path_exclude_each_other(plain_vocabulary, tmp_path):
    with pytest.raises(ValueError, match="pass one of the two"):
        tokenize(cells_of(big()), vocabulary=plain_vocabulary, vocabulary_path=tmp_path)
    file = plain_vocabulary.save(tmp_path)
    assert tokenize(cells_of(big()), vocabulary=file).vocabulary == plain_vocabulary


def test_an_existing_output_is_refused_before_any_work(tmp_path, plain_vocabulary):
    with pytest.raises(OutputExistsError):
        tokenize("no such file.h5ad", vocabulary=plain_vocabulary, out=tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        tokenize("no such file.h5ad", vocabulary=plain_vocabulary)


def test_cells_are_read_and_written_by_blocks(tmp_path, monkeypatch, mapped_vocabulary, make_cells):
    X = big(cells=2500)
    cells = make_cells(sp.csr_matrix(X), obs={"kind": ["ab"[i % 2] for i in range(2500)]})
    file = tmp_path / "cells.h5ad"
    cells.write_h5ad(file)
    expected_table = tokenize(cells, vocabulary=mapped_vocabulary, label="kind", counts=True).table
    monkeypatch.setattr("bulkgen.tokens.encoder.CELLS_PER_BLOCK", 700)
    dataset = tokenize(file, vocabulary=mapped_vocabulary, label="kind", counts=True, out=tmp_path / "cells.dataset")
    assert isinstance(dataset, TokenDataset)
    assert dataset.table.equals(expected_table)
    assert not dataset.input_ids(0).flags.owndata


def test_gene_sets_are_checked_before_counts_are_read(plain_vocabulary):
    cells = cells_of(np.full((1, 3), -1), ["x", "y", "z"])
    with pytest.raises(GeneOverlapError), warnings.catch_warnings():
        tokenize(cells, vocabulary=plain_vocabulary)
