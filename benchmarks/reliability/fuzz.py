"""Fuzz the kernels' entry points under sanitizers, and record how often and what was found.

    make fuzz [FUZZ_SECONDS=600]

Each target of ``cpp/fuzz`` is a libFuzzer program with AddressSanitizer and UndefinedBehaviourSanitizer (conversions of
floats that do not fit included). Inputs that reach something new are kept in ``build/fuzz/corpus/<target>`` and begin
the next campaign; the first begins with seeds that this script makes. What a sanitizer or a law reports is kept in
``build/fuzz/findings/<target>`` until it no longer shows: ``build/fuzz/cpp/fuzz/fuzz_<target> FILE`` does that again.

Writes ``benchmarks/results/reliability/fuzzing.json``; fails where anything was found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from record import ROOT, Row, write_rows

BUILD = ROOT / "build" / "fuzz"
#: Beyond, a call is a finding: arguments that are not refused must not work for ever.
LONGEST_CALL = 10
#: A target with so many findings is given up.
MOST_FINDINGS = 10


def plant(corpus: Path, n: int = 64) -> None:
    """Write seeds into an empty corpus: the first byte chooses the kernel, the others have every size."""
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    rng = np.random.default_rng(20261123)
    for i in range(n):
        (corpus / f"seed-{i}").write_bytes(bytes([i]) + rng.bytes(4 * i))


def fails(program: Path, finding: Path) -> bool:
    """Whether a finding shows again; on a busy machine a call may only have seemed to take long."""
    return (
        subprocess.run([program, f"-timeout={LONGEST_CALL}", finding], capture_output=True, check=False).returncode != 0
    )


def fuzz(target: str, seconds: int) -> tuple[int, list[str], str]:
    """Run one target: calls, findings (those of earlier campaigns that still show among them), what was reached."""
    corpus, findings = BUILD / "corpus" / target, BUILD / "findings" / target
    plant(corpus)
    findings.mkdir(parents=True, exist_ok=True)
    program = BUILD / "cpp" / "fuzz" / f"fuzz_{target}"
    calls, reached = 0, ""
    end = time.monotonic() + seconds
    options = ["-max_len=1024", f"-timeout={LONGEST_CALL}", "-rss_limit_mb=2500", "-print_final_stats=1"]
    while True:
        found = sorted(path for path in findings.iterdir() if fails(program, path))
        for path in set(findings.iterdir()) - set(found):
            path.unlink()
        # libFuzzer ends at a finding
        left = int(end - time.monotonic())
        if left <= 0 or len(found) >= MOST_FINDINGS:
            return calls, [path.name for path in found], reached
        command = [program, corpus, f"-artifact_prefix={findings}/", f"-max_total_time={left}"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, errors="replace", check=False)
        executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        coverage = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
        calls += int(executed[1]) if executed else 0
        reached = "{} edges, {} features".format(*coverage[-1]) if coverage else reached
        if done.returncode != 0 and not any(findings.iterdir()):
            raise RuntimeError(f"{program} failed and left no finding:\n{done.stderr[-2000:]}")


def main() -> None:
    """Fuzz every target, some at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    arguments = parser.parse_args()
    targets = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "cpp" / "fuzz").glob("fuzz_*.cpp"))
    started = time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda target: fuzz(target, arguments.seconds), targets))
    rows = []
    for target, (calls, found, reached) in zip(targets, results, strict=True):
        note = f"AddressSanitizer, UndefinedBehaviourSanitizer, {arguments.seconds} s; {reached}"
        rows.append(Row(f"libFuzzer: {target}", calls, len(found), "; ".join([note, *found])))
        print(rows[-1])
    command = f"make fuzz FUZZ_SECONDS={arguments.seconds}"
    print(write_rows("fuzzing", "Kernels under a fuzzer and sanitizers", rows, started=started, command=command))
    sys.exit(1 if any(row.failures for row in rows) else 0)


if __name__ == "__main__":
    main()
