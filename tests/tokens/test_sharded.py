"""Tokens of cells in a file, in shards: the same bytes however they are made, the same tokens as without shards."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
import datasets
from bulkgen.errors import CountsError, LabelError, OutputExistsError, ResumeError
from bulkgen.io import count_rows, shard_jobs
from bulkgen.io.shards import ShardFolder, sha256_of
from bulkgen.tokens import TokenDataset, tokenize
from count_cases import labelled_cells, make_cells

#: Of 150 cells; the last shard has fewer cells, and the shards more than one block.
SHARD_SIZE, N_SHARDS = 40, 4


@pytest.fixture(scope="module")
def cells():
    cells = labelled_cells(3, {"A": 60, "B": 50, "C": 40}, n_genes=120, mean=1.0)
    cells.var["ensembl"] = [f"ENSG{i:011d}" for i in range(120)]
    cells.layers["dense"] = cells.X.toarray() * 2
    return cells


@pytest.fixture(scope="module")
def stored(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    for suffix in ("h5ad", "zarr"):
        bulkgen.write(cells, folder / f"cells.{suffix}")
    return folder


@pytest.fixture(scope="module")
def how(cells):
    vocabulary = bulkgen.Vocabulary.fit(cells[:, 3:].copy(), context=40, gene_ids="ensembl")
    return {"vocabulary": vocabulary, "label": "label", "columns": ["dose"], "gene_ids": "ensembl"}


@pytest.fixture(scope="module")
def whole(stored, how, tmp_path_factory):
    """The shards that one process made in one go."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert tokenize(stored / "cells.h5ad", out=out, shard_size=SHARD_SIZE, threads=2, **how).complete
    return out


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 300)


@pytest.mark.parametrize("more", [{}, {"keep_empty": True, "counts": True}, {"label": None, "columns": None}], ids=str)
@pytest.mark.parametrize(("file", "layer"), [("cells.h5ad", None), ("cells.zarr", None), ("cells.h5ad", "dense")])
def test_tokens_in_shards_are_the_tokens_without(stored, how, tmp_path, file, layer, more, small):
    opened = bulkgen.open_cells(stored / file, layer=layer)
    tokenize(opened, out=tmp_path / "plain", **how | more)
    shards = tokenize(opened, out=tmp_path / "out", shard_size=SHARD_SIZE, **how | more)
    assert (shards.kind, shards.done, shards.total) == ("tokens", N_SHARDS, N_SHARDS)
    plain, sharded = TokenDataset.load(tmp_path / "plain"), shards.open()
    assert sharded.table.equals(plain.table)
    assert sharded.summary == plain.summary
    assert sharded.label_names == plain.label_names if how | more == how else True
    assert sharded.provenance == plain.provenance
    one, other = (datasets.load_from_disk(str(tmp_path / name)) for name in ("out", "plain"))
    assert one.features == other.features
    assert one[:] == other[:]


def test_jobs_in_any_order_and_any_pool_give_the_bytes_of_one_go(stored, how, whole, tmp_path, monkeypatch):
    file = stored / "cells.h5ad"
    with ThreadPoolExecutor(2) as pool:
        assert not tokenize(
            file, out=tmp_path / "out", shard_size=SHARD_SIZE, shard=(2, 2), executor=pool, **how
        ).complete
    with pytest.raises(ValueError, match="2 of 4 shards are done"):
        TokenDataset.load(tmp_path / "out")
    shard = next((tmp_path / "out").glob("data-00003-*"))
    shard.write_bytes(shard.read_bytes()[:-8] + b"damaged!")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert tokenize(file, out=tmp_path / "out", shard_size=SHARD_SIZE, resume=True, executor=pool, **how).complete
    assert sha256_of(tmp_path / "out") == sha256_of(whole)


def test_a_unit_is_small_and_the_same_file_may_lie_elsewhere(stored, how, whole, tmp_path, monkeypatch):
    seen = []
    do = shard_jobs._do

    def watched(unit):
        seen.append(len(pickle.dumps(unit)))
        return do(unit)

    (tmp_path / "moved.h5ad").write_bytes((stored / "cells.h5ad").read_bytes())
    monkeypatch.setattr(shard_jobs, "_do", watched)
    tokenize(tmp_path / "moved.h5ad", out=whole, shard_size=SHARD_SIZE, resume=True, **how)
    assert len(seen) == N_SHARDS
    assert max(seen) < 2000


