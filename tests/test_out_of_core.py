"""What is made of cells on disk is what is made of the same cells in memory."""

from __future__ import annotations

import errno
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import bulkgen
from bulkgen import gathering
from bulkgen.errors import CountsError, ResourcesError
from bulkgen.generators.registry import generator_names
from bulkgen.io import Spill, atomic_file, count_rows, spill
from bulkgen.io.cell_ranges import SharedFolder
from count_cases import labelled_cells, make_cells, matrix_bytes, random_counts


@pytest.fixture
def cells():
    return labelled_cells(2, {"a": 90, "b": 70}, n_genes=41, mean=0.8)


@pytest.fixture
def small(monkeypatch):
    """Blocks of a few cells, buckets of a few groups, and nothing that is set aside in memory."""
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 300)
    monkeypatch.setattr(gathering, "BUCKET_ENTRIES", 200)
    monkeypatch.setattr(spill, "_IN_MEMORY", 64)


def same(found: ad.AnnData, expected: ad.AnnData) -> None:
    """Every value, name and record; ``uns`` too."""
    assert found.X.dtype == expected.X.dtype
    if sp.issparse(expected.X):
        assert sp.issparse(found.X)
        for matrix in (found.X, expected.X):
            matrix.sort_indices()
        np.testing.assert_array_equal(found.X.indptr, expected.X.indptr)
        np.testing.assert_array_equal(found.X.indices, expected.X.indices)
        np.testing.assert_array_equal(found.X.data, expected.X.data)
    else:
        np.testing.assert_array_equal(found.X, expected.X)
    assert found.obs_names.equals(expected.obs_names)
    assert found.var_names.equals(expected.var_names)
    assert list(found.obs.columns) == list(expected.obs.columns)
    for column in expected.obs:
        assert list(found.obs[column]) == list(expected.obs[column]), column
    assert set(found.layers) == set(expected.layers)
    for layer in expected.layers:
        np.testing.assert_array_equal(found.layers[layer], expected.layers[layer])
    assert {**found.uns["bulkgen"]} == {**expected.uns["bulkgen"]}


