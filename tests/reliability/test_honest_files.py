"""What other programs and versions write, and what lawfully leaves something out, is not taken for damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

import stored_things
from bulkgen.io import open_cells, read, storage

pytestmark = pytest.mark.filterwarnings("ignore:.*zarr")


def cells():
    """Cells with parts of every kind that AnnData stores."""
    made = stored_things.cells()
    n = made.n_obs
    made.obs["kind"] = pd.Categorical(["x", "y"] * (n // 2))
    made.obs["seen"] = pd.array([True, None] * (n // 2), dtype="boolean")
    made.obs["batch"] = pd.array([1, None] * (n // 2), dtype="Int64")
    made.obs["zero"] = np.zeros(n)
    made.obsm["pca"] = np.zeros((n, 3), np.float32)
    made.obsm["table"] = pd.DataFrame({"a": np.arange(n)}, index=made.obs_names)
    made.layers["zeros"] = np.zeros(made.shape, np.float32)
    made.layers["empty"] = sp.csr_matrix(made.shape, dtype=np.float32)
    made.layers["columns"] = made.X.tocsc()
    made.obsp["near"] = sp.eye(n, format="csr")
    made.uns = {"text": "t", "list": np.array(["a", "bc"]), "deep": {"number": 1.5, "none": np.array([])}}
    made.raw = made
    return made


def opens(path):
    """Both ways to open a store see the same counts."""
    expected = stored_things.cells().X.toarray()
    assert (read(path).X.toarray() == expected).all()
    opened = open_cells(path)
    assert (np.vstack([block.toarray() for _, block in opened.blocks(require_integers=True)]) == expected).all()


@pytest.mark.parametrize(
    "options", [{}, {"compression": "gzip"}, {"compression": "lzf"}, {"as_dense": ("X",)}], ids=str
)
def test_h5ad_of_every_kind_opens(tmp_path, options):
    made = cells()
    made.write_h5ad(tmp_path / "cells.h5ad", **options)
    if "as_dense" not in options:
        opens(tmp_path / "cells.h5ad")
    else:
        assert open_cells(tmp_path / "cells.h5ad").counts.form == "dense"


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_h5ad_written_anew_by_another_library_opens(tmp_path, libver):
    cells().write_h5ad(tmp_path / "one.h5ad")
    with h5py.File(tmp_path / "one.h5ad") as old, h5py.File(tmp_path / "cells.h5ad", "w", libver=libver) as new:
        new.attrs.update(old.attrs)
        for name in old:
            old.copy(name, new)
        # a hole, as something removed leaves it, that ends with text
        new["hole"] = np.zeros(1 << 20, np.uint8)
        ad.io.write_elem(new["uns"], "signatures", np.array(["GCOL\x01"] * 100, dtype=object))
        del new["hole"]
    opens(tmp_path / "cells.h5ad")


def test_h5ad_of_anndata_before_0_7_opens_by_rows(tmp_path):
    made = stored_things.cells()
    made.write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad", "a") as file:
        attributes = file["X"].attrs
        shape = attributes["shape"]
        for name in list(attributes):
            del attributes[name]
        attributes["h5sparse_format"], attributes["h5sparse_shape"] = "csr", shape
    storage.check_storage(tmp_path / "cells.h5ad")
    assert open_cells(tmp_path / "cells.h5ad").shape == made.shape


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("empty_chunks", [False, True])
def test_zarr_of_both_formats_opens_with_or_without_its_chunks_of_zeros(tmp_path, version, empty_chunks):
    writing = ad.settings.override(zarr_write_format=version)
    with writing, zarr.config.set({"array.write_empty_chunks": empty_chunks}):
        cells().write_zarr(tmp_path / "cells.zarr")
    if not empty_chunks:
        assert not list((tmp_path / "cells.zarr" / "layers" / "zeros").glob("[0-9c]*"))
    opens(tmp_path / "cells.zarr")
    assert not read(tmp_path / "cells.zarr").layers["zeros"].any()


@pytest.mark.parametrize("chunks", [{"chunks": (100,)}, {"chunks": (50,), "shards": (500,)}], ids=["chunks", "shards"])
@pytest.mark.parametrize("lost", [False, True])
def test_zarr_in_many_chunks_or_shards_opens_unless_one_is_lost(tmp_path, chunks, lost):
    path = tmp_path / "cells.zarr"
    made = stored_things.cells()
    root = zarr.open_group(str(path), mode="w", zarr_format=3)
    for name in ("obs", "var"):
        ad.io.write_elem(root, name, getattr(made, name))
    X = root.create_group("X", attributes={"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    X.attrs["shape"] = list(made.shape)
    for name in ("data", "indices", "indptr"):
        part = getattr(made.X, name)
        X.create_array(name, data=part, **(chunks if name != "indptr" else {}))
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    if lost:
        next(file for file in (path / "X" / "data").rglob("*") if file.is_file() and file.name == "1").unlink()
        with pytest.raises(OSError, match="X/data has lost 1 of"):
            open_cells(path)
    else:
        opens(path)


@pytest.mark.parametrize("genes", [1, 2])
def test_indices_of_one_gene_are_all_zero_and_may_be_left_out_others_not(tmp_path, genes):
    counts = np.zeros((50, genes), np.float32)
    counts[:, 0] = 1
    made = ad.AnnData(sp.csr_matrix(counts))
    made.obs_names, made.var_names = [f"cell{i}" for i in range(50)], [f"gene{i}" for i in range(genes)]
    with zarr.config.set({"array.write_empty_chunks": False}):
        made.write_zarr(tmp_path / "cells.zarr")
    if genes == 1:
        assert read(tmp_path / "cells.zarr").X.sum() == 50
    else:
        # as good as lost: nothing tells zeros left out from a chunk that is gone
        with pytest.raises(OSError, match=r"X/indices has lost 1 of 1 chunks.*write_empty_chunks"):
            read(tmp_path / "cells.zarr")


def test_zeros_that_are_not_stored_may_be_as_large_as_memory_allows(tmp_path, monkeypatch):
    path = tmp_path / "cells.h5ad"
    stored_things.cells().write_h5ad(path)
    with h5py.File(path, "a") as file:
        # never written: no bytes, half a gigabyte of zeros
        file.create_dataset("obsm/zeros", (stored_things.N_CELLS, 1 << 21), "f4", chunks=(1, 1 << 20))
    monkeypatch.setattr(storage, "total_memory", lambda: 8 << 30)
    storage.check_storage(path)
    monkeypatch.setattr(storage, "total_memory", lambda: 2 << 30)
    with pytest.raises(ValueError, match="claims the shape"):
        storage.check_storage(path)


def test_a_store_of_many_chunks_is_listed_once_and_few_files_are_asked_for_their_size(tmp_path, monkeypatch):
    path = stored_things.make("zarr", tmp_path)
    shutil.rmtree(path / "obsm", ignore_errors=True)
    root = zarr.open_group(str(path), mode="a")
    root.create_array("obsm/many", shape=(2000,), chunks=(1,), dtype="f8")[:] = 1.0
    (path / ".zmetadata").unlink()
    listed, asked = [], []
    scandir, claim = storage.os.scandir, storage._check_claim
    monkeypatch.setattr(storage.os, "scandir", lambda folder: listed.append(Path(folder)) or scandir(folder))

    class Watched:
        def __init__(self, entry):
            self.entry = entry

        def stat(self):
            asked.append(self.entry.name)
            return self.entry.stat()

    monkeypatch.setattr(storage, "_check_claim", lambda n, files, *rest: claim(n, list(map(Watched, files)), *rest))
    storage.check_storage(path)
    assert len(listed) == len(set(listed))
    assert asked == []


@pytest.mark.parametrize("version", [2, 3])
def test_what_a_killed_writer_left_is_not_taken_for_the_chunk_that_it_did_not_write(tmp_path, version):
    path = tmp_path / "cells.zarr"
    made = stored_things.cells()
    with ad.settings.override(zarr_write_format=version):
        made.write_zarr(path)
    group = zarr.open_group(str(path), mode="a", use_consolidated=False)["X"]
    values, attributes = group["data"][:], dict(group["data"].attrs)
    del group["data"]
    group.create_array("data", data=values, chunks=(100,)).attrs.update(attributes)
    zarr.consolidate_metadata(str(path))
    (chunk,) = (path / "X" / "data").rglob("9")
    (chunk.parent / ".DS_Store").write_bytes(b"")
    opens(path)
    chunk.rename(chunk.parent / "9.0123456789abcdef.partial")
    with pytest.raises(OSError, match="X/data has lost 1 of"):
        open_cells(path)
