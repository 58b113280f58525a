"""Synthesizing straight to tokens gives exactly what synthesizing and then tokenizing gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bulkgen
from bulkgen.errors import GeneOverlapError, LabelError, OutputExistsError
from bulkgen.generators import FittedGenerator
from bulkgen.generators.truncated_gaussian import FittedTruncatedGaussian
from bulkgen.kernels import backend_names
from count_cases import labelled_cells

N_GENES = 400


@pytest.fixture(scope="module")
def cells():
    cells = labelled_cells(3, {"A": 60, "B": 50, "C": 40}, n_genes=N_GENES, mean=1.0)
    cells.obs["plate"] = pd.Categorical(np.where(np.arange(cells.n_obs) % 2, "p1", "p2"))
    return cells


@pytest.fixture(scope="module")
def vocabulary(cells):
    return bulkgen.Vocabulary.fit(cells[:, 3:].copy(), context=120)


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def two_ways(cells, vocabulary, tmp_path, *, n_cells=700, threads=None, label="label", columns=(), **options):
    """The folder written in one step and in two."""
    how = {"by": ["label", "plate"], "n_cells": n_cells, "rng": 5, "threads": threads, **options}
    bulkgen.synthesize(
        cells, to="tokens", vocabulary=vocabulary, label=label, columns=columns, out=tmp_path / "one", **how
    )
    synthetic = bulkgen.synthesize(cells, **how)
    bulkgen.tokenize(synthetic, vocabulary=vocabulary, label=label, columns=columns, out=tmp_path / "two")
    return folder_bytes(tmp_path / "one"), folder_bytes(tmp_path / "two")


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize(
    "options",
    [{}, {"sampler": "rejection"}, {"zero_mask": True}, {"round": True}, {"variance_from": "all", "threads": 3}],
    ids=str,
)
def test_one_step_writes_the_same_files_as_two(cells, vocabulary, tmp_path, backend, options, monkeypatch):
    monkeypatch.setenv("BULKGEN_BACKEND", backend)
    # 4,200 cells: batches of a thousand that strata do not divide
    one, two = two_ways(cells, vocabulary, tmp_path, columns=["plate", "synthetic"], **options)
    assert one == two
    assert len(one["data-00000-of-00001.arrow"]) > 4200 * 100


def test_strata_without_cells_and_columns_of_one_gene(cells, vocabulary, tmp_path):
    cells = cells.copy()
    # two columns of one gene: they are added before they are ranked
    names = cells.var_names.tolist()
    names[10] = f"{names[11]}.7" if names[11].startswith("ENS") else names[10]
    cells.var_names = names
    one, two = two_ways(cells, vocabulary, tmp_path, n_cells={"A | p1": 30, "C | p2": 5}, label="label")
    assert one == two
    assert json.loads(one["bulkgen.json"])["label_names"] == ["A", "C"]


def test_a_generator_without_a_kernel_for_tokens_gives_the_same(cells, vocabulary, tmp_path, monkeypatch):
    one, _ = two_ways(cells, vocabulary, tmp_path, n_cells=50)
    monkeypatch.setattr(FittedTruncatedGaussian, "sample_tokens", FittedGenerator.sample_tokens)
    bulkgen.synthesize(
        cells, by=["label", "plate"], n_cells=50, rng=5, to="tokens", vocabulary=vocabulary, label="label",
        out=tmp_path / "plain",
    )  # fmt: skip
    assert folder_bytes(tmp_path / "plain") == one


def test_in_memory_the_tokens_are_the_same_and_know_their_origin(cells, vocabulary):
    tokens = bulkgen.synthesize(cells, by="label", n_cells=20, to="tokens", vocabulary=vocabulary, label="label")
    cells_first = bulkgen.synthesize(cells, by="label", n_cells=20)
    again = bulkgen.tokenize(cells_first, vocabulary=vocabulary, label="label")
    assert tokens.table.equals(again.table)
    assert tokens.provenance == again.provenance
    assert tokens.summary == again.summary
    assert tokens.provenance["kind"] == "synthetic"


def test_what_cannot_be_is_refused_before_any_cell_is_drawn(cells, vocabulary, tmp_path, monkeypatch):
    def no_draw(*_, **__):
        raise AssertionError("drawn")

    monkeypatch.setattr(FittedTruncatedGaussian, "sample_tokens", no_draw)
    how = {"by": "label", "n_cells": 5, "to": "tokens", "vocabulary": vocabulary}
    with pytest.raises(LabelError, match="treated"):
        bulkgen.synthesize(cells, label="treated", **how)
    other = cells.copy()
    other.var_names = [f"SYMBOL{i}" for i in range(other.n_vars)]
    with pytest.raises(GeneOverlapError, match="gene"):
        bulkgen.synthesize(other, **how)
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputExistsError):
        bulkgen.synthesize(cells, out=tmp_path / "there", **how)
    with pytest.raises(ValueError, match="to must be 'cells' or 'tokens'"):
        bulkgen.synthesize(cells, by="label", to="h5ad")
    with pytest.raises(ValueError, match="'vocabulary' is an argument of tokens"):
        bulkgen.synthesize(cells, by="label", vocabulary=vocabulary)


@pytest.mark.parametrize("to", ["cells", "tokens"])
@pytest.mark.parametrize("n_cells", [{"A": 2.5}, {"A": "5"}, {"A": True}, True, 2.0])
def test_numbers_of_cells_that_are_no_integers_are_refused(cells, vocabulary, to, n_cells):
    how = {"vocabulary": vocabulary} if to == "tokens" else {}
    with pytest.raises(TypeError, match="n_cells"):
        bulkgen.synthesize(cells, by="label", n_cells=n_cells, to=to, **how)
