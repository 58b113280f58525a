"""Pseudo-bulk, profiles and tokens of a store larger than memory should be, against merely reading the file.

    python benchmarks/out_of_core.py CACHE [--scale S] [--name NAME] [--only PROBE ...]

makes a store in the folder CACHE, unless it is there (1,000,000 cells, 1.5 billion stored entries, 12 GB before
compression, 4 GB of file; 15 GB of disk should be free), and then works on it, each piece of work
in a process of its own:

* `read`: the floor. All values and column indices are read and decompressed by h5py, range by range, and dropped.
* `read_threads`: the same with the chunks decompressed by zlib in threads.
* `pseudobulk`: sums of 100,000 groups of two key columns (of 200,000 possible ones), written to an h5ad.
* `pseudobulk_zarr`: the same to a zarr store.
* `profiles`: moments of all genes in 40 strata.
* `tokenize`: tokens of all cells, written to a folder.

Cells are drawn by the generator `negative_binomial` from a fit to the simulated twin of sci-Plex2, thinned to half of
its depth; every cell is a draw of its own. Their order in the file is random, so that every group lies all over it. The
file is as anndata writes it with ``compression="gzip"``: level 4, chunks of h5py's choice, no shuffling of bytes.
The file is read once before each piece of work, so that it comes from the system's memory in all of them: what is
compared is work, not the disk. Peak memory is the largest resident set of the process and of its children.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd

import bulkgen
from bulkgen.datasets import sciplex2_twin
from bulkgen.io.hdf5_chunks import ColumnWriter
from machine import RESULTS, write_results
from memory import peak

CELLS, GENES, EXPECTED_ENTRIES = 1_000_000, 20_000, 1_500
CELLS_PER_GROUP, TYPES, TYPES_OF_SAMPLE = 10, 40, 20
#: Share of the twin's molecules that its cells keep: 1,500 of its 20,000 genes are then expressed.
DEPTH = 0.52
REFERENCE_CELLS = 4_000
GZIP_LEVEL = 4
TARGETS = {"peak_gib": 1.5, "share_of_floor": 0.8}
PROBES_WITH_TARGETS = ("pseudobulk", "pseudobulk_zarr", "profiles", "tokenize")
_BLOCK = 10_000
_AT_ONCE = 1 << 22
_SEED = 20_261_123


def facts(cells: int) -> dict[str, object]:
    """Return what decides the bytes of a store."""
    return {
        "format": 1,
        "cells": cells,
        "genes": GENES,
        "generator": "negative_binomial, fitted to sciplex2_twin",
        "depth": DEPTH,
        "reference_cells": REFERENCE_CELLS,
        "cells_per_group": CELLS_PER_GROUP,
        "gzip_level": GZIP_LEVEL,
        "seed": _SEED,
    }


def store(cache: Path, cells: int) -> Path:
    """Return the folder of a store, which is made unless it is there."""
    folder = cache / f"out-of-core-{cells}"
    manifest = folder / "manifest.json"
    if manifest.is_file() and json.loads(manifest.read_text())["facts"] == facts(cells):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.perf_counter()
    reference = _reference()
    bulkgen.Vocabulary.fit(reference, context=2_048, name="twin").save(folder / "vocabulary.json")
    entries = _write_cells(folder / "cells.h5ad", reference, cells)
    made = {"entries": entries, "bytes": (folder / "cells.h5ad").stat().st_size, "seconds": _since(start)}
    manifest.write_text(json.dumps({"facts": facts(cells), **made}, indent=1) + "\n")
    return folder


def _reference() -> ad.AnnData:
    twin = sciplex2_twin(REFERENCE_CELLS, GENES, rng=_SEED)
    twin.X.data = np.random.default_rng(_SEED).binomial(twin.X.data, DEPTH).astype(np.int32)
    twin.X.eliminate_zeros()
    return twin


def annotation(cells: int) -> pd.DataFrame:
    """Return two key columns: a sample has half of the cell types, and ten cells of each, anywhere in the store."""
    group = np.random.default_rng(_SEED).permutation(np.arange(cells) // CELLS_PER_GROUP)
    sample = group // TYPES_OF_SAMPLE
    cell_type = group % TYPES_OF_SAMPLE + TYPES_OF_SAMPLE * (sample % (TYPES // TYPES_OF_SAMPLE))
    columns = {
        "sample": pd.Categorical.from_codes(sample, [f"sample{i:05d}" for i in range(sample.max() + 1)]),
        "cell_type": pd.Categorical.from_codes(cell_type, [f"type{i:02d}" for i in range(TYPES)]),
    }
    return pd.DataFrame(columns, index=[f"cell{i:07d}" for i in range(cells)])


def _blocks(reference: ad.AnnData, cells: int) -> Iterator:
    """Yield CSR blocks of cells, the labels of the twin mixed."""
    fit = bulkgen.fit_generator(reference, by="treated_label", method="negative_binomial", control="Untreated")
    labels = len(fit.strata)
    for first in range(0, cells, _BLOCK):
        drawn = bulkgen.synthesize(fitted=fit, n_cells=_BLOCK // labels, rng=_SEED + first).X
        yield drawn[np.random.default_rng(first).permutation(drawn.shape[0])[: cells - first]]


def _write_cells(path: Path, reference: ad.AnnData, cells: int) -> int:
    """Write the cells by rows; return the stored entries."""
    ad.AnnData(obs=annotation(cells), var=reference.var[["symbol"]]).write_h5ad(path)
    lengths = []
    with h5py.File(path, "a") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        if "X" in file:
            del file["X"]
        X = file.create_group("X")
        X.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [cells, GENES]})
        # what h5py would choose for an array of this size
        chunk = h5py._hl.filters.guess_chunk((EXPECTED_ENTRIES * cells,), None, 4)[0]
        columns = [
            ColumnWriter(X, name, dtype, chunk=chunk, pool=pool, level=GZIP_LEVEL, shuffled=False)
            for name, dtype in (("data", np.float32), ("indices", np.int32))
        ]
        for block in _blocks(reference, cells):
            lengths.append(np.diff(block.indptr))
            for column, values in zip(columns, (block.data, block.indices), strict=True):
                column.append(values)
        for column in columns:
            column.finish()
        X["indptr"] = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
        return int(X["indptr"][-1])


def read(folder: Path, out: Path) -> None:
    """Read and decompress every value and column index with h5py."""
    with h5py.File(folder / "cells.h5ad") as file:
        for name in ("data", "indices"):
            dataset = file[f"X/{name}"]
            step = max(1, _AT_ONCE // dataset.chunks[0]) * dataset.chunks[0]
            buffer = np.empty(step, dataset.dtype)
            for first in range(0, dataset.shape[0], step):
                last = min(first + step, dataset.shape[0])
                dataset.read_direct(buffer, np.s_[first:last], np.s_[: last - first])


def read_threads(folder: Path, out: Path) -> None:
    """Do the same with zlib in threads."""
    with h5py.File(folder / "cells.h5ad") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        for name in ("data", "indices"):
            dataset = file[f"X/{name}"]
            size = dataset.chunks[0] * dataset.dtype.itemsize

            def chunk(first: int, dataset: h5py.Dataset = dataset, size: int = size) -> int:
                return len(zlib.decompress(dataset.id.read_direct_chunk((first,))[1], bufsize=size))

            assert sum(pool.map(chunk, range(0, dataset.shape[0], dataset.chunks[0]))) >= dataset.nbytes


def pseudobulk(folder: Path, out: Path) -> None:
    """Sum the cells of each observed pair of sample and type."""
    _pseudobulk(folder, out / "groups.h5ad")


def pseudobulk_zarr(folder: Path, out: Path) -> None:
    """Do the same, written to a zarr store."""
    _pseudobulk(folder, out / "groups.zarr")


def _pseudobulk(folder: Path, out: Path) -> None:
    groups = bulkgen.pseudobulk(
        folder / "cells.h5ad", by=["sample", "cell_type"], k=CELLS_PER_GROUP, cv=0, strategy="sum", out=out
    )
    assert groups.n_obs == -(-_cells(folder) // CELLS_PER_GROUP)


def profiles(folder: Path, out: Path) -> None:
    """Moments of all genes in each cell type."""
    found = bulkgen.bulk_profiles(folder / "cells.h5ad", by="cell_type")
    assert found.obs["n_obs_aggregated"].sum() == _cells(folder)


def tokenize(folder: Path, out: Path) -> None:
    """Turn all cells into tokens."""
    tokens = bulkgen.tokenize(
        folder / "cells.h5ad", vocabulary=folder / "vocabulary.json", label="cell_type", out=out / "tokens"
    )
    assert len(tokens) == _cells(folder)


def _cells(folder: Path) -> int:
    return int(json.loads((folder / "manifest.json").read_text())["facts"]["cells"])


PROBES: dict[str, Callable[[Path, Path], None]] = {
    probe.__name__: probe for probe in (read, read_threads, pseudobulk, pseudobulk_zarr, profiles, tokenize)
}


def measure(probe: str, folder: Path, out: Path) -> dict[str, float]:
    """Do a piece of work in this process."""
    start, cpu = time.perf_counter(), time.process_time()
    PROBES[probe](folder, out)
    seconds, cpu = _since(start), time.process_time() - cpu
    # kibibytes on Linux
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return {"seconds": seconds, "cpu_seconds": round(cpu, 2), "peak": peak() + children, "output_bytes": written}


def measured(probe: str, folder: Path) -> dict[str, float]:
    """Do a piece of work in a process of its own, the file in the system's memory, and remove what it wrote."""
    with (folder / "cells.h5ad").open("rb", buffering=0) as file:
        buffer = bytearray(1 << 24)
        while file.readinto(buffer):
            pass
    out = folder / f"out-{probe}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        done = subprocess.run(
            [sys.executable, __file__, str(folder), "--measure", probe, "--out", str(out)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(out)


def run(cache: Path, *, scale: float, probes: list[str]) -> dict[str, object]:
    """Make the store and measure."""
    folder = store(cache, max(1_000, round(CELLS * scale / _BLOCK) * _BLOCK if scale >= 0.02 else round(CELLS * scale)))
    made = json.loads((folder / "manifest.json").read_text())
    rows: dict[str, dict[str, object]] = {}
    for probe in probes:
        row: dict[str, object] = dict(measured(probe, folder))
        row["entries_per_second"] = round(made["entries"] / row["seconds"])
        row["peak_gib"] = round(row["peak"] / 2**30, 3)
        # the floor is measured first
        row["share_of_floor"] = round(rows.get("read", row)["seconds"] / row["seconds"], 3)
        if probe in PROBES_WITH_TARGETS:
            row["met"] = row["peak_gib"] <= TARGETS["peak_gib"] and row["share_of_floor"] >= TARGETS["share_of_floor"]
        rows[probe] = row
        print(probe, row, flush=True)
    return {
        "store": {**made, "raw_bytes": 8 * made["entries"], "groups": -(-made["facts"]["cells"] // CELLS_PER_GROUP)},
        "rows_made": "every cell is a draw of its own",
        "page_cache": "warm: the file is read before each piece of work",
        "floor": "read",
        "targets": TARGETS,
        "probes": rows,
    }


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)


def main(arguments: list[str] | None = None) -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--name", default="one_million_cells")
    parser.add_argument("--only", nargs="+", choices=PROBES, default=list(PROBES))
    parser.add_argument("--results", type=Path, default=RESULTS / "out_of_core")
    parser.add_argument("--build", action="store_true", help="make the store, and measure nothing")
    parser.add_argument("--measure", choices=PROBES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.measure, given.cache, given.out)))
        return
    probes = [] if given.build else list(dict.fromkeys(["read", *given.only]))
    results = run(given.cache.absolute(), scale=given.scale, probes=probes)
    if probes:
        # the folder says nothing to others
        options = [
            f"--{name} {getattr(given, name)}" for name in ("scale", "name") if name == "name" or given.scale != 1
        ]
        command = " ".join(["python benchmarks/out_of_core.py CACHE", *options])
        print("written to", write_results(given.name, results, folder=given.results, command=command))


if __name__ == "__main__":
    main()
