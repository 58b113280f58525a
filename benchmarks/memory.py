"""Peak memory, and time where it belongs to it, each in a process of its own.

    python benchmarks/memory.py PROBE [--scale S]

prints one line of JSON. Peak is the largest resident set since the inputs were ready (Linux; elsewhere of the whole
process), so that the memory of imports and inputs is known apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import bulkgen
import calls
import workloads

MILLION = 1_000_000
TWO_STEP_CELLS = 5_000
REFERENCE_CELLS = 2_000

_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes that are resident now."""
    return _status("VmRSS") if _STATUS.exists() else peak()


def peak() -> int:
    """Most bytes that were resident; ``ru_maxrss`` would count the parent before exec on Linux."""
    if _STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Let the peak begin anew, where the system can (proc(5), clear_refs)."""
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def group_sums(scale: float) -> dict[str, float | str]:
    """Sum groups of the large matrix, sparse: peak beyond the input, against the size of the output."""
    cells = workloads.scaled(workloads.CELLS, scale, least=100)
    matrix = workloads.cached_counts(cells)
    groups = cells // workloads.CELLS_PER_GROUP
    codes = workloads.random_groups(cells, groups)
    few = slice(0, 20)
    # compiles, where the backend does that
    calls.group_sums(matrix[few], np.zeros(20, np.int64), 1)
    forget_peak()
    before = resident()
    sums = calls.group_sums(matrix, codes, groups)
    return {
        "input": _bytes(matrix),
        "output": _bytes(sums),
        "peak_beyond_input": peak() - before,
        "peak": peak(),
    }


def fused(scale: float) -> dict[str, float | str]:
    """Make a million cells from bulk profiles, straight to tokens."""
    return _synthesis(workloads.scaled(MILLION, scale, least=100), calls.synthesize_to_tokens)


def two_steps(scale: float) -> dict[str, float | str]:
    """Do the same through an h5ad file; fewer cells, because the file grows by 80 kB a cell."""

    def run(
        profiles: AnnData, reference: AnnData, cells_per_label: int, vocabulary: bulkgen.Vocabulary, out: Path
    ) -> bulkgen.TokenDataset:
        calls.synthesize_to_file(profiles, reference, cells_per_label, out.with_suffix(".h5ad"))
        return calls.tokenize_file(out.with_suffix(".h5ad"), vocabulary, out)

    return _synthesis(workloads.scaled(TWO_STEP_CELLS, scale, least=100), run)


PROBES: dict[str, Callable[[float], dict[str, float | str]]] = {
    "group_sums": group_sums,
    "fused": fused,
    "two_steps": two_steps,
}


def synthesis_inputs(vocabulary: bulkgen.Vocabulary) -> tuple[AnnData, AnnData]:
    """Bulk profiles of two labels with 20,000 genes of the vocabulary, and the cells they come from."""
    cells = workloads.cells_of_vocabulary(vocabulary, REFERENCE_CELLS, workloads.GENES, workloads.GENES_PER_CELL)
    cells.obs["label"] = pd.Categorical(cells.obs["label"])
    return bulkgen.bulk_profiles(cells, by="label"), cells


def _synthesis(cells: int, run: Callable[..., bulkgen.TokenDataset]) -> dict[str, float | str]:
    vocabulary = workloads.vocabulary("V1")
    profiles, reference = synthesis_inputs(vocabulary)
    # on the disk of the cache: a million cells take gigabytes, and a temporary folder may be in memory
    workloads.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workloads.CACHE) as folder:
        run(profiles, reference, 10, vocabulary, Path(folder) / "warm")
        forget_peak()
        start = time.perf_counter()
        tokens = run(profiles, reference, cells // 2, vocabulary, Path(folder) / "tokens")
        seconds = time.perf_counter() - start
        assert len(tokens) == cells // 2 * 2
        return {"cells": len(tokens), "seconds": seconds, "peak": peak()}


def _bytes(matrix) -> int:
    return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes


def _status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", choices=PROBES)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    print(json.dumps(PROBES[arguments.probe](arguments.scale)))
