"""Hostile token data sets: manifests that name other files, Arrow that points beyond its buffers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

import stored_things
from hostile_cases import TOKENS, WITNESS, case


def _edited_manifest(folder: Path, **changed: object) -> Path:
    path = stored_things.make("tokens", folder)
    place = path / "bulkgen.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changed))
    return path


@case(TOKENS, "open_tokens", "names files elsewhere")
def tokens_in_files_elsewhere(folder: Path) -> Path:
    path = _edited_manifest(folder, files=[f"../{WITNESS}"])
    next(path.glob("*.arrow")).rename(folder / WITNESS)
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
