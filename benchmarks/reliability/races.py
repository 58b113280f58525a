"""Run the kernels in threads under ThreadSanitizer, again and again, and record what it sees.

    make tsan

``cpp/tests/test_threads.cpp`` runs every kernel over disjoint ranges in four threads, as ``parallel_ranges`` does, and
compares the bits with those of one thread. Threads meet in other orders each time.

Writes ``benchmarks/results/reliability/races.json``; fails where a race was seen or a bit differed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from record import ROOT, Row, write_rows

PROGRAM = ROOT / "build" / "thread" / "cpp" / "tests" / "test_threads"


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    started = time.monotonic()
    reports = []
    for _ in range(runs):
        done = subprocess.run([PROGRAM], capture_output=True, text=True, check=False)
        if done.returncode:
            reports.append(done.stderr)
            print(done.stderr)
    note = "; ".join(["ThreadSanitizer, four threads, every kernel", *sorted({text.strip()[:200] for text in reports})])
    rows = [Row("kernels in threads", runs, len(reports), note)]
    path = write_rows("races", "Kernels in threads", rows, started=started, command="make tsan")
    print(rows[0], path, sep="\n")
    sys.exit(1 if reports else 0)


if __name__ == "__main__":
    main()