HOW = [
    {"strategy": "sum"},
    {"strategy": "mean"},
    {"strategy": "mean_k", "round": True},
    {"thin": True},
    {"strategy": "mean", "sparse": False},
    {"thin": True, "sparse": False},
    {"strategy": "sum", "remainder": "drop", "cv": 0.4},
    {"strategy": "sum", "remainder": "keep"},
]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_pseudobulk_of_a_file_is_that_of_memory(cells, tmp_path, small, how, suffix):
    path = tmp_path / f"cells.{suffix}"
    bulkgen.write(cells, path)
    expected = bulkgen.pseudobulk(bulkgen.read(path), by=["label", "dose"], k=4, rng=5, **how)
    same(bulkgen.pseudobulk(path, by=["label", "dose"], k=4, rng=5, **how), expected)
    for out in ("pseudo.h5ad", "pseudo.zarr"):
        opened = bulkgen.pseudobulk(path, by=["label", "dose"], k=4, rng=5, out=tmp_path / out, **how)
        assert list(opened.obs_names) == list(expected.obs_names)
        bulkgen.write(expected, tmp_path / f"expected-{out}", overwrite=True)
        same(bulkgen.read(tmp_path / out), bulkgen.read(tmp_path / f"expected-{out}"))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.integers(8, 40), min_size=1, max_size=3),
    k=st.floats(1, 7),
    block=st.integers(1, 400),
    bucket=st.integers(1, 400),
    held=st.sampled_from([0, 10**6]),
    dtype=st.sampled_from([np.float32, np.int32, np.int64]),
    scale=st.sampled_from([1, 300, 70_000]),
)
def test_blocks_and_buckets_change_nothing(tmp_path_factory, seed, sizes, k, block, bucket, held, dtype, scale):
    cells = labelled_cells(seed, {f"l{i}": n for i, n in enumerate(sizes)}, n_genes=23)
    cells.X = (cells.X * scale).astype(dtype)
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    cells.write_h5ad(path)
    expected = bulkgen.pseudobulk(cells, by="label", k=k, strategy="sum", rng=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(count_rows, "BLOCK_ENTRIES", block)
        patch.setattr(gathering, "BUCKET_ENTRIES", bucket)
        patch.setattr(spill, "_IN_MEMORY", held)
        same(bulkgen.pseudobulk(path, by="label", k=k, strategy="sum", rng=seed), expected)


@pytest.mark.parametrize("opened", ["path", "backed", "lazy"])
def test_profiles_moments_and_tokens_are_those_of_memory(cells, tmp_path, small, opened):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    given = {
        "path": lambda: path,
        "backed": lambda: bulkgen.read(path, backed=True),
        "lazy": lambda: ad.experimental.read_lazy(path),
    }[opened]
    same(bulkgen.bulk_profiles(given(), by=["label", "dose"]), bulkgen.bulk_profiles(cells, by=["label", "dose"]))
    expected = bulkgen.Vocabulary.fit(cells, context=64)
    vocabulary = bulkgen.Vocabulary.fit(given(), context=64)
    assert vocabulary.fingerprint == expected.fingerprint
    tokens = bulkgen.tokenize(given(), vocabulary=vocabulary, label="label", columns=["dose"])
    assert tokens.table.equals(bulkgen.tokenize(cells, vocabulary=vocabulary, label="label", columns=["dose"]).table)


@pytest.mark.parametrize("method", sorted({*generator_names()} - {"scvi", "mixture"}))
def test_a_fit_to_cells_on_disk_is_the_fit_to_cells_in_memory(tmp_path, small, method):
    cells = labelled_cells(3, {"ctrl": 60, "drug": 60}, n_genes=40, mean=2.0)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    control = {"control": "ctrl"} if method in ("donor_shift", "negative_binomial", "copula") else {}
    expected = bulkgen.fit_generator(cells, by="label", method=method, **control)
    found = bulkgen.fit_generator(path, by="label", method=method, **control)
    assert found.fingerprint == expected.fingerprint


def test_a_fit_may_learn_from_some_cells_and_takes_moments_of_all(tmp_path, small):
    cells = labelled_cells(3, {"ctrl": 60, "drug": 60}, n_genes=40, mean=2.0)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    fit = bulkgen.fit_generator(path, by="label", method="donor_shift", control="ctrl", reference_cells=20)
    assert (
        fit.fingerprint
        == bulkgen.fit_generator(
            cells, by="label", method="donor_shift", control="ctrl", reference_cells=20
        ).fingerprint
    )
    donors = bulkgen.synthesize(fitted=fit, n_cells=200).obs["donor"].unique()
    assert len(donors) <= 20
    assert (cells.obs["label"].iloc[donors] == "ctrl").all()
    assert '"reference_cells": 20' in str(fit.record["parameters"])
    gaussian = [
        bulkgen.fit_generator(path, by="label", method="truncated_gaussian", reference_cells=most).fitted.state()
        for most in (20, None)
    ]
    np.testing.assert_equal(*gaussian)
    with pytest.raises(ValueError, match="reference_cells must be at least 1"):
        bulkgen.fit_generator(path, by="label", reference_cells=0)


def test_bad_counts_in_the_last_block_leave_nothing(cells, tmp_path, small):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    with h5py.File(path, "a") as file:
        file["X/data"][-1] = np.nan
    for work in (
        lambda: bulkgen.pseudobulk(path, by="label", k=4, out=tmp_path / "out.h5ad"),
        lambda: bulkgen.pseudobulk(path, by="label", k=4, out=tmp_path / "out.zarr"),
        lambda: bulkgen.bulk_profiles(path, by="label"),
    ):
        with pytest.raises(CountsError, match="must be finite"):
            work()
        assert [entry.name for entry in tmp_path.iterdir()] == ["cells.h5ad"]


def test_an_output_is_kept_without_overwrite_and_replaced_with_it(cells, tmp_path):
    out = tmp_path / "pseudo.h5ad"
    bulkgen.pseudobulk(cells, by="label", k=4, out=out)
    before = out.read_bytes()
    with pytest.raises(bulkgen.errors.OutputExistsError):
        bulkgen.pseudobulk(cells, by="label", k=5, out=out)
    assert out.read_bytes() == before
    assert bulkgen.pseudobulk(cells, by="label", k=5, out=out, overwrite=True).n_obs < 40


def test_a_spill_gives_back_what_it_was_given_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(spill, "_IN_MEMORY", 100)
    rng = np.random.default_rng(0)
    given: dict[int, list] = {}
    with Spill(tmp_path) as held:
        for _ in range(40):
            bucket = int(rng.integers(5))
            arrays = [rng.integers(0, 200, int(rng.integers(0, 30))).astype(t) for t in (np.uint8, np.int32)]
            held.append(bucket, arrays)
            given.setdefault(bucket, []).append(arrays)
        assert held.bytes_held > 100
        for bucket, segments in given.items():
            for found, expected in zip(held.read(bucket), segments, strict=True):
                for a, b in zip(found, expected, strict=True):
                    assert a.dtype == b.dtype
                    np.testing.assert_array_equal(a, b)
    assert list(tmp_path.iterdir()) == []


def test_a_spill_keeps_little_of_a_segment():
    """There are as many as blocks times buckets: a hundred times as many for ten times the cells."""
    parts = [np.zeros(1, np.int32), np.zeros(1, np.uint16), np.zeros(1, np.uint8)]
    tracemalloc.start()
    with Spill() as held:
        for number in range(20_000):
            held.append(number % 100, parts)
        kept = tracemalloc.get_traced_memory()[0] - held.bytes_held
    tracemalloc.stop()
    assert kept / 20_000 < 100


def test_room_for_what_is_set_aside_is_looked_for_first(cells, tmp_path, small, monkeypatch):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    asked = []
    monkeypatch.setattr(spill, "free_space", lambda place: asked.append(place) or 100)
    with pytest.raises(ResourcesError, match=rf"{tmp_path} has 100 bytes free; .* TMPDIR"):
        bulkgen.pseudobulk(path, by="label", k=4)
    with pytest.raises(ResourcesError, match=rf"{tmp_path} has 100 bytes free; make room there"):
        bulkgen.pseudobulk(path, by="label", k=4, out=tmp_path / "out.h5ad")
    with pytest.raises(ResourcesError, match=rf"{tmp_path} has 100 bytes free; .* TMPDIR"):
        bulkgen.Vocabulary.fit(path)
    assert asked == [tmp_path] * 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.h5ad"]


def test_a_disk_that_fills_up_is_named(tmp_path, monkeypatch):
    for folder, remedy, number in (
        (None, "TMPDIR", errno.ENOSPC),
        (tmp_path, "make room there", errno.ENOSPC),
        (tmp_path, "make room there", errno.EDQUOT),
    ):

        def full(data, number=number):
            raise OSError(number, "full")

        def fill(folder=folder, full=full):
            # an output that is being written meanwhile, perhaps on another disk, is not what is said to be full
            with atomic_file(tmp_path / "output"), Spill(folder) as held:
                monkeypatch.setattr(held._file, "write", full)
                held.append(0, [np.arange(9)])

        with pytest.raises(ResourcesError, match=remedy) as raised:
            fill()
        assert raised.value.errno == number


def test_a_full_disk_of_those_who_share_work_is_named(tmp_path):
    def fill(folder):
        with folder.file("part-3") as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with SharedFolder.make(tmp_path) as folder:
        with pytest.raises(OSError, match=r"the disk is full.*part-3"):
            fill(folder)
        assert list(Path(folder.path).glob("*part-3*")) == []


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("dense", [False, True])
def test_the_hash_of_cells_does_not_depend_on_how_a_file_was_opened(cells, tmp_path, mode, dense):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path, as_dense=("X",) if dense else ())
    backed = ad.read_h5ad(path, backed=mode)
    assert bulkgen.open_cells(backed).stored_hash() == bulkgen.open_cells(path).stored_hash()
    backed.file.close()


