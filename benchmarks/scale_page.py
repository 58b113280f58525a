"""The page on scale, made from stored measurements.

    python benchmarks/scale_page.py

writes ``docs/scale.md`` from ``results/scale/sharded_generation.json`` (``benchmarks/sharded_generation.py``) and the
newest file of ``results/out_of_core/`` (``benchmarks/out_of_core.py``); what was not measured yet is left out.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
SHARDED = HERE / "results" / "scale" / "sharded_generation.json"
OUT_OF_CORE = HERE / "results" / "out_of_core"
PAGE = HERE.parent / "docs" / "scale.md"

#: The plan.
CELLS, WORKERS, SHARD_SIZE, ENTRIES_PER_CELL, CELLS_PER_GROUP = 100_000_000, 100, 100_000, 1_500, 10
#: Sizes of units of pseudo-bulk, as in `bulkgen.io.cell_ranges` and `bulkgen.gathering`; bytes of an entry set aside.
RANGE_ENTRIES, BUCKET_ENTRIES, BYTES_SET_ASIDE = 1 << 28, 1 << 24, 3
#: What a scheduler gets back of a unit that makes a shard: nothing but that it is done.
MESSAGE_BYTES = 1_000
DASK = "Dask, two workers"

HEAD = """\
# Scale: what was measured, and what follows from it

Made by `python benchmarks/scale_page.py` from files under `benchmarks/results/`. How it works, and why so:
[design](design/scale.md)."""

LIMITS = """\
## What is measured and what is not

