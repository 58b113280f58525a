"""What others make of ranges of cells in a file is what one process makes of them, bit by bit."""

from __future__ import annotations

import errno
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen import gathering
from bulkgen.errors import CountsError, ResourcesError
from bulkgen.io import cell_ranges, count_rows, spill
from bulkgen.io.cell_ranges import SharedFolder
from bulkgen.profiles import gene_moments
from count_cases import labelled_cells, make_cells
from test_out_of_core import HOW, same


@pytest.fixture
def cells():
    return labelled_cells(2, {"a": 90, "b": 70, "c": 2}, n_genes=41, mean=0.8)


@pytest.fixture
def small(monkeypatch):
    """Many ranges and buckets, several blocks in a range, and nothing that is set aside in memory."""
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 100)
    monkeypatch.setattr(cell_ranges, "BLOCK_ENTRIES", 300)
    for module in (cell_ranges, sys.modules["bulkgen.io.provenance"]):
        monkeypatch.setattr(module, "PIECE", 8)
    monkeypatch.setattr(gathering, "BUCKET_ENTRIES", 200)
    monkeypatch.setattr(spill, "_IN_MEMORY", 64)


@pytest.fixture
def units(monkeypatch):
    """The pickled size of every unit with its function, as it is handed to an executor."""
    seen = []

    class Watched(ThreadPoolExecutor):
        def submit(self, function, /, *arguments):
            seen.append(len(pickle.dumps((function, *arguments))))
            return super().submit(function, *arguments)

    with Watched(3) as pool:
        yield pool, seen


@pytest.mark.parametrize("how", HOW, ids=str)
def test_pseudobulk_is_that_of_one_process(cells, tmp_path, small, units, how):
    path = tmp_path / "cells.h5ad"
    bulkgen.write(cells, path)
    pool, sizes = units
    expected = bulkgen.pseudobulk(path, by=["label", "dose"], k=4, rng=5, **how | {"remainder": "keep"})
    found = bulkgen.pseudobulk(path, by=["label", "dose"], k=4, rng=5, executor=pool, **how | {"remainder": "keep"})
    same(found, expected)
    assert len(sizes) > 10
    assert max(sizes) < 2000
    outs = [tmp_path / name for name in ("one.h5ad", "two.h5ad")]
    for out, executor in zip(outs, (None, pool), strict=True):
        bulkgen.pseudobulk(path, by=["dose"], k=4, out=out, executor=executor, **how)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cells.h5ad", "one.h5ad", "two.h5ad"]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("dense", [False, True])
def test_profiles_are_those_of_one_process(cells, tmp_path, small, units, suffix, dense):
    path = tmp_path / f"cells.{suffix}"
    if dense:
        cells.X = cells.X.toarray()
    bulkgen.write(cells, path)
    pool, sizes = units
    found = bulkgen.bulk_profiles(path, by=["label", "dose"], executor=pool)
    same(found, bulkgen.bulk_profiles(cells, by=["label", "dose"]))
    assert len(sizes) > 2
    assert max(sizes) < 2000


def test_fractional_counts_are_added_in_the_order_of_the_cells_by_one_process(cells, tmp_path, small, units):
    cells.X = cells.X * np.float32(0.3)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    opened = bulkgen.open_cells(tmp_path / "cells.h5ad")
    codes = np.arange(cells.n_obs) % 3
    one, shared = (gene_moments(opened, codes, 3, executor=pool) for pool in (None, units[0]))
    assert units[1]
    for name in ("nonzeros", "sum", "mean", "variance", "max"):
        np.testing.assert_array_equal(getattr(shared, name), getattr(one, name))


def test_cells_left_out_and_strata_without_cells(tmp_path, small, units):
    X = sp.csr_matrix(np.random.default_rng(0).poisson(0.5, (50, 7)).astype(np.float32))
    make_cells(X).write_h5ad(tmp_path / "cells.h5ad")
    codes = np.where(np.arange(50) % 4 == 3, -1, np.arange(50) % 4 * 2)
    opened = bulkgen.open_cells(tmp_path / "cells.h5ad")
    one, shared = gene_moments(X, codes, 6), gene_moments(opened, codes, 6, executor=units[0])
    for name in ("n", "nonzeros", "sum", "mean", "variance", "max"):
        np.testing.assert_array_equal(getattr(shared, name), getattr(one, name))


