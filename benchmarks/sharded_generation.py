"""How fast shards are made: tokens of drawn cells, drawn cells, and tokens of cells in a file.

    python benchmarks/sharded_generation.py [--cells 16000] [--folder DIR]

In one process with one thread, in two processes of an executor, and on a Dask cluster of two workers; how fast `resume`
verifies what is there; and what a unit of work costs beside its work. Writes
``benchmarks/results/scale/sharded_generation.json``, from which ``benchmarks/scale_page.py`` makes ``docs/scale.md``.

Cells are of 20,000 genes, by the generator `negative_binomial` from a fit to 2,000 cells with 1,500 expressed genes
each; tokens are of Geneformer's V1 vocabulary. Workers have done a small job before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import distributed

import bulkgen
import bulkgen.fits
import bulkgen.sharded_synthesis
import machine
import workloads
from bulkgen.io import shard_jobs
from bulkgen.io.executors import active_executor, map_units
from bulkgen.io.shards import size_of

RESULT = machine.RESULTS / "scale" / "sharded_generation.json"
SHARDS = 16
REFERENCE_CELLS = 2_000
#: Units without work, to see what one costs.
EMPTY_UNITS = 2_000


def inputs(folder: Path, cells: int) -> None:
    """Write a fit, a vocabulary, and cells to tokenize."""
    vocabulary = workloads.vocabulary("V1")
    reference = workloads.cells_of_vocabulary(vocabulary, REFERENCE_CELLS, workloads.GENES, workloads.GENES_PER_CELL)
    fit = bulkgen.fit_generator(
        bulkgen.bulk_profiles(reference, by="label"), reference=reference, by="label", method="negative_binomial"
    )
    fit.save(folder / "fit.h5ad")
    vocabulary.save(folder / "vocabulary.json")
    drawn = bulkgen.synthesize(fitted=fit, n_cells=cells // len(fit.strata), rng=1)
    bulkgen.write(drawn, folder / "cells.h5ad")


def jobs(folder: Path, cells: int) -> dict[str, Callable[..., object]]:
    """Return what is timed, by name."""
    per_stratum = cells // len(bulkgen.fits.load_fit(folder / "fit.h5ad").strata)
    drawn = {"fitted": folder / "fit.h5ad", "n_cells": per_stratum, "shard_size": cells // SHARDS}
    vocabulary = {"vocabulary": folder / "vocabulary.json"}
    return {
        "tokens of drawn cells": lambda **how: bulkgen.synthesize(to="tokens", **drawn, **vocabulary, **how),
        "drawn cells": lambda **how: bulkgen.synthesize(**drawn, **how),
        "tokens of cells in a file": lambda **how: bulkgen.tokenize(
            folder / "cells.h5ad", shard_size=cells // SHARDS, **vocabulary, **how
        ),
    }


@contextmanager
def workers() -> Iterator[dict[str, object]]:
    """Give each way to work: its name and executor."""
    with (
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield {"one process": None, "two processes": pool, "Dask, two workers": client}


def nothing(unit: object) -> None:
    """Do a unit without work."""


def measure(folder: Path, cells: int) -> dict[str, object]:
    """Time every job in every way."""
    inputs(folder, cells)
    small = folder / "small"
    small.mkdir()
    rows = []
    opener = bulkgen.sharded_synthesis._open
    unit = shard_jobs._Unit(opener, "/" + "folder/" * 12, "0" * 64, 999, 1)
    overheads = {}
    with workers() as ways:
        for way, executor in ways.items():
            for name, job in jobs(folder, cells).items():
                # a shard for each worker
                job(out=small / f"{way}, {name}", executor=executor, shard=(1, SHARDS // 2))
        for name, job in jobs(folder, cells).items():
            for way, executor in ways.items():
                out = folder / f"{way}, {name}"
                start = time.perf_counter()
                job(out=out, executor=executor, threads=1)
                seconds = time.perf_counter() - start
                start = time.perf_counter()
                job(out=out, executor=executor, threads=1, resume=True)
                resumed = time.perf_counter() - start
                rows.append({"job": name, "way": way, "seconds": seconds, "cells_per_second": cells / seconds,
                             "bytes_per_cell": size_of(out) / cells, "resumed_seconds": resumed,
                             "verified_bytes_per_second": size_of(out) / resumed})  # fmt: skip
                print(f"{name}, {way}: {cells / seconds:,.0f} cells/s, verified in {resumed:.2f} s")
        for way, executor in ways.items():
            start = time.perf_counter()
            for _ in map_units(nothing, [unit] * EMPTY_UNITS, executor=active_executor(executor)):
                pass
            overheads[way] = (time.perf_counter() - start) / EMPTY_UNITS
    return {
        "cells": cells,
        "shards": SHARDS,
        "genes": workloads.GENES,
        "rows": rows,
        "unit_bytes": len(pickle.dumps(unit)),
        "seconds_per_empty_unit": overheads,
    }


def main() -> None:
    """Measure, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=16_000)
    parser.add_argument("--folder", type=Path, help="for about two gigabytes of files (default: temporary files)")
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        results = measure(Path(name), given.cells)
    command = f"python benchmarks/sharded_generation.py --cells {given.cells}"
    record = {"command": command, "date": str(datetime.now(UTC).date()), "machine": machine.machine(),
              "results": results}  # fmt: skip
    given.result.parent.mkdir(parents=True, exist_ok=True)
    given.result.write_text(json.dumps(record, indent=1) + "\n")
    print(given.result)


if __name__ == "__main__":
    main()