Measured: rates, sizes and overheads on one machine with two cores, whose disk is its own. Not measured: more than two
workers, a network, a file system that many machines share, and one that is slow. That N workers are N times as fast as
one is an extrapolation: shards share nothing but the folder that they are written to, and the scheduler. Both are
estimated below; where the file system writes less than the plan needs, it decides the time, not bulkgen."""


def page(sharded: dict | None = None, out_of_core: dict | None = None) -> str:
    """Return the page, in Markdown."""
    parts = [HEAD, LIMITS]
    if sharded is not None:
        parts += measured_shards(sharded)
    if out_of_core is not None:
        parts += measured_out_of_core(out_of_core)
    parts += plan(sharded, out_of_core)
    return "\n\n".join(parts) + "\n"


def stored() -> tuple[dict | None, dict | None]:
    """Return what is stored of both measurements."""
    newest = max(OUT_OF_CORE.glob("*one_million_cells.json"), default=None)
    return tuple(
        json.loads(path.read_text()) if path is not None and path.exists() else None for path in (SHARDED, newest)
    )


def measured_shards(record: dict) -> list[str]:
    """Tables of what shards take."""
    results = record["results"]
    rows = [
        (
            row["job"],
            row["way"],
            f"{row['cells_per_second']:,.0f}",
            f"{row['bytes_per_cell']:,.0f}",
            f"{row['verified_bytes_per_second'] / 1e6:,.0f} MB",
        )
        for row in results["rows"]
    ]
    overheads = ", ".join(
        f"{way}: {seconds * 1e3:.2f} ms" for way, seconds in results["seconds_per_empty_unit"].items()
    )
    return [
        "## Shards, measured",
        _where(record),
        f"{results['cells']:,} cells of {results['genes']:,} genes in {results['shards']} shards; each way to work has "
        f"one thread a process. Verified: what `--resume` hashes a second where everything is there.",
        _table(("what is made", "in", "cells a second", "bytes a cell", "verified a second"), rows),
        f"A unit of work is {results['unit_bytes']} bytes when pickled. A unit without work takes, from one process: "
        f"{overheads}.",
    ]


def measured_out_of_core(record: dict) -> list[str]:
    """Table of what is made of a store on disk."""
    results = record["results"]
    store = results["store"]
    rows = [
        (
            f"`{name}`",
            f"{row['seconds']:,.0f} s",
            f"{row['entries_per_second'] / 1e6:,.0f} million",
            f"{row['share_of_floor']:.0%}",
            f"{row['peak_gib']:.2f} GiB",
        )
        for name, row in results["probes"].items()
    ]
    return [
        "## Cells on disk, measured",
        _where(record),
        f"A store of {store['facts']['cells']:,} cells with {store['entries']:,} stored entries "
        f"({store['raw_bytes'] / 1e9:.1f} GB raw), {store['groups']:,} groups; `read` is merely reading it.",
        _table(("work", "time", "entries a second", "of the speed of reading", "peak memory"), rows),
    ]


def plan(sharded: dict | None, out_of_core: dict | None) -> list[str]:
    """Say what a hundred million cells on a hundred workers take."""
    shards = -(-CELLS // SHARD_SIZE)
    entries = CELLS * ENTRIES_PER_CELL
    ranges, buckets = -(-entries // RANGE_ENTRIES), -(-entries // BUCKET_ENTRIES)
    parts = [
        f"## The plan: {CELLS:,} cells on {WORKERS} workers",
        f"Extrapolated. Shards of {SHARD_SIZE:,} cells are {shards:,} tasks, {shards // WORKERS} for each worker; no "
        f"worker waits longer than for one shard at the end. Pseudo-bulk of {ENTRIES_PER_CELL:,} expressed genes a "
        f"cell is {ranges:,} tasks that read ranges of {RANGE_ENTRIES:,} entries (each reads "
        f"{8 * RANGE_ENTRIES / 1e9:.1f} GB before compression), and {buckets:,} that add buckets of "
        f"{BUCKET_ENTRIES:,}; {BYTES_SET_ASIDE * entries / 1e9:,.0f} GB are set aside meanwhile. "
        f"{CELLS // CELLS_PER_GROUP:,} groups of {CELLS_PER_GROUP} cells are then written to one file by one process: "
        f"that part does not get faster with workers. One process alone keeps 61 bytes for each bucket of each block "
        f"of four million entries that it sets aside: {entries / 4e6 * buckets * 61 / 1e9:,.0f} GB here, and a "
        f"hundredth of that for a tenth of the cells, so beyond some twenty million cells an executor is needed.",
    ]
    if sharded is not None:
        parts += _planned_shards(sharded["results"], shards)
    if out_of_core is not None:
        probe = out_of_core["results"]["probes"].get("pseudobulk")
        if probe is not None:
            time = _duration(entries / probe["entries_per_second"] / WORKERS)
            parts.append(
                f"Pseudo-bulk at the measured {probe['entries_per_second'] / 1e6:,.0f} million entries a second of a "
                f"process with two cores takes {time} on {WORKERS} such workers, the writing of the one "
                f"file aside."
            )
    return parts


def _planned_shards(results: dict, shards: int) -> list[str]:
    per_task = results["seconds_per_empty_unit"][DASK]
    rows = []
    for row in results["rows"]:
        if row["way"] != DASK:
            continue
        # two workers were measured
        rate = row["cells_per_second"] / 2
        rows.append(
            (
                row["job"],
                _duration(SHARD_SIZE / rate),
                _duration(CELLS / rate / WORKERS),
                f"{row['bytes_per_cell'] * SHARD_SIZE / 1e6:,.0f} MB",
                f"{row['bytes_per_cell'] * CELLS / 1e12:,.2f} TB",
                f"{row['bytes_per_cell'] * rate * WORKERS / 1e6:,.0f} MB/s",
            )
        )
    heads = ("what is made", "a shard", "all", "a shard's size", "disk", "written by all workers together")
    sent = shards * (results["unit_bytes"] + MESSAGE_BYTES)
    return [
        _table(heads, rows),
        f"Time is that of one worker with one thread, measured as half of two workers of a cluster, divided by "
        f"{WORKERS}; that workers start, and that a file system may write less than the last column, comes on top. "
        f"The scheduler handles {shards:,} tasks at {per_task * 1e3:.2f} ms, {per_task * shards:.1f} s in all, beside "
        f"the workers; about {sent / 1e6:.1f} MB pass through it (a unit's {results['unit_bytes']} bytes, and a reply "
        f"without a result). Cells never do: workers write them to the folder.",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"


def _where(record: dict) -> str:
    machine = record["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; Python {machine['python']}. "
        f"`{record['command']}`"
    )


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


if __name__ == "__main__":
    PAGE.write_text(page(*stored()))
    print(PAGE)
