"""Hostile zarr stores: with links out of them, codecs that run code, chunks that are lost or cut off."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import stored_things
from hostile_cases import CELLS, WITNESS, Call, case


def _in_chunks(folder: Path) -> Path:
    """Make a zarr store whose counts lie in twenty chunks; return the folder of these."""
    import zarr

    path = _store(folder)
    (path / ".zmetadata").unlink(missing_ok=True)
    group = zarr.open_group(str(path), mode="a")["X"]
    values = group["data"][:]
    del group["data"]
    group.create_array("data", data=values, chunks=(100,)).attrs.update({"encoding-type": "array"})
    return path / "X" / "data"


@case(CELLS, "open_cells", "lost 1 of")
def zarr_that_lost_counts_in_the_middle(folder: Path) -> Path:
    (_in_chunks(folder) / "9").unlink()
    return folder / stored_things.NAMES["zarr"]


@case(CELLS, "open_cells", "cannot be read")
def zarr_chunk_of_nonsense_in_the_middle(folder: Path) -> Path:
    (_in_chunks(folder) / "9").write_bytes(b"nonsense" * 20)
    return folder / stored_things.NAMES["zarr"]


@case(CELLS, "open_cells", "cannot be read")
def zarr_chunk_cut_off_in_the_middle(folder: Path) -> Path:
    chunk = _in_chunks(folder) / "9"
    chunk.write_bytes(chunk.read_bytes()[:-20])
    return folder / stored_things.NAMES["zarr"]


def _store(folder: Path) -> Path:
    return stored_things.make("zarr", folder)


def _described(folder: Path, array: str, **changed: object) -> Path:
    path = _store(folder)
    place = path / array / ".zarray"
    place.write_text(json.dumps(json.loads(place.read_text()) | changed))
    (path / ".zmetadata").unlink(missing_ok=True)
    return path


def _lost(folder: Path, array: str) -> Path:
    path = _store(folder)
    next(file for file in (path / array).iterdir() if not file.name.startswith(".")).unlink()
    return path


@case(CELLS, "open_cells", "lost 1 of")
def zarr_that_lost_counts(folder: Path) -> Path:
    return _lost(folder, "X/data")


@case(CELLS, "open_cells", "lost 1 of")
def zarr_that_lost_column_indices(folder: Path) -> Path:
    return _lost(folder, "X/indices")


@case(CELLS, "open_cells", "lost 1 of")
def zarr_that_lost_row_pointers(folder: Path) -> Path:
    return _lost(folder, "X/indptr")


@case(CELLS, "open_cells", "claims the shape")
def zarr_of_two_to_the_fifty_counts(folder: Path) -> Path:
    return _described(folder, "X/data", shape=[1 << 50])


@case(CELLS, "open_cells", "claims the shape")
def zarr_chunks_of_a_terabyte(folder: Path) -> Path:
    return _described(folder, "X/data", shape=[1 << 38], chunks=[1 << 38])


@case(CELLS, "open_cells", "pickle")
def zarr_that_asks_for_a_pickle(folder: Path) -> Path:
    path = _described(folder, "var/symbol", dtype="|O", filters=[{"id": "pickle", "protocol": 5}], compressor=None)
    bomb = pickle.dumps(Call(os.mkdir, str(folder / WITNESS)))
    (path / "var/symbol/0").write_bytes(bomb)
    return path


@case(CELLS, "open_cells", "link or no ordinary file")
def zarr_with_a_link_out_of_it(folder: Path) -> Path:
    path = _store(folder)
    place = path / "X/data/0"
    shutil.move(place, folder / WITNESS)
    place.symlink_to(folder / WITNESS)
    return path


@case(CELLS, "open_cells", "link or no ordinary file")
def zarr_with_a_pipe_for_a_chunk(folder: Path) -> Path:
    path = _store(folder)
    (path / "X/data/0").unlink()
    os.mkfifo(path / "X/data/0")
    return path
