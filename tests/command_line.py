"""The command line through real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from json_schemas import check_json


def run(*arguments: object, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run ``bulkgen`` as in a terminal of 80 columns, whatever it ends with; JSON must fit its schema."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1"}
    environment.pop("BULKGEN_DEBUG", None)
    done = subprocess.run(
        [sys.executable, "-m", "bulkgen", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    check_json(arguments, done.stdout)
    return done
