"""Folders of shards: the same bytes however they are made, and the same cells and tokens as without shards."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bulkgen
import datasets
from bulkgen import sharded_synthesis
from bulkgen.errors import LabelError, OutputExistsError, ResourcesError, ResumeError, ShardError
from count_cases import labelled_cells

#: Neither divides the other, and a shard has cells of several strata.
N_CELLS, SHARD_SIZE = {"A": 130, "B": 90, "C": 75}, 60
#: Of 295 cells.
N_SHARDS = 5


@pytest.fixture(scope="module")
def cells():
    cells = labelled_cells(3, {"A": 60, "B": 50, "C": 40}, n_genes=120, mean=1.0)
    cells.obs["plate"] = pd.Categorical(np.where(np.arange(cells.n_obs) % 2, "p1", "p2"))
    return cells


@pytest.fixture(scope="module")
def fit(cells):
    return bulkgen.fit_generator(cells, by="label", method="thin")


@pytest.fixture(scope="module")
def dense_fit(cells):
    return bulkgen.fit_generator(cells, by="label")


@pytest.fixture(scope="module")
def vocabulary(cells):
    return bulkgen.Vocabulary.fit(cells[:, 3:].copy(), context=80)


@pytest.fixture(scope="module")
def options(fit, vocabulary):
    """Arguments of each kind of shards."""
    how = {"fitted": fit, "n_cells": N_CELLS, "rng": 5, "shard_size": SHARD_SIZE, "threads": 1}
    return {
        "tokens": {**how, "to": "tokens", "vocabulary": vocabulary, "label": "label"},
        "h5ad": how,
        "zarr": {**how, "format": "zarr"},
    }


@pytest.fixture(scope="module")
def in_one_go(options, tmp_path_factory):
    """The hashes of a folder of each kind that nothing interrupted."""
    folder = tmp_path_factory.mktemp("one_go")
    for kind, how in options.items():
        bulkgen.synthesize(out=folder / kind, **how)
    return {kind: hashes(folder / kind) for kind in options}


def hashes(folder: Path) -> dict[str, str]:
    """The hash of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["tokens", "h5ad", "zarr"])
def test_jobs_in_any_order_give_the_bytes_of_one_go(options, in_one_go, tmp_path, kind, monkeypatch):
    # at another time, and by a clock that stands elsewhere
    monkeypatch.setattr(time, "time", lambda: 1e9)
    for share in (3, 1):
        shards = bulkgen.synthesize(out=tmp_path / "out", shard=(share, 3), resume=True, **options[kind])
        assert not shards.complete
        with pytest.raises(ValueError, match="are done; make the others with"):
            shards.open()
    shards = bulkgen.synthesize(out=tmp_path / "out", shard=(2, 3), **options[kind] | {"threads": 2})
    assert shards.complete
    assert (shards.done, shards.total) == (N_SHARDS, N_SHARDS)
    assert hashes(tmp_path / "out") == in_one_go[kind]


