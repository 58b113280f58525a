"""Options and fixtures of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import scipy.sparse as sp

import workloads
from race import Seconds
from race import race as run_race


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--scale``."""
    parser.addoption("--scale", type=float, default=1.0, help="number of cells relative to the full size")


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> float:
    """Return the number of cells relative to the full size."""
    return float(request.config.getoption("--scale"))


@pytest.fixture(scope="session")
def counts(scale: float) -> sp.csr_matrix:
    """Make the large matrix: 100,000 cells × 20,000 genes with 1,500 expressed at full size."""
    return workloads.cached_counts(workloads.scaled(workloads.CELLS, scale, least=100))


@pytest.fixture
def race(benchmark) -> Callable[..., Seconds]:
    """Time the sides of a benchmark in turn and leave the figures in pytest-benchmark's record.

    pytest-benchmark times one function after the other; pairs need to alternate. So its one timed call is the whole
    race, and the seconds of the sides stand in ``extra_info``.
    """

    def measure(
        name: str,
        sides: Mapping[str, Callable[[], object]],
        *,
        check: Callable[[str, object], None],
        checked: str,
        rounds: int = 5,
        once: Sequence[str] = (),
        work: int = 1,
        absent: Mapping[str, str] | None = None,
    ) -> Seconds:
        seconds = benchmark.pedantic(
            run_race, args=(sides,), kwargs={"rounds": rounds, "check": check, "once": once}, rounds=1, iterations=1
        )
        benchmark.extra_info.update(race=name, seconds=seconds, work=work, checked=checked, absent=dict(absent or {}))
        return seconds

    return measure
