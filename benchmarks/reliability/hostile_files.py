"""Files made to do harm: each is refused in one line, takes no memory, opens nothing else, and leaves nothing behind.

python benchmarks/reliability/hostile_files.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))

# each registers its cases
import hostile_hdf5  # noqa: F401
import hostile_shards  # noqa: F401
import hostile_tables  # noqa: F401
import hostile_tokens  # noqa: F401
import hostile_vocabularies  # noqa: F401
import hostile_zarr  # noqa: F401
import shards_made
from hostile_cases import CASES
from outcomes import Isolated, Outcome, row
from record import Row, write_rows

TITLE = "Files made to do harm"


def attempted(name: str, folder: Path, isolated: Isolated) -> Outcome:
    """Make a hostile file and open it; what it must not open or make is told as an outcome of its own.

    Cells are opened in both ways that there are: into memory, and row by row from the disk.
    """
    case = CASES[name]
    path = case.make(folder)
    before = _state(folder)
    for way in ("open_cells", "open_by_rows") if case.opened == "open_cells" else (case.opened,):
        outcome = isolated.attempt("hostile_opened", way, path)
        if _state(folder) != before:
            return Outcome("left", f"{way}: {sorted(_state(folder) ^ before)}; {outcome.said}")
        if outcome.kind != "refused":
            return outcome
        if not any(words in outcome.said for words in case.said.split("|")):
            # refused by accident
            return Outcome("escaped", f"{way}: {outcome.said}")
        if way == "open_by_rows" and path.name not in outcome.said:
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
            found.setdefault(CASES[name].group, Counter())[kind] += 1
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