def test_a_pool_of_threads_gives_the_bytes_of_one_go(options, in_one_go, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        bulkgen.synthesize(out=tmp_path / "out", executor=pool, **options["tokens"])
    assert hashes(tmp_path / "out") == in_one_go["tokens"]


def test_the_bytes_of_h5ad_do_not_depend_on_when_garbage_is_collected(options, in_one_go, tmp_path):
    thresholds = gc.get_threshold()
    try:
        for number in (0, 7, 100):
            gc.set_threshold(number)
            bulkgen.synthesize(out=tmp_path / f"{number}", **options["h5ad"])
            assert hashes(tmp_path / f"{number}") == in_one_go["h5ad"]
    finally:
        gc.set_threshold(*thresholds)


def test_spawned_processes_give_the_bytes_of_one_go(options, in_one_go, tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for kind in ("tokens", "h5ad"):
            bulkgen.synthesize(out=tmp_path / kind, executor=pool, **options[kind])
            assert hashes(tmp_path / kind) == in_one_go[kind]


@pytest.mark.parametrize("kind", ["tokens", "zarr"])
def test_damage_is_found_and_mended(options, in_one_go, tmp_path, kind):
    out = tmp_path / "out"
    bulkgen.synthesize(out=out, **options[kind])
    (shard,) = out.glob("data-00002-*")
    place = shard if shard.is_file() else max(shard.rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    (out / "records" / "data-00004-of-00005.json").write_text("{")
    left_by_a_process_that_was_killed = out / ".work-0123456789abcdef"
    left_by_a_process_that_was_killed.mkdir()
    (left_by_a_process_that_was_killed / "data-00000-of-00005.arrow").write_bytes(b"half")
    untouched = {path: path.stat().st_mtime_ns for path in out.glob("data-0000[013]-*")}
    bulkgen.synthesize(out=out, resume=True, **options[kind])
    assert hashes(out) == in_one_go[kind]
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched


def test_tokens_in_shards_are_the_tokens_without(options, tmp_path):
    how = {name: value for name, value in options["tokens"].items() if name != "shard_size"}
    bulkgen.synthesize(out=tmp_path / "plain", **how)
    shards = bulkgen.synthesize(out=tmp_path / "shards", **options["tokens"])
    plain, sharded = bulkgen.TokenDataset.load(tmp_path / "plain"), shards.open()
    assert sharded.table.equals(plain.table)
    assert sharded.summary == plain.summary
    assert sharded.label_names == plain.label_names == ("A", "B", "C")
    assert sharded.provenance == plain.provenance
    one = datasets.load_from_disk(str(tmp_path / "shards"))
    assert one.features == datasets.load_from_disk(str(tmp_path / "plain")).features
    assert one.num_rows == sum(N_CELLS.values())
    assert one[:]["input_ids"] == datasets.load_from_disk(str(tmp_path / "plain"))[:]["input_ids"]


@pytest.mark.parametrize("cell_format", ["h5ad", "zarr"])
@pytest.mark.parametrize("generator", ["fit", "dense_fit"])
def test_cells_in_shards_are_the_cells_without(request, tmp_path, cell_format, generator):
    fit = request.getfixturevalue(generator)
    shards = bulkgen.synthesize(
        fitted=fit, n_cells=N_CELLS, rng=5, out=tmp_path / "out", shard_size=SHARD_SIZE, format=cell_format
    )
    bulkgen.write(bulkgen.synthesize(fitted=fit, n_cells=N_CELLS, rng=5), tmp_path / "plain.h5ad")
    plain = ad.read_h5ad(tmp_path / "plain.h5ad")
    lazy = shards.open()
    assert type(lazy.X).__module__.startswith("dask.")
    X = lazy.X.compute()
    assert sp.issparse(X) == sp.issparse(plain.X)
    assert X.dtype == plain.X.dtype
    assert (X != plain.X).sum() == 0
    # the middle alone, across the border of two shards
    assert (lazy.X[50:130].compute() != plain.X[50:130]).sum() == 0
    pd.testing.assert_frame_equal(lazy.obs, plain.obs)
    pd.testing.assert_frame_equal(lazy.var, plain.var)
    assert json.dumps(lazy.uns, sort_keys=True, default=str) == json.dumps(plain.uns, sort_keys=True, default=str)


def test_a_folder_of_something_else_is_refused_by_name(cells, fit, options, vocabulary, tmp_path):
    out = tmp_path / "out"
    bulkgen.synthesize(out=out, shard=(1, 5), **options["tokens"])
    before = hashes(out)
    other_fit = bulkgen.fit_generator(cells, by="label", method="poisson")
    other_words = bulkgen.Vocabulary.fit(cells[:, :60].copy(), context=80)
    for change, named in [
        ({"rng": 6}, "key"),
        ({"n_cells": N_CELLS | {"A": 131}}, "n_cells.A"),
        ({"shard_size": 61}, "shard_size"),
        ({"fitted": other_fit}, "fit.fitted"),
        ({"vocabulary": other_words}, "vocabulary"),
        ({"label": None}, "label"),
        ({"keep_empty": True}, "keep_empty"),
    ]:
        with pytest.raises(ResumeError, match=f"another request: {named} is"):
            bulkgen.synthesize(out=out, resume=True, **options["tokens"] | change)
    with pytest.raises(ResumeError, match="another request: to is 'tokens' there, and 'cells' here"):
        bulkgen.synthesize(out=out, resume=True, **options["h5ad"])
    with pytest.raises(OutputExistsError, match="--resume"):
        bulkgen.synthesize(out=out, **options["tokens"])
    assert hashes(out) == before
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(OutputExistsError, match="letter"):
        bulkgen.synthesize(out=tmp_path / "home", **options["tokens"])


def test_what_cannot_be_is_refused_before_anything_is_written(cells, options, tmp_path):
    with pytest.raises(LabelError, match="dose"):
        bulkgen.synthesize(out=tmp_path / "out", **options["tokens"] | {"label": "dose"})
    assert not (tmp_path / "out").exists()
    for wrong, message in [
        ({"shard_size": None, "resume": True}, "'resume' is an argument of shards"),
        ({"shard_size": None, "force": True}, "'force' is an argument of shards"),
        ({"shard_size": None, "shard": (1, 2)}, "'shard' is an argument of shards"),
        ({"shard_size": 0}, "at least 1"),
        ({"out": None}, "pass out="),
        ({"format": "zarr"}, "of cells alone"),
        ({"shard": (3, 2)}, "from 1 to n"),
    ]:
        with pytest.raises(ValueError, match=message):
            bulkgen.synthesize(**{"out": tmp_path / "out", **options["tokens"], **wrong})


def test_a_label_whose_cells_are_all_empty_is_refused_at_the_end(cells, options, vocabulary, tmp_path):
    counts = cells.X.toarray() if sp.issparse(cells.X) else cells.X.copy()
    counts[np.ix_((cells.obs["label"] == "B").to_numpy(), cells.var_names.isin(list(vocabulary.tokens)))] = 0
    silent = ad.AnnData(counts.astype(np.float32), obs=cells.obs, var=cells.var)
    how = options["tokens"] | {"fitted": bulkgen.fit_generator(silent, by="label", method="thin")}
    with pytest.raises(LabelError, match="B") as without:
        bulkgen.synthesize(**{name: value for name, value in how.items() if name != "shard_size"})
    with pytest.raises(LabelError) as sharded:
        bulkgen.synthesize(out=tmp_path / "out", **how)
    assert str(sharded.value) == str(without.value)
    assert not (tmp_path / "out" / "bulkgen.json").exists()


@pytest.mark.parametrize("pool", [None, ThreadPoolExecutor], ids=["here", "pool"])
def test_a_shard_that_fails_is_named_and_the_others_stay(options, in_one_go, tmp_path, pool, monkeypatch):
    write = sharded_synthesis._Job.write

    def full_disk(job, path, first, last, **how):
        if first == 3 * SHARD_SIZE:
            raise OSError(28, "No space left on device")
        return write(job, path, first, last, **how)

    out = tmp_path / "out"
    monkeypatch.setattr(sharded_synthesis._Job, "write", full_disk)
    with pytest.raises(ShardError, match=r"data-00003-of-00005.*No space left.*--resume") as failed:
        bulkgen.synthesize(out=out, executor=pool and pool(1), **options["h5ad"])
    assert failed.value.errno == 28
    assert sorted(path.name for path in out.glob("data-*"))[:3] == [f"data-0000{i}-of-00005.h5ad" for i in range(3)]
    assert not list(out.glob(".work-*"))
    monkeypatch.undo()
    bulkgen.synthesize(out=out, resume=True, **options["h5ad"])
    assert hashes(out) == in_one_go["h5ad"]


def test_what_there_is_no_room_for_is_refused_unless_forced(options, fit, tmp_path, monkeypatch):
    monkeypatch.setattr("bulkgen.io.resources.free_space", lambda path: 2000)
    with pytest.raises(ResourcesError, match=r"295 cells will take about .* has 2.0 kB free.*--force"):
        bulkgen.synthesize(out=tmp_path / "out", **options["tokens"])
    assert bulkgen.synthesize(out=tmp_path / "out", resume=True, force=True, **options["tokens"]).complete
    monkeypatch.setattr("bulkgen.io.resources.available_memory", lambda: 2000)
    monkeypatch.setattr("bulkgen.synthesis.available_memory", lambda: 2000)
    with pytest.raises(ResourcesError, match="--shard-size"):
        bulkgen.synthesize(fitted=fit, n_cells=1000)
    assert bulkgen.synthesize(fitted=fit, n_cells=100, force=True).n_obs == 300


def test_shards_of_cells_on_disk_are_those_of_cells_in_memory(cells, tmp_path):
    bulkgen.write(cells, tmp_path / "cells.h5ad")
    how = {"by": "label", "method": "thin", "n_cells": 50, "rng": 2, "shard_size": 40}
    for name, source in (("memory", cells), ("disk", tmp_path / "cells.h5ad")):
        bulkgen.synthesize(source, out=tmp_path / name, **how)
    read = [bulkgen.open_shards(tmp_path / name).to_memory() for name in ("memory", "disk")]
    np.testing.assert_array_equal(read[0].X.toarray(), read[1].X.toarray())
    again = bulkgen.synthesize(tmp_path / "cells.h5ad", out=tmp_path / "disk", resume=True, **how)
    assert again.complete
