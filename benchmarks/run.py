"""Run the benchmarks: what ``make bench`` calls.

    python benchmarks/run.py [--scale S] [--only JOB ...] [--out FOLDER]

A whole run at full size writes ``benchmarks/results/<date>-<machine>.json`` and ``docs/benchmarks.md`` with its plots.
Any other run writes both to a folder that git ignores, and judges no target.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import claims
import machine
import render

HERE = Path(__file__).parent
ROOT = HERE.parent
#: Job -> memory probes that belong to it.
JOBS: dict[str, tuple[str, ...]] = {
    "truncated_gaussian": (),
    "pseudobulk": ("group_sums",),
    "gene_moments": (),
    "tokenize": (),
    "synthesize": ("fused", "two_steps"),
    "synthetic_tokens": (),
    "generators": (),
    "import": (),
    "kernels": (),
    "scaling": (),
}


def timings(jobs: list[str], scale: float) -> list[dict]:
    """Run pytest-benchmark; what each benchmark left in its record."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", "-v", f"--scale={scale}", "--benchmark-quiet"]
        command += [f"--benchmark-json={path}", *(str(HERE / f"bench_{job}.py") for job in jobs)]
        done = subprocess.run(command, check=False)
        # 5: nothing was collected
        if done.returncode not in (0, 5):
            raise SystemExit(f"a benchmark failed (exit status {done.returncode}): nothing is written")
        text = path.read_text() if path.exists() else ""
        return [found["extra_info"] for found in json.loads(text)["benchmarks"]] if text else []


def memory(jobs: list[str], scale: float) -> dict[str, dict]:
    """Run the memory probes, each in a fresh process."""
    probes = {}
    for probe in (probe for job in jobs for probe in JOBS[job]):
        print(f"memory: {probe}", flush=True)
        command = [sys.executable, str(HERE / "memory.py"), probe, f"--scale={scale}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise SystemExit(f"memory probe {probe} failed:\n{answer.stderr}")
        probes[probe] = json.loads(answer.stdout.splitlines()[-1])
    return probes


def measure(jobs: list[str], scale: float) -> dict[str, object]:
    """Everything that a results file holds beside machine and command."""
    start, elsewhere = time.monotonic(), _busy_elsewhere()
    records = timings(jobs, scale)
    results: dict[str, object] = {
        "scale": scale,
        "jobs": jobs,
        "build": _build(),
        "races": {
            record["race"]: {key: record[key] for key in ("seconds", "work", "checked", "absent")}
            for record in records
            if "race" in record
        },
        "curves": {record["curve"]: record["curves"] for record in records if "curve" in record},
        "memory": memory(jobs, scale),
    }
    results["figures"] = claims.judge(results, judged=scale == 1.0)  # type: ignore[arg-type]
    seconds = time.monotonic() - start
    results["minutes"] = round(seconds / 60, 1)
    after = _busy_elsewhere()
    busy = None if elsewhere is None or after is None else (after - elsewhere) / seconds
    results["cores_busy_elsewhere"] = busy if busy is None else round(max(busy, 0.0), 2)
    return results


def main(arguments: list[str] | None = None) -> None:
    """Measure, write, render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="number of cells relative to the full size")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--out", type=Path, help="folder for the results and the page")
    given = parser.parse_args(arguments)
    if given.scale <= 0:
        parser.error(f"--scale must be positive, got {given.scale}")
    whole = given.scale == 1.0 and set(given.only) == set(JOBS)
    folder = given.out or (machine.RESULTS if whole else ROOT / "build" / "benchmarks" / "results")
    pages = given.out or (render.DOCS if whole else ROOT / "build" / "benchmarks")
    words = sys.argv[1:] if arguments is None else arguments
    command = "make bench" + (f" ARGS={shlex.quote(shlex.join(words))}" if words else "")
    path = machine.write_results(machine.name(), measure(given.only, given.scale), folder=folder, command=command)
    print("written to", path)
    for page in render.write(path, pages):
        print("written to", page)


def _busy_elsewhere() -> float | None:
    """Processor seconds of all other processes since the start of the system (Linux, proc(5)); they disturb."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _, _, irq, softirq = (int(ticks) for ticks in stat.read_text().split()[1:8])
    everybody = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    return everybody - sum(os.times()[:4])


def _build() -> dict[str, object]:
    """How the compiled core was built and what it runs on here."""
    from bulkgen.kernels import available_threads, backend_names, get_kernels

    build: dict[str, object] = {"backends": backend_names(), "threads": available_threads()}
    if "native" in backend_names():
        native = get_kernels("native")
        build.update({name: getattr(native, name) for name in ("compiler", "levels", "level")})
    return build


if __name__ == "__main__":
    main()
