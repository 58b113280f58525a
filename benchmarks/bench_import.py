"""Time of ``import bulkgen`` in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys

import workloads

_CODE = """
import json, sys, time
start = time.perf_counter()
{statement}
print(json.dumps([time.perf_counter() - start, sorted({{name.split(".")[0] for name in sys.modules}})]))
"""
STATEMENTS = {
    "import bulkgen": "import bulkgen",
    # what is put off is not saved
    "import bulkgen, first use of pseudobulk": "import bulkgen; bulkgen.pseudobulk",
}
HEAVY = {"torch", "numba", "anndata", "datasets", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow"}
RUNS = 10


def bench_import(benchmark, scale):
    """Seconds inside the process, without the start of the interpreter; the first run warms the disk cache."""
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}

    def run() -> None:
        for name, statement in STATEMENTS.items():
            command = [sys.executable, "-c", _CODE.format(statement=statement)]
            elapsed, modules = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            if name == "import bulkgen":
                assert not HEAVY & set(modules)
            seconds[name].append(elapsed)

    benchmark.pedantic(run, rounds=workloads.scaled(RUNS, scale, least=2), warmup_rounds=1, iterations=1)
    benchmark.extra_info.update(
        race="import",
        seconds={name: times[1:] for name, times in seconds.items()},
        work=1,
        checked=f"`import bulkgen` loads none of {', '.join(sorted(HEAVY))}.",
        absent={},
    )
