"""The record of where an object came from."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import bulkgen
from bulkgen.io import content_hash, provenance, provenance_of, read, write
from count_cases import labelled_cells, make_cells

NAMES = st.lists(st.text("ab|", max_size=3), min_size=2, max_size=2)


def renamed(adata, cells=None, genes=None):
    adata = adata.copy()
    if cells is not None:
        adata.obs_names = cells
    if genes is not None:
        adata.var_names = genes
    return adata


@pytest.mark.parametrize("make", [np.array, sp.csr_matrix, sp.csc_matrix])
def test_the_hash_changes_with_every_count_and_name_and_with_nothing_else(make):
    dense = np.arange(6, dtype=np.float32).reshape(3, 2) % 4
    adata = make_cells(make(dense))
    original = content_hash(adata)
    assert len(original) == 32
    assert content_hash(adata.copy()) == original
    annotated = adata.copy()
    annotated.obs["label"] = ["a", "b", "c"]
    annotated.var["symbol"] = ["x", "y"]
    annotated.uns["note"] = "x"
    annotated.layers["more"] = dense
    assert content_hash(annotated) == original

    others = set()
    for cell in range(3):
        for gene in range(2):
            changed = dense.copy()
            changed[cell, gene] += 1
            others.add(content_hash(make_cells(make(changed))))
    others.add(content_hash(renamed(adata, cells=["c0", "c1", "x"])))
    others.add(content_hash(renamed(adata, genes=["g0", "x"])))
    others.add(content_hash(adata[[1, 0, 2]].copy()))
    others.add(content_hash(adata[:, [1, 0]].copy()))
    assert len(others) == 6 + 4
    assert original not in others


@settings(max_examples=60, deadline=None)
@given(cells=NAMES, genes=NAMES, other_cells=NAMES, other_genes=NAMES)
@pytest.mark.filterwarnings("ignore:.*names are not unique")
def test_two_pairs_of_name_lists_have_one_hash_only_if_they_are_equal(cells, genes, other_cells, other_genes):
    adata = make_cells(np.ones((2, 2)))
    same = (cells, genes) == (other_cells, other_genes)
    hashes = {content_hash(renamed(adata, cells, genes)), content_hash(renamed(adata, other_cells, other_genes))}
    assert (len(hashes) == 1) == same


def test_names_cannot_move_between_cells_and_genes_unnoticed():
    adata = make_cells(np.ones((2, 1)))
    assert content_hash(renamed(adata, ["a", "b"], ["c"])) != content_hash(renamed(adata, ["a", "bc"], [""]))


def test_a_matrix_and_its_transpose_differ_though_their_arrays_are_equal():
    X = sp.csr_matrix(np.array([[0, 1.0], [0, 2.0]]))
    transposed = X.T.tocsc()
    assert np.array_equal(X.indices, transposed.indices)
    names = ["a", "b"]
    hashes = {content_hash(renamed(make_cells(matrix), names, names)) for matrix in (X, transposed)}
    assert len(hashes) == 2


def test_other_number_types_have_other_hashes_even_where_their_bytes_are_equal():
    hashes = {content_hash(make_cells(np.zeros((2, 2), dtype))) for dtype in (np.float32, np.int32, np.uint32)}
    assert len(hashes) == 3


@pytest.mark.parametrize("X", [np.zeros((0, 3)), np.zeros((2, 0)), sp.csr_matrix((2, 3))], ids=["0x3", "2x0", "empty"])
def test_objects_without_counts_have_a_hash(X):
    assert len(content_hash(make_cells(X))) == 32


def test_a_record_survives_a_file(tmp_path):
    cells = labelled_cells(0, {"A": 20, "B": 20})
    pseudo = bulkgen.pseudobulk(cells, by=["label", "dose"], k=4, strategy="sum", rng=7)
    write(pseudo, tmp_path / "pseudo.h5ad")
    record = provenance_of(read(tmp_path / "pseudo.h5ad"))
    assert record == provenance_of(pseudo)
    assert record["kind"] == "pseudobulk"
    assert record["stream_version"] == bulkgen.STREAM_VERSION
    assert record["bulkgen_version"] == bulkgen.__version__
    assert record["input_hash"] == content_hash(cells)
    assert int(record["key"], 16) == np.random.SeedSequence(7).generate_state(1, np.uint64)[0]
    assert json.loads(record["parameters"]) == {
        "by": ["label", "dose"],
        "k": 4,
        "strategy": "sum",
        "cv": 0.1,
        "remainder": "merge",
        "round": False,
        "thin": False,
        "cells_dropped": 0,
    }


def test_what_came_before_is_kept_whether_or_not_it_passed_through_a_file(tmp_path):
    cells = labelled_cells(0, {"A": 20, "B": 20})
    sums = bulkgen.pseudobulk(cells, by="label", k=4, strategy="sum")
    write(sums, tmp_path / "sums.h5ad")
    direct = provenance("pseudobulk", {}, key=None, source=sums)
    through_file = provenance("pseudobulk", {}, key=None, source=read(tmp_path / "sums.h5ad"))
    assert direct == through_file
    assert json.loads(direct["history"]) == provenance_of(sums)
    assert "key" not in direct


def test_that_cells_are_simulated_is_never_lost():
    cells = labelled_cells(0, {"A": 20, "B": 20})
    cells.uns["bulkgen"] = {"kind": "simulated", "simulated": "by a test"}
    once = bulkgen.pseudobulk(cells, by="label", k=2, strategy="sum")
    twice = bulkgen.pseudobulk(once, by="label", k=2, strategy="sum")
    assert once.uns["bulkgen"]["simulated"] == twice.uns["bulkgen"]["simulated"] == "by a test"
    assert bulkgen.synthesize(cells, by="label", n_cells=2).uns["bulkgen"]["simulated"] == "by a test"


def test_cells_that_bulkgen_did_not_make_have_no_record():
    assert provenance_of(make_cells(np.ones((2, 2)))) is None


@pytest.mark.parametrize(
    "record",
    [
        "1.0",
        np.arange(2),
        {"parameters": "[1]"},
        {"parameters": "[" * 100_000},
        {"kind": np.array(["bulk_samples"] * 2)},
    ],
    ids=lambda record: str(record)[:20],
)
def test_what_is_no_record_is_told(tmp_path, record):
    cells = make_cells(np.ones((2, 2)))
    cells.obs["label"] = "a"
    cells.uns["bulkgen"] = record
    cells.write_h5ad(tmp_path / "cells.h5ad")
    for source in (cells, tmp_path / "cells.h5ad"):
        with pytest.raises(ValueError, match="no record that bulkgen made"):
            bulkgen.bulk_profiles(source, by="label")
