"""Files made to do harm: each is refused in one line, takes no memory, opens nothing else, and leaves nothing behind.

python benchmarks/reliability/hostile_files.py
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.append(str(Path(__file__).resolve().parent))

import shards_made
import stored_things
from outcomes import Isolated, Outcome, row
from record import Row, write_rows

TITLE = "Files made to do harm"
#: Name of a case -> (its group on the page, how it is opened, words of the refusal, what makes it).
CASES: dict[str, tuple[str, str, str, Callable[[Path], Path]]] = {}
#: Cases that take seconds, or hundreds of megabytes of disk.
HEAVY = frozenset(
    (
        "gzip_bomb",
        "gzip_bomb_in_a_chunk",
        "parquet_of_a_hundred_million_rows_in_a_few_bytes",
        "pickle_of_thirty_million_marks",
        "table_of_one_endless_compressed_line",
        "table_of_one_endless_line",
    )
)
#: A file that no case may open or make.
WITNESS = "witness"


def case(group: str, opened: str, said: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Register what makes a hostile file in an empty folder."""

    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES[make.__name__] = (group, opened, said, make)
        return make

    return register


CELLS, FIT, TOKENS, TABLE = "cells in .h5ad and .zarr", "fitted generators", "token data sets", "bulk tables"
WORDS, SHARDS = "vocabularies", "folders of shards"


@contextmanager
def _edited(folder: Path) -> Iterator[h5py.File]:
    with h5py.File(stored_things.make("h5ad", folder), "a") as file:
        yield file


def _path(folder: Path) -> Path:
    return folder / stored_things.NAMES["h5ad"]


def _replaced(file: h5py.File, name: str, values: object) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


@case(CELLS, "open_cells", "link into another file")
def external_link(folder: Path) -> Path:
    with h5py.File(folder / f"{WITNESS}.h5", "w") as other:
        other["data"] = np.ones(5)
    with _edited(folder) as file:
        file["uns/secret"] = h5py.ExternalLink(str(folder / f"{WITNESS}.h5"), "/data")
    return _path(folder)


@case(CELLS, "open_cells", "values in other files")
def external_storage(folder: Path) -> Path:
    (folder / WITNESS).write_bytes(bytes(4000))
    with _edited(folder) as file:
        file["uns"].create_dataset("secret", (1000,), "f4", external=[(str(folder / WITNESS), 0, 4000)])
    return _path(folder)


@case(CELLS, "open_cells", "values in other files")
def virtual_data_set(folder: Path) -> Path:
    with h5py.File(folder / f"{WITNESS}.h5", "w") as other:
        other["data"] = np.ones(5)
    with _edited(folder) as file:
        layout = h5py.VirtualLayout((5,), "f8")
        layout[:] = h5py.VirtualSource(str(folder / f"{WITNESS}.h5"), "data", (5,))
        file["uns"].create_virtual_dataset("secret", layout)
    return _path(folder)