def test_other_cells_are_refused_by_name(cells, stored, how, whole, tmp_path):
    def go_on(file, **change):
        tokenize(file, out=whole, resume=True, **{"shard_size": SHARD_SIZE, **how, **change})

    before = sha256_of(whole)
    for change, named in [({"shard_size": 41}, "shard_size"), ({"counts": True}, "counts"), ({"label": None}, "cells")]:
        with pytest.raises(ResumeError, match=f"another request: {named} is"):
            go_on(stored / "cells.h5ad", **change)
    other = cells.copy()
    other.obs["dose"] = other.obs["dose"].to_numpy()[::-1]
    doubled = cells.copy()
    doubled.X = doubled.X * 2
    for name, wrong in {"dose": other, "doubled": doubled, "fewer": cells[1:].copy()}.items():
        bulkgen.write(wrong, tmp_path / f"{name}.h5ad")
        with pytest.raises(ResumeError, match="another request: cells is"):
            go_on(tmp_path / f"{name}.h5ad")
    with pytest.raises(OutputExistsError, match="--resume"):
        tokenize(stored / "cells.h5ad", out=whole, shard_size=SHARD_SIZE, **how)
    assert sha256_of(whole) == before


def test_what_cannot_be_is_refused_before_anything_is_written(cells, stored, how, tmp_path):
    file, out = stored / "cells.h5ad", tmp_path / "out"
    for wrong, message in [
        ({"resume": True}, "'resume' is an argument of shards"),
        ({"shard": (1, 2)}, "'shard' is an argument of shards"),
        ({"shard_size": 0}, "at least 1"),
        ({"shard_size": 9, "out": None}, "pass out="),
        ({"shard_size": 9, "overwrite": True}, "without overwrite"),
        ({"shard_size": 9, "shard": (3, 2)}, "from 1 to n"),
        ({"shard_size": 9, "shard": "1/2"}, "two whole numbers, got '1/2'"),
    ]:
        with pytest.raises(ValueError, match=message):
            tokenize(file, **{"out": out, **how, **wrong})
        assert not out.exists()
    with pytest.raises(TypeError, match=r"shard_size must be a whole number or None, got 40\.0"):
        tokenize(file, out=out, shard_size=40.0, **how)
    with pytest.raises(LabelError, match="plate"):
        tokenize(file, out=out, shard_size=9, **how | {"label": "plate"})
    with pytest.raises(ValueError, match="cells in a file"):
        tokenize(cells, out=out, shard_size=9, **how)
    assert not out.exists()
    assert tokenize(file, out=out, shard_size=np.int64(90), **how).complete


def test_whether_fractions_are_counts_does_not_depend_on_where_shards_begin(how, tmp_path, monkeypatch):
    """The first block decides for all: a shard whose values are all small passes beside one with counts."""
    counts = np.full((60, 120), 0.5, np.float32)
    for name, largest, fine in [("means", 40.0, True), ("logarithms", 9.0, False)]:
        counts[:30] = largest
        cells = make_cells(sp.csr_matrix(counts), label=["A"] * 60, dose=["low"] * 60)
        cells.var["ensembl"] = [f"ENSG{i:011d}" for i in range(120)]
        cells.write_h5ad(tmp_path / f"{name}.h5ad")
        out = tmp_path / name
        if fine:
            assert tokenize(tmp_path / f"{name}.h5ad", out=out, shard_size=30, **how).complete
        else:
            with pytest.raises(CountsError, match="looks log-normalised"):
                tokenize(tmp_path / f"{name}.h5ad", out=out, shard_size=30, **how)
            assert not out.exists()


def test_a_bad_count_names_its_cell_and_the_other_shards_stay(stored, how, tmp_path, small, monkeypatch):
    # not among the cells that are tried out
    monkeypatch.setattr(shard_jobs, "_MORE", 100)
    file = tmp_path / "bad.h5ad"
    file.write_bytes((stored / "cells.h5ad").read_bytes())
    with h5py.File(file, "a") as opened:
        opened["X/data"][-1] = -1
        cell = opened["obs/_index"].asstr()[int(np.flatnonzero(np.diff(opened["X/indptr"][:]))[-1])]
    with pytest.raises(bulkgen.errors.ShardError, match=rf"data-00003-of-00004.*'{cell}'"):
        tokenize(file, out=tmp_path / "out", shard_size=SHARD_SIZE, **how)
    records = ShardFolder.open(tmp_path / "out").records()
    assert [record is not None for record in records] == [True, True, True, False]
