"""The page of faults and hostile input, made from the results of the campaigns.

python benchmarks/reliability_page.py    write docs/reliability.md from benchmarks/results/reliability/*.json
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "reliability"
PAGE = HERE.parent / "docs" / "reliability.md"

HEAD = """\
# Faults and hostile input

Made by `python benchmarks/reliability_page.py` from `benchmarks/results/reliability/`; the command of each table wrote
its results. The tests run the same functions a few times each.

**Refused**: an error of one line that says what is wrong. A failure is anything else than that or a correct read: a
crash or hang of the interpreter, more than a gigabyte of memory, another kind of error, a result of another shape, an
output that was changed or left half-written. Each attempt runs in a process of its own, so that none of these goes
unseen. **Read with other values**: damage that no checksum covers changed a value and nothing else."""

TAIL = """\
## What is promised

* What a version stored (cells, tokens, vocabularies, fits, studies), every later one opens, or says which version does.
  `tests/golden/stored_*` holds what each format looked like; those folders are never written anew.
* The same seed draws the same cells for as long as `STREAM_VERSION` stays; `tests/golden/streams_v*.json` says which.
* Eight threads in one function, and processes forked or spawned, give the bits that one gives. Python without its
  global lock was not tried: no binary of it was to be had where this was measured.
* An output appears whole or not at all. Of two writers of one path without `--overwrite`, one wins, the other says so.

## What is not

* Numbers in `.h5ad` files that bulkgen writes have checksums, and so have the file's own tables. Strings in them have
  none, nor have zarr stores, token data sets and tables of text, and text that is cut off at the end of a line is a
  shorter table. Compare digests where files travel.
* Shards that are opened are compared with their sizes; their contents, with SHA-256, when a folder is gone on with
  (`--resume`), which makes anew whatever is damaged, to the same bytes.
* What one compressed chunk unpacks to is bounded by the libraries alone: a file may ask for a thousand times its size,
  one in zarr for thirty thousand times (zstd).
* Zarr leaves out chunks of zeros unless it is told not to. Where one is missing among the values, indices or row
  pointers of a sparse matrix, nothing tells zeros from a loss, and the store is refused; elsewhere zeros are read.
* HDF5 itself can be made to loop for ever by a heap of strings without sizes. Such heaps are refused wherever no
  data set has its values; one that a file hides among its values is not looked for.
* Nothing that is downloaded is unpacked, so no archive can write elsewhere."""


def page(results: Path = RESULTS) -> str:
    """Return the page, in Markdown."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    return "\n\n".join([HEAD, *(section(record) for record in records), TAIL]) + "\n"


def section(record: dict) -> str:
    """Return what one campaign found."""
    rows = record["rows"]
    tried, failures = (sum(row[name] for row in rows) for name in ("tried", "failures"))
    machine = record["machine"]
    measured = (
        f"{record['date']}, {record['seconds']:,.0f} s on {machine['processor']}, {machine['cores']} cores."
        if isinstance(machine, dict)
        else f"{record['date']}, {record['seconds']:,.0f} s on {machine}."
    )
    lines = ["| case | tried | failures | what became of it |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(row['case'])} | {row['tried']:,} | {row['failures']:,} | {_cell(row['note'])} |" for row in rows
    ]
    lines.append(f"| **all** | **{tried:,}** | **{failures:,}** | |")
    return "\n\n".join([f"## {record['title']}", f"`{record['command']}`\n\n{measured}", "\n".join(lines)])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
