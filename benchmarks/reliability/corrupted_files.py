"""Stored things cut off and with flipped bits: each is refused or read, and none takes the interpreter down.

python benchmarks/reliability/corrupted_files.py            the campaign, about five minutes
python benchmarks/reliability/corrupted_files.py --count 9  so many attempts of each row
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent))

import stored_things
from outcomes import SOUND, Isolated, judged, row
from record import Row, write_rows

TITLE = "Damaged files"
KINDS = {
    "h5ad": "cells in .h5ad",
    "foreign_h5ad": "cells in .h5ad of another program, without checksums",
    "zarr": "cells in .zarr",
    "fit": "fitted generator",
    "tokens": "token data set",
    "vocabulary": "vocabulary",
    "parquet": "bulk table, parquet",
    "tsv": "bulk table, TSV",
    "tsv_gz": "bulk table, gzip",
}

#: What a kind cannot help.
NOTES = {"tsv": "text has no checksum: a separator or line end lost makes another table"}


def cut(content: bytearray, rng: np.random.Generator) -> None:
    """Leave the beginning."""
    del content[int(rng.integers(len(content))) :]


def flip_one(content: bytearray, rng: np.random.Generator) -> None:
    """Flip one bit."""
    _flip(content, rng, 1)


def flip_many(content: bytearray, rng: np.random.Generator) -> None:
    """Flip sixteen bits."""
    _flip(content, rng, 16)


def lose_a_block(content: bytearray, rng: np.random.Generator) -> None:
    """Zero 64 bytes, as a lost page does."""
    start = int(rng.integers(len(content)))
    content[start : start + 64] = bytes(len(content[start : start + 64]))


def _flip(content: bytearray, rng: np.random.Generator, bits: int) -> None:
    for place in rng.integers(8 * len(content), size=bits):
        content[place // 8] ^= 1 << (place % 8)


DAMAGES: dict[str, Callable[[bytearray, np.random.Generator], None]] = {
    "cut off": cut,
    "one bit flipped": flip_one,
    "sixteen bits flipped": flip_many,
    "64 bytes zeroed": lose_a_block,
}


def damaged(intact: Path, path: Path, damage: str, rng: np.random.Generator) -> Path:
    """Copy a file or folder to `path` and damage it, of a folder one of its files."""
    if intact.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(intact, path)
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size)
        path = files[int(rng.integers(len(files)))]
        content = bytearray(path.read_bytes())
    else:
        content = bytearray(intact.read_bytes())
    DAMAGES[damage](content, rng)
    path.write_bytes(content)
    return path


def campaign(count: int, *, kinds: tuple[str, ...] = tuple(KINDS), say: Callable[[str], None] = str) -> list[Row]:
    """Damage every kind of thing `count` times in every way."""
    rows = []
    with tempfile.TemporaryDirectory() as name, Isolated() as isolated:
        for number, kind in enumerate(kinds):
            folder = Path(name) / kind
            folder.mkdir()
            whole = stored_things.make(kind, folder)
            opened = stored_things.OPENED[kind]
            intact = isolated.attempt("stored_things", opened, whole)
            assert intact.kind == "read", intact
            place = folder / f"damaged_{whole.name}"
            for damage in DAMAGES:
                kinds_found: Counter[str] = Counter()
                for seed in range(count):
                    damaged(whole, place, damage, np.random.default_rng([number, seed]))
                    outcome = isolated.attempt("stored_things", opened, place)
                    found = judged(outcome, intact)
                    kinds_found[found] += 1
                    if found not in SOUND:
                        say(f"{kind}, {damage}, seed {seed}: {found}: {outcome.said[:300]}")
                rows.append(row(f"{KINDS[kind]}: {damage}", kinds_found, NOTES.get(kind, "")))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--kinds", nargs="*", default=tuple(KINDS), choices=tuple(KINDS))
    parser.add_argument("--try", dest="trial", action="store_true", help="print the rows, write nothing")
    options = parser.parse_args()
    started = time.monotonic()
    rows = campaign(options.count, kinds=tuple(options.kinds), say=print)
    for item in rows:
        print(item)
    if not options.trial:
        print(write_rows("corrupted_files", TITLE, rows, started=started))
