"""Run every test of a law, and record how near each statistic came to its threshold.

    make laws [LAWS_DRAWS=1]

The tests that are marked ``laws`` compare what the samplers draw with laws that SciPy or a simulation states, and give
the same comparisons samplers that are wrong on purpose (``caught(...)``). What they assert is taken down as it passes:
the comparison as it is written in the test, how often it was made, and the value that came nearest to the threshold.

Writes ``benchmarks/results/reliability/laws.json``, every comparison under ``details``; fails where a test does.
"""

from __future__ import annotations

import argparse
import ast
import math
import os
import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass

import pytest

from record import ROOT, Row, write_rows

#: What tests of laws say of the samplers that are wrong.
WRONG = "caught("


@dataclass
class Comparison:
    """What a test asserts at one place.

    Attributes
    ----------
    file, test
        Where.
    asserted
        As it is written.
    wrong_sampler
        Whether the sampler was wrong on purpose.
    times
        How often.
    draws
        ``N`` of the file: the values or cells that a comparison draws unless the test says otherwise.
    nearest, threshold
        The value that came nearest to passing for the contrary, where one number was compared with another.
    """

    file: str
    test: str
    asserted: str
    wrong_sampler: bool
    times: int = 0
    draws: int | None = None
    nearest: float | None = None
    threshold: float | None = None

    def add(self, explanation: str) -> None:
        """Take down one more comparison, as pytest explains it."""
        self.times += 1
        found = numbers_compared(explanation)
        if found is None:
            return
        value, threshold = found
        if self.nearest is None or distance(value, threshold) < distance(self.nearest, self.threshold):
            self.nearest, self.threshold = value, threshold


def distance(value: float, threshold: float) -> float:
    """Return how far a statistic is from its threshold, in powers of e; one of the other sign is very far."""
    return abs(math.log(value / threshold)) if threshold and value / threshold > 0 else math.inf


def numbers_compared(explanation: str) -> tuple[float, float] | None:
    """Return a statistic and its threshold, if these are what pytest explains an assertion with."""
    explanation = re.sub(r"np\.(?:float|int)\d+\(([^()]*)\)", r"\1", explanation)
    line = explanation.split("\n", 1)[0]
    # of a wrong sampler: True, where True = caught(3.5 > 1)
    if inside := re.search(r"caught\((.*)\)$", explanation, re.MULTILINE):
        line = inside[1]
    # pytest.approx: the difference in units of what is tolerated
    if near := re.fullmatch(r"(\S+) == (\S+) ± (\S+)", line):
        value, expected, tolerance = map(float, near.groups())
        return abs(value - expected) / tolerance, 1.0
    try:
        comparison = ast.parse(line, mode="eval").body
    except SyntaxError:
        return None
    if not (isinstance(comparison, ast.Compare) and isinstance(comparison.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)):
        return None
    value, threshold = (number(side) for side in (comparison.left, comparison.comparators[0]))
    return None if value is None or threshold is None else (value, threshold)


def number(side: ast.expr) -> float | None:
    """Return the value of an expression of numbers alone."""
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    if not all(isinstance(node, allowed) for node in ast.walk(side)):
        return None
    value = eval(compile(ast.Expression(side), "", "eval"), {"__builtins__": {}})
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


class Recorder:
    """A pytest plugin that takes down what is asserted and which tests fail."""

    def __init__(self) -> None:
        self.comparisons: dict[tuple[str, str, int], Comparison] = {}
        self.failed: list[str] = []

    def pytest_assertion_pass(self, item: pytest.Function, lineno: int, orig: str, expl: str) -> None:
        """Take down an assertion that held."""
        file = item.path.relative_to(ROOT).as_posix()
        asserted = " ".join(re.sub(r"\s#.*", "", orig).split())
        key = (file, item.originalname, lineno)
        if key not in self.comparisons:
            draws = getattr(item.module, "N", None)
            wrong = asserted.startswith(WRONG)
            self.comparisons[key] = Comparison(file, item.originalname, asserted, wrong, draws=draws)
        self.comparisons[key].add(expl)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down a test that fails."""
        if report.failed:
            self.failed.append(report.nodeid)


def rows_of(comparisons: list[Comparison], failed: list[str]) -> list[Row]:
    """Sum up by file: the laws, and the samplers that are wrong."""
    rows = []
    for file in sorted({comparison.file for comparison in comparisons} | {name.split("::")[0] for name in failed}):
        laws, wrong = ([c for c in comparisons if c.file == file and c.wrong_sampler == kind] for kind in (False, True))
        names = [name for name in failed if name.startswith(file)]
        tests = len({comparison.test for comparison in laws})
        note = "; ".join([f"{tests} tests", *(f"failed: {name}" for name in names)])
        rows.append(Row(f"laws: {file}", sum(c.times for c in laws) + len(names), len(names), note))
        if wrong:
            note = "; ".join(f"`{c.asserted[len(WRONG) : -1]}` at {c.nearest:.3g} or beyond" for c in wrong)
            rows.append(Row(f"wrong samplers caught: {file}", sum(c.times for c in wrong), 0, note))
    return rows


def main() -> None:
    """Run the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1, help="so many times as many as the suite")
    arguments = parser.parse_args()
    os.environ["BULKGEN_LAWS_DRAWS"] = str(arguments.draws)
    started = time.monotonic()
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as compiled:
        # assertions are compiled anew, so that they report what they compare
        sys.pycache_prefix = compiled
        options = ["-q", "-m", "laws", "-o", "enable_assertion_pass_hook=true", "-p", "no:cacheprovider"]
        status = pytest.main([*options, "--rootdir", str(ROOT), str(ROOT / "tests")], plugins=[recorder])
    comparisons = [comparison for comparison in recorder.comparisons.values() if comparison.nearest is not None]
    path = write_rows(
        "laws",
        "Laws of the samplers",
        rows_of(comparisons, recorder.failed),
        started=started,
        command=f"make laws LAWS_DRAWS={arguments.draws}",
        details=[asdict(comparison) for comparison in comparisons],
    )
    print(path)
    sys.exit(status)


if __name__ == "__main__":
    main()
