"""The benchmark of cells on disk, at a scale of seconds."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bulkgen
import out_of_core


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few genes and cells to learn from."""
    monkeypatch.setattr(out_of_core, "GENES", 600)
    monkeypatch.setattr(out_of_core, "REFERENCE_CELLS", 200)
    monkeypatch.setattr(out_of_core, "EXPECTED_ENTRIES", 300)


def test_a_store_holds_what_is_said_of_it_and_is_kept(cache):
    folder = out_of_core.store(cache, 1000)
    made = json.loads((folder / "manifest.json").read_text())
    cells = bulkgen.read(folder / "cells.h5ad")
    assert cells.shape == (1000, 600)
    assert cells.X.nnz == made["entries"]
    assert (folder / "cells.h5ad").stat().st_size == made["bytes"]
    groups = cells.obs.groupby(["sample", "cell_type"], observed=True).size()
    assert len(groups) == 100
    assert set(groups) == {10}
    # observed combinations are half of the possible ones
    assert cells.obs["sample"].nunique() * out_of_core.TYPES == 200
    # no cell twice
    assert len({row.tobytes() for row in cells.X.toarray()}) == 1000
    assert np.corrcoef(np.arange(1000), cells.obs["sample"].cat.codes)[0, 1] < 0.2
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert out_of_core.store(cache, 1000) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_what_is_made_is_measured_in_a_process_of_its_own(cache, tmp_path):
    out_of_core.main(
        [str(cache), "--scale", "0.001", "--only", "pseudobulk", "--name", "tiny", "--results", str(tmp_path)]
    )
    (written,) = tmp_path.iterdir()
    record = json.loads(written.read_text())
    probes = record["results"]["probes"]
    assert list(probes) == ["read", "pseudobulk"]
    assert probes["read"]["share_of_floor"] == 1
    for row in probes.values():
        assert row["seconds"] > 0
        assert 0 < row["peak_gib"] < 1.5
    assert probes["pseudobulk"]["output_bytes"] > 10_000
    assert record["machine"]["cores"] >= 1
    # nothing but the store is left
    assert {path.name for path in (cache / "out-of-core-1000").iterdir()} == {
        "cells.h5ad",
        "manifest.json",
        "vocabulary.json",
    }


@pytest.mark.parametrize("probe", out_of_core.PROBES)
def test_every_piece_of_work_is_done(cache, tmp_path, probe):
    row = out_of_core.measure(probe, out_of_core.store(cache, 1000), tmp_path)
    assert (row["output_bytes"] > 0) == (probe in ("pseudobulk", "pseudobulk_zarr", "tokenize"))
