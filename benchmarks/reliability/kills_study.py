"""A study that is killed at random moments: nothing lost, nothing half-written, the same tables at the end.

    python benchmarks/reliability/kills_study.py [--kills 50]

The small study of the tests, with runs in the runner's own process and in processes of their own, half of the kills
each. Writes ``benchmarks/results/reliability/kills_study.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from kills import campaign, run
from record import ROOT, write_rows

sys.path.append(str(ROOT / "tests"))

from small_study import results_of_runs, tables, write_small_study


def half_written(out: Path) -> str | None:
    """Say which record or table cannot be whole."""
    for path in out.glob("runs/*.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            return "a record is half written"
    for path in out.glob("*.csv"):
        if not path.read_text().endswith("\n"):
            return "a table is half written"
    return None


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of both ways to run together")
    kills = parser.parse_args().kills
    started = time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        study = write_small_study(place)
        for jobs, share in ((1, kills - kills // 2), (2, kills // 2)):
            here = place / f"jobs-{jobs}"
            here.mkdir()

            def command(out: Path, jobs: int = jobs) -> list[str]:
                return [sys.executable, "-m", "bulkgen", "study", "run", str(study), "--out", str(out), "--no-report",
                        "--jobs", str(jobs)]  # fmt: skip

            run(command(here / "whole"))
            whole = tables(here / "whole"), results_of_runs(here / "whole")

            def difference(out: Path, whole: tuple[object, object] = whole) -> str | None:
                if tables(out) != whole[0]:
                    return "other tables than without interruption"
                return None if results_of_runs(out) == whole[1] else "other results than without interruption"

            case = f"SIGKILL of a study, {jobs} process{'es' if jobs > 1 else ''} at the same time"
            rows.append(
                campaign(case, command, here, kills=share, fault=half_written, difference=difference, seed=jobs)
            )
            print(rows[-1])
    print(write_rows("kills_study", "A study killed at random moments", rows, started=started))


if __name__ == "__main__":
    main()
