"""Small folders of shards, of cells and of tokens, and damage that going on with them must mend."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import bulkgen
import stored_things
from bulkgen.io.shards import MANIFEST_FILE, ShardFolder, sha256_of
from record import Row

SHARD_SIZE = 12


@cache
def _fit() -> bulkgen.Fit:
    return stored_things.fit("thin")


@cache
def _vocabulary() -> bulkgen.Vocabulary:
    return bulkgen.Vocabulary.fit(stored_things.cells(), context=32)


def make(path: Path, *, resume: bool = False, **options: object) -> None:
    """Make shards of 40 cells, or go on with them: of tokens where the name ends so, else of cells as .h5ad."""
    if path.name.endswith("tokens"):
        options |= {"to": "tokens", "vocabulary": _vocabulary(), "label": "label"}
    how = {"n_cells": 20, "rng": 0, "shard_size": SHARD_SIZE, "threads": 1, **options}
    bulkgen.synthesize(fitted=_fit(), out=path, resume=resume, **how)


@cache
def _made(kind: str) -> Path:
    """Make shards once in a process, to be copied."""
    path = Path(_FOLDER.name) / kind
    make(path)
    return path


_FOLDER = tempfile.TemporaryDirectory()


def copied(kind: str, path: Path) -> Path:
    """Copy shards of a kind, ``cells`` or ``tokens``, to a path."""
    return shutil.copytree(_made(kind), path)


def content(path: Path) -> str:
    """Return a hash of all files."""
    return sha256_of(path)


def shard(path: Path, number: int) -> Path:
    """Return the path of a shard."""
    return path / ShardFolder.open(path).plan.name(number)


def record(path: Path, number: int) -> Path:
    """Return the path of the record of a shard."""
    return path / "records" / f"{shard(path, number).stem}.json"


def _swap(path: Path) -> None:
    one, two = shard(path, 0), shard(path, 1)
    one.rename(path / "one")
    two.rename(one)
    (path / "one").rename(two)


def _lie(path: Path) -> None:
    place = record(path, 1)
    place.write_text(json.dumps(json.loads(place.read_text()) | {"sha256": "0" * 64}))


def _flip(path: Path) -> None:
    place = shard(path, 2)
    written = bytearray(place.read_bytes())
    written[len(written) // 2] ^= 1
    place.write_bytes(written)


def _cut(path: Path) -> None:
    place = shard(path, 1)
    place.write_bytes(place.read_bytes()[:-100])


#: What happens to a whole folder -> how. Going on makes what is missing or damaged anew.
DAMAGES: dict[str, Callable[[Path], None]] = {
    "two shards swapped": _swap,
    "a shard with a flipped bit": _flip,
    "a shard cut off": _cut,
    "a shard removed": lambda path: shard(path, 0).unlink(),
    "a record with another hash": _lie,
    "a record of nonsense": lambda path: record(path, 0).write_text("[" * 100_000),
    "a record of other types": lambda path: record(path, 0).write_text('{"name": 1, "rows": []}'),
    "a manifest of nonsense": lambda path: (path / MANIFEST_FILE).write_text("\0"),
}


def mended(kinds: tuple[str, ...] = ("cells", "tokens"), *, say: Callable[[str], None] = str) -> list[Row]:
    """Damage folders of shards in every way, and go on with each: the bytes must be those that there were."""
    rows = []
    for kind in kinds:
        wrong = []
        with tempfile.TemporaryDirectory() as name:
            whole = _made(kind)
            for damage, harm in DAMAGES.items():
                path = Path(name) / f"damaged_{kind}"
                copied(kind, path)
                harm(path)
                assert content(path) != content(whole), damage
                make(path, resume=True)
                if content(path) != content(whole):
                    wrong.append(damage)
                    say(f"{kind}, {damage}: other bytes than before")
                shutil.rmtree(path)
        note = "; ".join(wrong) or f"made anew to the same bytes: {', '.join(DAMAGES)}"
        rows.append(Row(f"damaged shards of {kind}, gone on with", len(DAMAGES), len(wrong), note))
    return rows
