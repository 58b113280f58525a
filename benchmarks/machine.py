"""What a figure was measured on, and where it is written."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "bulkgen",
    "numpy",
    "scipy",
    "numba",
    "anndata",
    "pyarrow",
    "datasets",
    "scikit-learn",
    "torch",
    "transformers",
    "scanpy",
    "decoupler",
    "pytest-benchmark",
)


def machine() -> dict[str, object]:
    """Processor, cores, memory, system, versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def name() -> str:
    """Processor and cores as part of a file name."""
    found = machine()
    return re.sub(r"[^a-z0-9]+", "-", f"{found['processor']} {found['cores']} cores".lower()).strip("-")


def write_results(name: str, results: object, *, folder: Path = RESULTS, command: str | None = None) -> Path:
    """Write results with the machine and the command that made them to ``<folder>/<date>-<name>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC).date()}-{name}.json"
    command = command or "python " + shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    record = {"command": command, "machine": machine(), "results": results}
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open() as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