def test_counts_beyond_63_bits_are_not_called_negative(cells, tmp_path):
    cells.X = cells.X.astype(np.float64)
    cells.X.data[0] = 1e19
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"counts of 2\^63 and more"):
        bulkgen.pseudobulk(tmp_path / "cells.h5ad", by="label", k=4)


def test_memory_does_not_grow_with_the_store(tmp_path, monkeypatch):
    """Four times the cells, the same groups: profiles take the same memory beyond the annotation."""
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 20_000)
    peaks = []
    for copies in (1, 4):
        path = tmp_path / f"{copies}.h5ad"
        block = random_counts(1, 1500, 200, mean=1.0)
        X = sp.vstack([block] * copies, format="csr")
        make_cells(X, label=np.tile(["a", "b", "c"], X.shape[0] // 3)).write_h5ad(path)
        stored = X.data.nbytes + X.indices.nbytes
        opened = bulkgen.open_cells(path)
        bulkgen.bulk_profiles(opened, by="label")
        tracemalloc.start()
        try:
            bulkgen.bulk_profiles(opened, by="label", threads=1)
            peaks.append(SimpleNamespace(peak=tracemalloc.get_traced_memory()[1], stored=stored, cells=X.shape[0]))
        finally:
            tracemalloc.stop()
    small, large = peaks
    # codes, lengths and names of a cell may cost 200 bytes; its counts (about 1 kB) may not
    assert large.peak - small.peak < 200 * (large.cells - small.cells) < 0.5 * (large.stored - small.stored)


@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("shared", [False, True])
def test_a_group_larger_than_a_bucket_is_added_block_by_block(tmp_path, small, monkeypatch, thin, dtype, shared):
    X = random_counts(1, 300, 20, mean=0.8)
    X.data[:] *= np.arange(X.data.size) % 999
    cells = make_cells(X.astype(dtype), label=np.array(["a", "b"])[np.repeat([0, 1, 0], [250, 20, 30])])
    cells.write_h5ad(tmp_path / "cells.h5ad")
    held = []
    monkeypatch.setattr(Spill, "append", lambda *a, append=Spill.append: held.append(a[2][1].size) or append(*a))
    for options in ({"k": 1e6, "remainder": "keep"}, {"k": 60, "remainder": "keep"}):
        with ThreadPoolExecutor(1) if shared else nullcontext() as executor:
            found = bulkgen.pseudobulk(tmp_path / "cells.h5ad", by="label", thin=thin, executor=executor, **options)
        same(found, bulkgen.pseudobulk(cells, by="label", thin=thin, **options))
        if len(found) == 2:
            # a block has at most so many genes of a group
            assert max(held) <= 20
            assert sum(held) < X.nnz / 4


def test_equal_files_of_groups_have_equal_bytes(cells, tmp_path):
    for name in ("one.h5ad", "two.h5ad"):
        bulkgen.pseudobulk(cells, by="label", k=4, out=tmp_path / name)
    assert (tmp_path / "one.h5ad").read_bytes() == (tmp_path / "two.h5ad").read_bytes()
    assert matrix_bytes(bulkgen.read(tmp_path / "one.h5ad").X) == matrix_bytes(
        bulkgen.pseudobulk(cells, by="label", k=4).X
    )
