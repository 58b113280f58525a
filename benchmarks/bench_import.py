"""Time of ``import bulkgen`` in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys

_CODE = """
import json, sys, time
start = time.perf_counter()
import bulkgen
print(json.dumps([time.perf_counter() - start, sorted({name.split(".")[0] for name in sys.modules})]))
"""
HEAVY = {"torch", "numba", "anndata", "datasets", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow"}
RUNS = 10


def bench_import(benchmark):
    """Seconds inside the process, without the start of the interpreter; the first run warms the disk cache."""
    seconds = []

    def run() -> None:
        answer = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
        elapsed, modules = json.loads(answer.stdout)
        assert not HEAVY & set(modules)
        seconds.append(elapsed)

    benchmark.pedantic(run, rounds=RUNS, warmup_rounds=1, iterations=1)
    benchmark.extra_info.update(
        race="import",
        seconds={"import bulkgen": seconds[1:]},
        work=1,
        checked=f"None of these is loaded by it: {', '.join(sorted(HEAVY))}.",
        absent={},
    )
