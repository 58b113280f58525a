"""Hostile folders of shards: requests, manifests and shards that are not what was made."""

from __future__ import annotations

import json
from pathlib import Path

import h5py

import shards_made
from hostile_cases import SHARDS, WITNESS, case


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