@case(CELLS, "open_cells", "linked twice")
def soft_link_loop(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns/loop"] = h5py.SoftLink("/uns")
    return _path(folder)


@case(CELLS, "open_cells", "too many links")
def soft_links_to_each_other(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns/one"], file["uns/two"] = h5py.SoftLink("/uns/two"), h5py.SoftLink("/uns/one")
    return _path(folder)


@case(CELLS, "open_cells", "linked twice")
def hard_link_loop(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns/loop"] = file["uns"]
    return _path(folder)


@case(CELLS, "open_cells", "linked twice")
def groups_linked_two_to_the_forty_times(folder: Path) -> Path:
    with _edited(folder) as file:
        group = file["uns"]
        for _ in range(40):
            below = group.create_group("left")
            group["right"] = below
            group = below
    return _path(folder)


@case(CELLS, "open_cells", "nested more than")
def groups_nested_a_thousand_deep(folder: Path) -> Path:
    with _edited(folder) as file:
        file["uns"].create_group("/".join("a" * 1000))
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def dense_matrix_of_a_terabyte_without_chunks(folder: Path) -> Path:
    with _edited(folder) as file:
        del file["X"]
        file.create_dataset("X", (stored_things.N_CELLS, 1 << 32), "f4", chunks=(1, 1 << 20), fillvalue=1)
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def dense_matrix_of_a_terabyte_without_storage(folder: Path) -> Path:
    with _edited(folder) as file:
        file.create_dataset("obsm/big", (stored_things.N_CELLS, 1 << 32), "f4")
    return _path(folder)


@case(CELLS, "open_cells", "not monotone|do not fit")
def row_pointers_to_two_to_the_fifty_entries(folder: Path) -> Path:
    with _edited(folder) as file:
        pointers = file["X/indptr"][:].astype(np.int64)
        pointers[-1] = 1 << 50
        _replaced(file, "X/indptr", pointers)
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def two_to_the_fifty_row_pointers(folder: Path) -> Path:
    with _edited(folder) as file:
        del file["X/indptr"]
        file["X"].create_dataset("indptr", (1 << 50,), "i8", chunks=(1 << 16,))
    return _path(folder)


@case(CELLS, "open_cells", "claims the shape")
def shape_of_two_to_the_fifty_cells(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["shape"] = np.array([1 << 50, stored_things.N_GENES])
    return _path(folder)


@case(CELLS, "open_cells", "1125899906842624")
def shape_of_two_to_the_fifty_genes(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["shape"] = np.array([stored_things.N_CELLS, 1 << 50])
    return _path(folder)


@case(CELLS, "open_cells", "rows and columns")
def shape_of_one_number(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["shape"] = np.array([stored_things.N_CELLS])
    return _path(folder)


@case(CELLS, "open_cells", "bytes for 1,024 bytes")
def gzip_bomb_in_a_chunk(folder: Path) -> Path:
    import zlib

    with _edited(folder) as file:
        bomb = file["uns"].create_dataset("bomb", (1024,), "u1", chunks=(1024,), compression="gzip")
        bomb.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 29), 9))
    return _path(folder)


@case(CELLS, "open_cells", "column 47")
def column_indices_out_of_range(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X/indices"][3] = stored_things.N_GENES + 7
    return _path(folder)


@case(CELLS, "open_cells", "column -5")
def negative_column_indices(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X/indices"][3] = -5
    return _path(folder)


@case(CELLS, "open_cells", "not monotone|fall at row")
def row_pointers_that_go_back(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X/indptr"][2] = int(file["X/indptr"][5])
    return _path(folder)


def _with_value(folder: Path, value: float) -> Path:
    with _edited(folder) as file:
        file["X/data"][3] = value
    return _path(folder)


@case(CELLS, "open_cells", "finite")
def a_count_that_is_no_number(folder: Path) -> Path:
    return _with_value(folder, np.nan)


@case(CELLS, "open_cells", "finite")
def an_infinite_count(folder: Path) -> Path:
    return _with_value(folder, np.inf)


@case(CELLS, "open_cells", "negative")
def a_negative_count(folder: Path) -> Path:
    return _with_value(folder, -1.0)


@case(CELLS, "open_cells", "dtype object")
def counts_that_are_text(folder: Path) -> Path:
    with _edited(folder) as file:
        size = file["X/data"].shape[0]
        _replaced(file, "X/data", np.array([b"many"] * size, dtype=object))
    return _path(folder)


@case(CELLS, "open_cells", "dtype object")
def counts_that_are_references(folder: Path) -> Path:
    with _edited(folder) as file:
        size = file["X/data"].shape[0]
        _replaced(file, "X/data", np.array([file["uns"].ref] * size, dtype=h5py.ref_dtype))
    return _path(folder)


@case(CELLS, "open_cells", "codes")
def label_codes_out_of_range(folder: Path) -> Path:
    with _edited(folder) as file:
        file["obs/label/codes"][0] = 99
    return _path(folder)


@case(CELLS, "open_cells", "os.system")
def an_unknown_encoding(folder: Path) -> Path:
    with _edited(folder) as file:
        file["X"].attrs["encoding-type"] = "os.system"
    return _path(folder)


def _in_the_middle(folder: Path, part: str, value: float) -> Path:
    """Write a value into a block that is read after others, and before others."""
    with _edited(folder) as file:
        file[f"X/{part}"][file[f"X/{part}"].shape[0] // 2] = value
    return _path(folder)


@case(CELLS, "open_cells", "column 1000")
def a_column_index_out_of_range_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "indices", 1000)


@case(CELLS, "open_cells", "not monotone|fall at row|do not fit")
def a_row_pointer_beyond_the_entries_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "indptr", 1 << 30)


@case(CELLS, "open_cells", "not monotone|fall at row")
def a_negative_row_pointer_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "indptr", -7)


@case(CELLS, "open_cells", "finite")
def a_count_that_is_no_number_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "data", np.nan)


@case(CELLS, "open_cells", "negative")
def a_negative_count_in_the_middle(folder: Path) -> Path:
    return _in_the_middle(folder, "data", -3.0)


@case(CELLS, "open_cells", "cannot be read")
def a_chunk_of_nonsense_in_the_middle(folder: Path) -> Path:
    with _edited(folder) as file:
        values = file["X/data"][:]
        del file["X/data"]
        made = file["X"].create_dataset("data", data=values, chunks=(100,), compression="gzip")
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        made.id.write_direct_chunk((values.size // 200 * 100,), b"nonsense" * 20)
    return _path(folder)


@case(CELLS, "open_cells", "lost 1 of")
def a_chunk_that_was_never_written(folder: Path) -> Path:
    with _edited(folder) as file:
        values = file["X/data"][:]
        del file["X/data"]
        made = file["X"].create_dataset("data", values.shape, values.dtype, chunks=(100,))
        made.attrs["encoding-type"], made.attrs["encoding-version"] = "array", "0.2.0"
        made[: values.size // 2] = values[: values.size // 2]
        made[values.size // 2 + 200 :] = values[values.size // 2 + 200 :]
    return _path(folder)


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
    bomb = pickle.dumps(_Call(os.mkdir, str(folder / WITNESS)))
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


def _fit_with(folder: Path, **changed: object) -> Path:
    path = stored_things.make("fit", folder)
    with h5py.File(path, "a") as file:
        for name, values in changed.items():
            place = f"uns/bulkgen_fit/{name}"
            _replaced(file, place, values)
    return path


@case(FIT, "open_fit", "os.system")
def fit_of_an_unknown_method(folder: Path) -> Path:
    return _fit_with(folder, method="os.system")


@case(FIT, "open_fit", "damaged fit")
def fit_with_deeply_nested_parameters(folder: Path) -> Path:
    return _fit_with(folder, parameters="[" * 100_000)


@case(FIT, "open_fit", "damaged fit")
def fit_with_parameters_that_are_no_table(folder: Path) -> Path:
    return _fit_with(folder, parameters="[1, 2]")


@case(FIT, "open_fit", "damaged fit")
def fit_without_a_state(folder: Path) -> Path:
    path = stored_things.make("fit", folder)
    with h5py.File(path, "a") as file:
        del file["uns/bulkgen_fit/state"]
    return path


def _edited_manifest(folder: Path, **changed: object) -> Path:
    path = stored_things.make("tokens", folder)
    place = path / "bulkgen.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changed))
    return path


@case(TOKENS, "open_tokens", "names files elsewhere")
def tokens_in_files_elsewhere(folder: Path) -> Path:
    path = stored_things.make("tokens", folder)
    file = next(path.glob("*.arrow"))
    file.rename(folder / WITNESS)
    place = path / "bulkgen.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"files": [f"../{WITNESS}"]}))
    return path


@case(TOKENS, "open_tokens", "60 cells")
def tokens_of_more_cells_than_there_are(folder: Path) -> Path:
    return _edited_manifest(folder, rows=1 << 50)


@case(TOKENS, "open_tokens", "class id")
def tokens_without_label_names(folder: Path) -> Path:
    return _edited_manifest(folder, label_names=[])


@case(TOKENS, "open_tokens", "is damaged")
def tokens_whose_manifest_has_other_types(folder: Path) -> Path:
    return _edited_manifest(folder, vocabulary=["V1"], files=7)


@case(TOKENS, "open_tokens", "bulkgen.json is damaged")
def tokens_whose_manifest_is_nested_without_end(folder: Path) -> Path:
    path = stored_things.make("tokens", folder)
    (path / "bulkgen.json").write_text("[" * 100_000)
    return path


def _arrow(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    path = stored_things.make("tokens", folder)
    file = next(path.glob("*.arrow"))
    table = pa.ipc.open_stream(file.read_bytes()).read_all()
    with pa.ipc.new_stream(str(file), (changed := change(table)).schema) as writer:
        writer.write_table(changed)
    return path


@case(TOKENS, "open_tokens", "offsets")
def tokens_that_point_far_beyond_their_buffer(folder: Path) -> Path:
    path = stored_things.make("tokens", folder)
    file = next(path.glob("*.arrow"))
    content = file.read_bytes()
    offsets = pa.ipc.open_stream(content).read_all()["input_ids"].chunk(0).offsets.to_numpy()
    wrong = offsets.copy()
    wrong[10:] += 1 << 28
    assert offsets.tobytes() in content
    file.write_bytes(content.replace(offsets.tobytes(), wrong.tobytes()))
    return path


@case(TOKENS, "open_tokens", "other lengths")
def tokens_whose_lengths_are_others(folder: Path) -> Path:
    place = "length"
    return _arrow(folder, lambda t: t.set_column(t.schema.get_field_index(place), place, pa.array([1 << 40] * len(t))))


@case(TOKENS, "open_tokens", "class id")
def tokens_of_negative_classes(folder: Path) -> Path:
    return _arrow(folder, lambda t: t.set_column(t.schema.get_field_index("label"), "label", pa.array([-1] * len(t))))


def _other_tokens(folder: Path, kind: pa.DataType, *, missing: bool = False) -> Path:
    def change(table: pa.Table) -> pa.Table:
        rows = [[None if missing else token for token in row] for row in table["input_ids"].to_pylist()]
        return table.set_column(table.schema.get_field_index("input_ids"), "input_ids", pa.array(rows, pa.list_(kind)))

    return _arrow(folder, change)


@case(TOKENS, "open_tokens", "not whole numbers")
def tokens_that_are_fractions(folder: Path) -> Path:
    return _other_tokens(folder, pa.float64())


@case(TOKENS, "open_tokens", "not whole numbers")
def tokens_that_are_missing(folder: Path) -> Path:
    return _other_tokens(folder, pa.int32(), missing=True)


@case(TOKENS, "open_tokens", "no column 'nowhere'")
def tokens_whose_label_is_no_column(folder: Path) -> Path:
    return _edited_manifest(folder, label="nowhere")


def _shards(folder: Path, kind: str = "cells") -> Path:
    return shards_made.copied(kind, folder / f"shards_of_{kind}")


def _changed_json(place: Path, **changed: object) -> None:
    found = json.loads(place.read_text())
    for name, value in changed.items():
        part, _, below = name.partition("__")
        if below:
            found[part][below] = value
        else:
            found[part] = value
    place.write_text(json.dumps(found))


def _changed_request(folder: Path, kind: str = "cells", **changed: object) -> Path:
    path = _shards(folder, kind)
    _changed_json(path / "request" / "request.json", **changed)
    return path


@case(SHARDS, "open_shards", "request.json is damaged")
def request_nested_without_end(folder: Path) -> Path:
    path = _shards(folder)
    (path / "request" / "request.json").write_text("[" * 100_000)
    return path


@case(SHARDS, "resume_shards", "request.json is damaged")
def request_cut_off(folder: Path) -> Path:
    path = _shards(folder)
    place = path / "request" / "request.json"
    place.write_text(place.read_text()[:200])
    return path


@case(SHARDS, "open_shards", "is damaged")
def request_of_two_to_the_sixty_shards(folder: Path) -> Path:
    return _changed_request(folder, facts__rows=1 << 60, facts__shard_size=1)


@case(SHARDS, "open_shards", "is damaged")
def request_of_shards_elsewhere(folder: Path) -> Path:
    return _changed_request(folder, facts__suffix=f"/../../{WITNESS}.h5ad")


@case(SHARDS, "open_shards", "is damaged")
def request_of_no_rows_in_a_shard(folder: Path) -> Path:
    return _changed_request(folder, facts__shard_size=0)


@case(SHARDS, "resume_shards", "is damaged")
def request_with_files_elsewhere(folder: Path) -> Path:
    return _changed_request(folder, files={f"../../{WITNESS}": "0" * 64})


@case(SHARDS, "resume_shards", "another request")
def request_that_asks_for_something_else(folder: Path) -> Path:
    return _changed_request(folder, asked__key="0" * 16)


@case(SHARDS, "resume_shards", "fit.h5ad is damaged")
def shards_whose_fit_is_damaged(folder: Path) -> Path:
    path = _shards(folder)
    place = path / "request" / "fit.h5ad"
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    return path


def _changed_manifest(folder: Path, kind: str = "cells", **changed: object) -> Path:
    path = _shards(folder, kind)
    _changed_json(path / "bulkgen.json", **changed)
    return path


@case(SHARDS, "open_shards", "is damaged")
def manifest_of_shards_elsewhere(folder: Path) -> Path:
    path = _shards(folder)
    said = json.loads((path / "bulkgen.json").read_text())["shards"]
    shards_made.shard(path, 0).rename(folder / WITNESS)
    _changed_json(path / "bulkgen.json", shards=[said[0] | {"name": f"../{WITNESS}"}, *said[1:]])
    return path


@case(SHARDS, "open_shards", "is damaged")
def manifest_of_a_million_shards_less(folder: Path) -> Path:
    return _changed_manifest(folder, shards=[])


@case(SHARDS, "open_shards", "is damaged")
def manifest_of_other_types(folder: Path) -> Path:
    return _changed_manifest(folder, genes="many", stored=None)


@case(SHARDS, "open_shards", "bulkgen.json is damaged")
def manifest_nested_without_end(folder: Path) -> Path:
    path = _shards(folder)
    (path / "bulkgen.json").write_text("[" * 100_000)
    return path


@case(SHARDS, "open_shards", "is not the shard that was made")
def manifest_of_more_rows_than_a_shard_has(folder: Path) -> Path:
    path = _shards(folder)
    said = json.loads((path / "bulkgen.json").read_text())["shards"]
    _changed_json(path / "bulkgen.json", shards=[said[0] | {"rows": 1 << 50}, *said[1:]])
    return path


@case(SHARDS, "open_shards", "is not the shard that was made")
def shard_cut_off(folder: Path) -> Path:
    path = _shards(folder)
    place = shards_made.shard(path, 1)
    place.write_bytes(place.read_bytes()[:-100])
    return path


@case(SHARDS, "open_shards", "is not the shard that was made")
def shard_removed(folder: Path) -> Path:
    path = _shards(folder)
    shards_made.shard(path, 1).unlink()
    return path


@case(SHARDS, "open_shards", "cannot be read")
def shard_of_nonsense_of_the_same_size(folder: Path) -> Path:
    path = _shards(folder)
    place = shards_made.shard(path, 1)
    place.write_bytes(bytes(place.stat().st_size))
    return path


@case(SHARDS, "open_shards", "link into another file")
def shard_with_an_external_link(folder: Path) -> Path:
    path = _shards(folder)
    place = shards_made.shard(path, 1)
    with h5py.File(place, "a") as file:
        file["uns/secret"] = h5py.ExternalLink(str(folder / f"{WITNESS}.h5"), "/data")
    said = json.loads((path / "bulkgen.json").read_text())["shards"]
    said[1]["bytes"] = place.stat().st_size
    _changed_json(path / "bulkgen.json", shards=said)
    return path


@case(SHARDS, "open_token_shards", "names files elsewhere")
def token_manifest_of_shards_elsewhere(folder: Path) -> Path:
    path = _shards(folder, "tokens")
    said = json.loads((path / "bulkgen.json").read_text())["files"]
    _changed_json(path / "bulkgen.json", files=[f"../{WITNESS}", *said[1:]])
    return path


@case(SHARDS, "open_token_shards", "is not the shard that was made")
def token_shard_cut_off(folder: Path) -> Path:
    path = _shards(folder, "tokens")
    place = shards_made.shard(path, 1)
    place.write_bytes(place.read_bytes()[:-100])
    return path


@case(SHARDS, "open_token_shards", "is damaged")
def token_shard_of_nonsense_of_the_same_size(folder: Path) -> Path:
    path = _shards(folder, "tokens")
    place = shards_made.shard(path, 1)
    place.write_bytes(bytes(place.stat().st_size))
    return path


@case(SHARDS, "open_token_shards", "is damaged")
def token_manifest_of_more_rows(folder: Path) -> Path:
    return _changed_manifest(folder, "tokens", rows=1 << 50)


@case(SHARDS, "open_token_shards", "is damaged")
def token_manifest_of_other_types(folder: Path) -> Path:
    return _changed_manifest(folder, "tokens", shards=7)


def _words(folder: Path, text: str) -> Path:
    (folder / "vocabulary.json").write_text(text)
    return folder / "vocabulary.json"


def _changed_words(folder: Path, **changed: object) -> Path:
    return _words(folder, json.dumps(_vocabulary() | changed))


def _vocabulary() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(stored_things.make("vocabulary", Path(folder)).read_text())


@case(WORDS, "open_vocabulary", "not JSON")
def vocabulary_nested_without_end(folder: Path) -> Path:
    return _words(folder, '{"format": ' + "[" * 200_000)


@case(WORDS, "open_vocabulary", "not JSON")
def vocabulary_with_a_number_of_a_million_digits(folder: Path) -> Path:
    return _words(folder, '{"format": ' + "9" * 1_000_000 + "}")


@case(WORDS, "open_vocabulary", "larger than")
def vocabulary_of_a_gigabyte(folder: Path) -> Path:
    path = _words(folder, "")
    # takes no room on the disk
    os.truncate(path, 1 << 30)
    return path


@case(WORDS, "open_vocabulary", "context")
def vocabulary_whose_context_is_huge(folder: Path) -> Path:
    return _changed_words(folder, context=1 << 60)


@case(WORDS, "open_vocabulary", "used twice")
def vocabulary_with_one_token_twice(folder: Path) -> Path:
    return _changed_words(folder, tokens=dict.fromkeys(_vocabulary()["tokens"], 5))


@case(WORDS, "open_vocabulary", "median nan")
def vocabulary_whose_medians_are_no_numbers(folder: Path) -> Path:
    return _changed_words(folder, medians=dict.fromkeys(_vocabulary()["medians"], float("nan")))


class _Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def _pickle(folder: Path, content: bytes) -> Path:
    (folder / "genes.pkl").write_bytes(content)
    return folder / "genes.pkl"


@case(WORDS, "open_pickle", "mkdir")
def pickle_with_code(folder: Path) -> Path:
    return _pickle(folder, pickle.dumps({"gene": _Call(os.mkdir, str(folder / WITNESS))}))


@case(WORDS, "open_pickle", "mkdir")
def pickle_with_code_as_numpy_type(folder: Path) -> Path:
    named = b"cnumpy\ndtype\n(cos\nmkdir\nX" + len(str(folder / WITNESS)).to_bytes(4, "little")
    return _pickle(folder, b"\x80\x02" + named + str(folder / WITNESS).encode() + b"tR.")


@case(WORDS, "open_pickle", "TUPLE1")
def pickle_that_calls_what_the_memo_hides(folder: Path) -> Path:
    text = [b"\x8c" + bytes([len(word)]) + word for word in (b"posix", b"mkdir", b"numpy", b"dtype")]
    content = b"\x80\x04" + text[0] + b"\x94" + text[1] + b"\x94" + text[2] + text[3] + b"h\x00h\x01\x93"
    name = str(folder / WITNESS).encode()
    return _pickle(folder, content + b"X" + len(name).to_bytes(4, "little") + name + b"\x85R.")


@case(WORDS, "open_pickle", "more memory")
def pickle_with_a_memo_of_four_billion_places(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02}r\xff\xff\xff\xff.")


@case(WORDS, "open_pickle", "truncated")
def pickle_that_claims_a_string_of_four_gigabytes(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02}X\xff\xff\xff\xff.")


@case(WORDS, "open_pickle", "truncated")
def pickle_that_claims_a_frame_of_an_exabyte(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x04\x95" + (1 << 60).to_bytes(8, "little") + b"}.")


@case(WORDS, "open_pickle", "TUPLE1")
def pickle_nested_a_million_deep(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02" + b"N\x85" * 1_000_000 + b".")


@case(WORDS, "open_pickle", "instructions")
def pickle_of_thirty_million_marks(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02" + b"(" * 30_000_000 + b".")


@case(WORDS, "open_pickle", "larger than")
def pickle_larger_than_any_dictionary(folder: Path) -> Path:
    path = _pickle(folder, b"\x80\x02")
    os.truncate(path, 1 << 32)
    return path


def _text(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@case(TABLE, "open_table", "decode byte")
def table_that_is_binary_junk(folder: Path) -> Path:
    return _text(folder, "bulk.csv", np.random.default_rng(0).bytes(100_000))


@case(TABLE, "open_table", "one column only")
def table_of_zero_bytes(folder: Path) -> Path:
    return _text(folder, "bulk.tsv", bytes(1_000_000))


@case(TABLE, "open_table", "decode byte")
def table_in_another_encoding(folder: Path) -> Path:
    return _text(folder, "bulk.csv", "gene_id,é\nENSG00000000001,1\n".encode("utf-16"))


@case(TABLE, "open_table", "decode byte")
def table_of_mixed_encodings(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b"gene_id,s\xc3\xa9,t\nENSG00000000001,1,2\nENSG\xe9,1,2\n")


@case(TABLE, "open_table", "Expected 3 fields")
def ragged_table(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b"gene_id,s,t\nENSG00000000001,1,2\nENSG00000000002,1,2,3,4,5\n")


@case(TABLE, "open_table", "no end")
def table_of_one_endless_line(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b"a" * 300_000_000)


@case(TABLE, "open_table", "unpacks to")
def table_of_one_endless_compressed_line(folder: Path) -> Path:
    return _text(folder, "bulk.csv.bz2", bz2.compress(bytes(1_000_000)) * 3_000)


@case(TABLE, "open_table", "unpacks to")
def gzip_bomb(folder: Path) -> Path:
    path = folder / "bulk.tsv.gz"
    part = gzip.compress(b"ENSG00000000001\t1\t2\n" * 500_000, 9)
    path.write_bytes(gzip.compress(b"gene_id\ts\tt\n") + part * 400)
    return path


@case(TABLE, "open_table", "EOF inside string")
def table_with_an_open_quote(folder: Path) -> Path:
    return _text(folder, "bulk.csv", b'gene_id,s,t\n"ENSG00000000001,1,2\n' + b"ENSG,1,2\n" * 1000)


@case(TABLE, "open_table", "too few")
def parquet_of_a_hundred_million_rows_in_a_few_bytes(folder: Path) -> Path:
    path = folder / "bulk.parquet"
    part = pa.table({"gene_id": pa.nulls(1 << 24, pa.string()), "s": pa.nulls(1 << 24, pa.int64())})
    with pq.ParquetWriter(path, part.schema) as writer:
        for _ in range(8):
            writer.write_table(part, row_group_size=1 << 24)
    return path


@case(TABLE, "open_table", "no column of numbers")
def parquet_of_objects(folder: Path) -> Path:
    path = folder / "bulk.parquet"
    pd.DataFrame({"gene_id": ["ENSG00000000001"], "s": [{"deep": [1, 2]}]}).to_parquet(path)
    return path


def attempted(name: str, folder: Path, isolated: Isolated) -> Outcome:
    """Make a hostile file and open it; what it must not open or make is told as an outcome of its own.

    Cells are opened in both ways that there are: into memory, and row by row from the disk.
    """
    _, opened, said, make = CASES[name]
    path = make(folder)
    before = _state(folder)
    for way in ("open_cells", "open_by_rows") if opened == "open_cells" else (opened,):
        outcome = isolated.attempt("hostile_opened", way, path)
        if _state(folder) != before:
            return Outcome("left", f"{way}: {sorted(_state(folder) ^ before)}; {outcome.said}")
        if outcome.kind != "refused":
            return outcome
        if not any(words in outcome.said for words in said.split("|")):
            # refused by accident
            return Outcome("escaped", f"{way}: {outcome.said}")
        if opened == "open_cells" and way == "open_by_rows" and path.name not in outcome.said:
            return Outcome("escaped", f"{way} names no file: {outcome.said}")
    return outcome


def _state(folder: Path) -> set[str]:
    return {f"{file.relative_to(folder)}" for file in folder.rglob("*")}


def campaign(names: tuple[str, ...] | None = None, *, say: Callable[[str], None] = str) -> list[Row]:
    """Open every hostile file; that one is read is a failure, too."""
    found: dict[str, Counter[str]] = {}
    with Isolated() as isolated:
        for name in names or tuple(CASES):
            with tempfile.TemporaryDirectory() as folder:
                outcome = attempted(name, Path(folder), isolated)
            kind = "refused" if outcome.kind == "refused" else f"not refused ({name}: {outcome.kind})"
            found.setdefault(CASES[name][0], Counter())[kind] += 1
            say(f"{outcome.kind:8} {name}: {outcome.said}")
    return [row(group, kinds) for group, kinds in found.items()] + ([] if names else shards_made.mended(say=say))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--try", dest="trial", action="store_true", help="print the rows, write nothing")
    parser.add_argument("names", nargs="*", help="cases; default: all")
    options = parser.parse_args()
    started = time.monotonic()
    rows = campaign(tuple(options.names) or None, say=print)
    for item in rows:
        print(item)
    if not options.trial:
        print(write_rows("hostile_files", TITLE, rows, started=started))