def test_a_bad_count_names_its_cell_and_leaves_nothing(cells, tmp_path, small, units):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    with h5py.File(path, "a") as file:
        file["X/data"][-1] = np.nan
    messages = []
    for executor in (None, units[0]):
        for work in (
            lambda pool=executor: bulkgen.pseudobulk(
                path, by="label", k=4, remainder="keep", out=tmp_path / "out.h5ad", executor=pool
            ),
            lambda pool=executor: bulkgen.bulk_profiles(path, by="label", executor=pool),
        ):
            with pytest.raises(CountsError, match="must be finite") as error:
                work()
            messages.append(str(error.value))
            assert [entry.name for entry in tmp_path.iterdir()] == ["cells.h5ad"]
    assert len(set(messages)) == 1
    assert "'c1" in messages[0]


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_uses_is_not(tmp_path):
    code = (
        "import os, pathlib, sys, numpy; from bulkgen.io.cell_ranges import SharedFolder\n"
        "with SharedFolder.make(pathlib.Path(sys.argv[1])) as folder:\n"
        "    folder.save('part-0', sizes=numpy.arange(9))\n"
        "    os.abort()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, stderr=subprocess.DEVNULL)
    (left,) = tmp_path.glob(".bulkgen-*")
    with SharedFolder.make(tmp_path) as one:
        assert not left.exists()
        one.save("part-0", sizes=np.arange(3))
        with SharedFolder.make(tmp_path) as two:
            assert one.path != two.path
        assert one.load("part-0", "sizes").tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_nobody_waits_for_makes_nothing_after_the_end(tmp_path):
    with SharedFolder.make(tmp_path) as folder:
        late = folder.file("late")
        late.__enter__().write_bytes(b"late")
        cell_ranges._remove(Path(folder.path))
        with pytest.raises(FileNotFoundError):
            late.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_room_for_what_is_set_aside_is_looked_for_first(cells, tmp_path, units, monkeypatch):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    monkeypatch.setattr(spill, "free_space", lambda place: 100)
    with pytest.raises(ResourcesError, match=rf"{tmp_path} has 100 bytes free; make room there"):
        bulkgen.pseudobulk(path, by="label", k=4, remainder="keep", out=tmp_path / "out.h5ad", executor=units[0])
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.h5ad"]
    assert units[1] == []


@pytest.mark.parametrize("unseen", ["cells.bucket.npy", "part-0"])
def test_who_does_not_see_a_file_is_told_where_files_must_lie(cells, tmp_path, unseen):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, function, /, unit):
            for place in tmp_path.glob(f".bulkgen-*/{unseen}"):
                place.unlink()
            return super().submit(function, unit)

    with Elsewhere(1) as pool, pytest.raises(FileNotFoundError, match=rf"does not see .*{unseen}; .*TMPDIR"):
        bulkgen.pseudobulk(path, by="label", k=4, remainder="keep", out=tmp_path / "out.h5ad", executor=pool)
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.h5ad"]


def test_a_full_disk_is_named(tmp_path):
    full = pytest.raises(OSError, match=r"the disk is full.*part-3")
    with SharedFolder.make(tmp_path) as folder, full as raised, folder.file("part-3"):
        # as NumPy says it
        raise OSError("1234 requested and 56 written")
    assert raised.value.errno == errno.ENOSPC


def test_spawned_processes_do_it_too(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        same(
            bulkgen.pseudobulk(path, by="label", k=4, remainder="keep", executor=pool),
            bulkgen.pseudobulk(path, by="label", k=4, remainder="keep"),
        )
        same(bulkgen.bulk_profiles(path, by="label", executor=pool), bulkgen.bulk_profiles(path, by="label"))


def test_an_executor_for_cells_in_memory_is_refused(cells, units):
    for work in (bulkgen.pseudobulk, bulkgen.bulk_profiles):
        with pytest.raises(ValueError, match="executor works on cells in a file"):
            work(cells, by="dose", executor=units[0])


def test_the_ranges_cover_every_cell_once_and_end_with_pieces():
    piece = cell_ranges.PIECE
    for lengths in (np.full(100_000, 3000), np.zeros(5), np.full(1, 7), np.r_[np.zeros(5000), np.full(5000, 10**6)]):
        ranges = cell_ranges._cut(lengths.astype(np.int64))
        assert ranges[0][0] == 0
        assert ranges[-1][1] == lengths.size
        assert all(a[1] == b[0] and b[0] % piece == 0 for a, b in zip(ranges, ranges[1:], strict=False))
        assert len(ranges) <= 2 * max(cell_ranges._RANGES, lengths.sum() / cell_ranges._MOST_ENTRIES)
