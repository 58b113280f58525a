"""What is claimed of each job, with its target, and whether a run bears it out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from race import ratios, spread

#: Results of a run: "races" and "memory" by name.
Results = Mapping[str, Mapping[str, dict]]
MEBIBYTE = 2**20
KERNELS = (
    "truncated_gaussian_rejection",
    "truncated_gaussian_inverse",
    "group_sums",
    "group_moments",
    "tokens_in_memory",
    "multinomial",
    "poisson_log_normal",
    "negative_binomial",
    "donor_shift",
    "copula",
    "thin_rows",
)
#: Methods with targets of speed, and the others.
FAST = ("multinomial", "negative_binomial", "donor_shift")
GENERATORS = (*FAST, "poisson", "copula", "thin", "pseudobulk")


@dataclass(frozen=True)
class Bound:
    """A target: the median is to be at most, or at least, a value."""

    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


class Figure(Protocol):
    """One measured quantity."""

    job: str
    target: Bound | None

    def measure(self, results: Results) -> dict[str, object] | None:
        """Text, unit and values, or None where the run has no such figure."""


@dataclass(frozen=True)
class Time:
    """Time of a side: of the whole (``s``), or of one unit of its work."""

    job: str
    race: str
    side: str
    unit: str
    target: Bound | None = None
    factor: float = 1.0
    per_work: bool = False

    def measure(self, results: Results) -> dict[str, object] | None:
        """Values in the unit."""
        found = results["races"].get(self.race)
        if found is None or not found["seconds"].get(self.side):
            return None
        scale = self.factor / (found["work"] if self.per_work else 1)
        return {"what": self.side, "unit": self.unit, "values": [s * scale for s in found["seconds"][self.side]]}


@dataclass(frozen=True)
class Rate:
    """Units of work per second of a side."""

    job: str
    race: str
    side: str
    unit: str
    target: Bound | None = None

    def measure(self, results: Results) -> dict[str, object] | None:
        """Values in the unit."""
        found = results["races"].get(self.race)
        if found is None or not found["seconds"].get(self.side):
            return None
        return {
            "what": self.side,
            "unit": self.unit,
            "values": [found["work"] / s for s in found["seconds"][self.side]],
        }


@dataclass(frozen=True)
class Ratio:
    """How many times as long `slow` took as `fast`, round by round."""

    job: str
    race: str
    slow: str
    fast: str
    target: Bound | None = None

    def measure(self, results: Results) -> dict[str, object] | None:
        """Ratios."""
        seconds = results["races"].get(self.race, {}).get("seconds", {})
        if not seconds.get(self.slow) or not seconds.get(self.fast):
            return None
        return {
            "what": self.fast,
            "against": self.slow,
            "unit": "×",
            "values": self._values(seconds[self.slow], seconds[self.fast]),
        }

    @staticmethod
    def _values(slow: list[float], fast: list[float]) -> list[float]:
        if len(slow) == 1 and len(fast) > 1:
            # a side that ran once met one round of the other, which may have been an odd one
            return ratios(slow, [statistics.median(fast)])
        return ratios(slow, fast)


@dataclass(frozen=True)
class Memory:
    """A figure of a memory probe: one field less another, in MiB."""

    job: str
    probe: str
    what: str
    field: str
    less: str | None = None
    target: Bound | None = None

    def measure(self, results: Results) -> dict[str, object] | None:
        """Mebibytes."""
        found = results["memory"].get(self.probe)
        if found is None or self.field not in found:
            return None
        value = found[self.field] - (found[self.less] if self.less else 0)
        return {"what": self.what, "unit": "MiB", "values": [value / MEBIBYTE]}


@dataclass(frozen=True)
class ProbeRate:
    """Cells per second of a memory probe."""

    job: str
    probe: str
    what: str
    target: Bound | None = None

    def measure(self, results: Results) -> dict[str, object] | None:
        """Cells per second."""
        found = results["memory"].get(self.probe)
        if found is None or "seconds" not in found:
            return None
        return {"what": self.what, "unit": "cells/s", "values": [found["cells"] / found["seconds"]]}


def _figures() -> Iterator[Figure]:
    job = "truncated_gaussian"
    for sampler, at_most in (("rejection", 2.5), ("inverse", 3.0)):
        one, two = f"bulkgen {sampler}, 1 thread", f"bulkgen {sampler}, 2 threads"
        yield Time(job, job, one, "ns per value", Bound(at_most=at_most), factor=1e9, per_work=True)
        yield Time(job, job, two, "ns per value", factor=1e9, per_work=True)
        yield Ratio(job, job, one, two, Bound(at_least=1.7))
        yield Time(job, job, f"bulkgen {sampler}, plan", "ms", factor=1e3)
    for sampler in ("inverse", "rejection"):
        # the kernel alone, into memory that is there, is what the targets were set for; the whole call is what a
        # caller pays who makes a plan and an array for a thousand cells
        fast = f"bulkgen {sampler}, 1 thread"
        yield Ratio(job, job, "NumPy, redrawn", fast, Bound(at_least=35))
        yield Ratio(job, job, "NumPy, redrawn, tuned", fast)
        yield Ratio(job, job, "scipy.stats.truncnorm", fast, Bound(at_least=120))
        for peer in ("NumPy, redrawn", "NumPy, redrawn, tuned", "scipy.stats.truncnorm"):
            yield Ratio(job, job, peer, f"{fast}, whole call")

    job = "pseudobulk"
    # the targets are of dense sums in groups of ten (the product gives sparse ones)
    for race, at_most, targets in (
        ("pseudobulk_many", 0.20, [Bound(at_least=limit) for limit in (20, 100, 8)]),
        ("pseudobulk_few", 0.15, [None, None, None]),
    ):
        yield Time(job, race, "bulkgen dense", "s", Bound(at_most=at_most))
        yield Ratio(job, race, "scanpy", "bulkgen dense", targets[0])
        yield Ratio(job, race, "decoupler", "bulkgen dense", targets[1])
        yield Time(job, race, "bulkgen sparse", "s")
        yield Ratio(job, race, "SciPy product", "bulkgen dense", targets[2])
        yield Ratio(job, race, "SciPy product", "bulkgen sparse")
        yield Ratio(job, race, "bulkgen sparse, 1 thread", "bulkgen sparse")
    for race in ("checks_many", "checks_few"):
        yield Time(job, race, "with checks", "s")
        yield Ratio(job, race, "with checks", "without checks", Bound(at_most=1.10))
    yield Memory(
        job, "group_sums", "peak beyond input and output, sparse", "peak_beyond_input", "output", Bound(at_most=64)
    )

    job = "gene_moments"
    yield Time(job, job, "bulkgen", "s", Bound(at_most=0.4))
    yield Time(job, job, "bulkgen, 1 thread", "s")
    for peer in (
        "scanpy aggregate (mean, variance)",
        "scanpy private (mean, variance)",
        "scikit-learn (mean, variance)",
    ):
        yield Ratio(job, job, peer, "bulkgen")

    job = "tokenize"
    yield Rate(job, job, "bulkgen", "cells/s", Bound(at_least=40_000))
    yield Rate(job, job, "bulkgen, 1 thread", "cells/s")
    yield Ratio(job, job, "plain tokenizer", "bulkgen", Bound(at_least=60))

    job = "synthesize"
    yield ProbeRate(job, "fused", "a million cells straight to tokens", Bound(at_least=10_000))
    yield Memory(job, "fused", "peak of the process, straight to tokens", "peak", target=Bound(at_most=1024))
    yield ProbeRate(job, "two_steps", "5,000 cells through h5ad")
    yield Memory(job, "two_steps", "peak of the process, through h5ad, 5,000 cells", "peak")
    yield Ratio(job, job, "through h5ad", "straight to tokens")

    job = "synthetic_tokens"
    yield Rate(job, job, "1 worker", "cells/s", Bound(at_least=10_000))
    yield Rate(job, job, "no worker", "cells/s")
    yield Rate(job, job, "stored cells, 1 worker", "cells/s")

    job = "generators"
    for method in GENERATORS:
        race, fast = f"generator_{method}", method in FAST
        yield Rate(job, race, "to CSR", "cells/s", Bound(at_least=15_000) if fast else None)
        yield Rate(job, race, "to CSR, 1 thread", "cells/s")
        yield Rate(job, race, "to tokens", "cells/s", Bound(at_least=12_000) if fast else None)
        yield Rate(job, race, "to tokens, 1 thread", "cells/s")
        if method not in ("copula", "thin", "pseudobulk"):
            yield Ratio(job, f"peer_{method}", "NumPy", "bulkgen", Bound(at_least=30) if fast else None)
            yield Ratio(job, f"peer_{method}", "NumPy", "bulkgen, 1 thread")
    for method in GENERATORS:
        yield Time(job, "generator_fit", method, "s", Bound(at_most=10))
    for race in ("thin_cells", "thin_libraries"):
        yield Time(job, race, "bulkgen", "ns per entry", factor=1e9, per_work=True)
        yield Ratio(job, race, "NumPy", "bulkgen")
        yield Ratio(job, race, "NumPy", "bulkgen, 1 thread")

    job = "import"
    yield Time(job, job, "import bulkgen", "ms", Bound(at_most=150), factor=1e3)
    yield Time(job, job, "import bulkgen, first use of pseudobulk", "ms", factor=1e3)

    job = "kernels"
    for kernel in KERNELS:
        race = f"kernel_{kernel}"
        yield Ratio(job, race, "native, 1 thread", "native, 2 threads")
        yield Ratio(job, race, "numba, 1 thread", "native, 1 thread", Bound(at_most=3))
        for level in ("baseline", "x86-64-v3"):
            yield Ratio(job, race, f"native {level}, 1 thread", "native, 1 thread")


FIGURES = tuple(_figures())


def judge(results: Results, *, judged: bool) -> list[dict[str, object]]:
    """Figures of a run with their targets; ``met`` is None without a target, or where the run is not `judged`."""
    rows: list[dict[str, object]] = []
    for figure in FIGURES:
        measured = figure.measure(results)
        if measured is None:
            continue
        value = spread(measured.pop("values"))  # type: ignore[arg-type]
        row = {"job": figure.job, "race": getattr(figure, "race", None), **measured, **value}
        if figure.target is not None:
            bound = {"at_most": figure.target.at_most, "at_least": figure.target.at_least}
            row["target"] = {name: limit for name, limit in bound.items() if limit is not None}
            row["met"] = figure.target.met(value["median"]) if judged else None
        rows.append(row)
    return rows
