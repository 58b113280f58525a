"""Dieharder (Brown, Eddelbuettel, Bauer) over the random words, and over the normals that are made of them.

    make dieharder
    python benchmarks/reliability/dieharder.py [--tests 0 2 8 ...] [--seed 20261123]

Needs the program ``dieharder`` (a Debian package), which reads 32-bit words from a pipe. Every test of every stream has
cells of its own, so no two see the same words. A test fails where a p-value lies within 1e-6 of 0 or 1 (dieharder's own
rule): by chance in one of half a million. "WEAK" (within 0.005 of either end) is expected in one of a hundred.

Normals are float32 and right to 6e-7 · max(1, |z|): as Φ(z), to 2⁻²² at worst. The upper 16 bits of Φ(z) are looked
at: 64 steps of that error make one of theirs, so that what the battery sees is the sampler and not the rounding. Two
normals make a word.

The battery must also catch something: the control repeats one block of four words in a thousand, and must fail.

Writes ``benchmarks/results/reliability/dieharder.json``.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import ndtr

from bulkgen.kernels import get_kernels
from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian
from bulkgen.rng import Purpose
from record import Row, write_rows

#: Those that dieharder itself calls good, without 17, 202, 203 and 209, which take as long as all others together.
TESTS = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 100, 101, 102, 200, 201, 204, 205, 206, 207, 208)
#: Tests of tuples of bits, or of points in a space, and of how many; the others choose for themselves.
TUPLES = {200: 8, 201: 3}
#: Values made at a time.
BLOCK = 1 << 18
#: Beyond six deviations a normal is drawn one by one, in double precision; the genes here have none.
FAR = 6.0


def words_of(key: int, first_cell: int, shape: tuple[int, int]) -> np.ndarray:
    """Words at (cell, position), cell by cell."""
    out = np.empty(shape, np.uint32)
    get_kernels().philox_words(out, key=key, purpose=int(Purpose.MULTINOMIAL), first_cell=first_cell)
    return out


def along_a_cell(key: int, first_cell: int) -> Iterator[np.ndarray]:
    """Make all words of a few cells."""
    for cell in itertools.count(first_cell):
        yield words_of(key, cell, (1, BLOCK))


def across_cells(key: int, first_cell: int) -> Iterator[np.ndarray]:
    """Make the first four words of many cells."""
    for cell in itertools.count(first_cell, BLOCK // 4):
        yield words_of(key, cell, (BLOCK // 4, 4))


def repeated(key: int, first_cell: int) -> Iterator[np.ndarray]:
    """Make words of which some stand twice: what a lane that is read twice would give."""
    for words in along_a_cell(key, first_cell):
        blocks = words.reshape(-1, 4)
        blocks[1::1024] = blocks[::1024]
        yield words


def normals(sampler: str) -> Callable[[int, int], Iterator[np.ndarray]]:
    """Φ of normals by one of the samplers, 16 bits of each."""
    genes = 1024
    plan = plan_truncated_gaussian(np.zeros(genes), 1.0, -FAR, FAR, sampler=sampler)
    assert plan.odd_gene.size == 0
    below = ndtr(-FAR)

    def stream(key: int, first_cell: int) -> Iterator[np.ndarray]:
        cells = 2 * BLOCK // genes
        values = np.empty((cells, genes), np.float32)
        for cell in itertools.count(first_cell, cells):
            draw_truncated_gaussian(plan, values, key=key, first_cell=cell, threads=1)
            uniform = (ndtr(values.astype(np.float64)) - below) / (1 - 2 * below)
            yield np.minimum(uniform * 65536, 65535).astype(np.uint16)

    return stream


STREAMS: dict[str, Callable[[int, int], Iterator[np.ndarray]]] = {
    "words along a cell": along_a_cell,
    "words across cells": across_cells,
    "Φ of normals by inversion": normals("inverse"),
    "Φ of normals by rejection": normals("rejection"),
}
CONTROL = "control, must fail: a block in a thousand repeated"


def assess(blocks: Iterator[np.ndarray], test: int) -> list[tuple[str, float, str]]:
    """Run one test: name, p-value and dieharder's word for it."""
    command = ["dieharder", "-g", "200", "-d", str(test), "-c", ","]
    command += [part for field in ("test_name", "pvalues", "assessment") for part in ("-D", field)]
    if test in TUPLES:
        command += ["-n", str(TUPLES[test])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def feed() -> None:
            try:
                for block in blocks:
                    process.stdin.write(block.tobytes())
            except (BrokenPipeError, ValueError):
                pass

        feeder = threading.Thread(target=feed)
        feeder.start()
        lines = process.stdout.read().decode().splitlines()
        feeder.join()
    found = []
    for line in lines:
        name, p, word = (field.strip() for field in line.split(","))
        if word not in ("PASSED", "WEAK", "FAILED"):
            raise RuntimeError(f"dieharder said what was not understood: {line}")
        found.append((name, float(p), word))
    if not found:
        raise RuntimeError(f"{shlex.join(command)} said nothing")
    return found


def main() -> None:
    """Run the battery over every stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, nargs="+", default=TESTS)
    parser.add_argument("--seed", type=int, default=20261123)
    arguments = parser.parse_args()
    if shutil.which("dieharder") is None:
        sys.exit("this needs the program dieharder (apt-get install dieharder)")
    started, rows = time.monotonic(), []
    for stream, make in STREAMS.items():
        found = [p_value for test in arguments.tests for p_value in assess(make(arguments.seed, test << 32), test)]
        failed = [f"{name} (p = {p:g})" for name, p, word in found if word == "FAILED"]
        weak = [f"{name} (p = {p:.3g})" for name, p, word in found if word == "WEAK"]
        note = f"{len(arguments.tests)} tests, {len(found)} p-values; weak: {', '.join(weak) or 'none'}"
        rows.append(Row(stream, len(found), len(failed), "; ".join([note, *failed])))
        print(rows[-1], flush=True)
    tried, failed = 0, []
    for test in arguments.tests:
        tried += 1
        failed = [name for name, _, word in assess(repeated(arguments.seed, test << 32), test) if word == "FAILED"]
        if failed:
            break
    rows.append(Row(CONTROL, 1, int(not failed), f"noticed by {failed[0]}, test {tried}" if failed else "not noticed"))
    print(rows[-1], flush=True)
    print(write_rows("dieharder", "Dieharder over random words and normals", rows, started=started))
    sys.exit(1 if any(row.failures for row in rows) else 0)


if __name__ == "__main__":
    main()
