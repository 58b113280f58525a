"""What the report of a study shows, as plain data: its tables, and the questions they answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bulkgen.report.tables import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkgen.fidelity.results import BenchmarkResults

__all__ = ["ACCURACY", "FLOOR", "REAL", "SCORE", "PartWords", "StudyContent", "first_of", "runs_in"]

#: Series that stand in many parts: the real training cells, and independent Poisson counts of the bulk's means.
REAL, FLOOR = "real cells", "Poisson floor"
#: The score that figures and findings are about, and the plain one beside it.
SCORE, ACCURACY = "balanced_accuracy", "accuracy"

_COLUMNS = ("part", "problem", "series", "name", "x", "model", "seed", "key", "status")


@dataclass(frozen=True)
class PartWords:
    """A part of a study, in words; `x_name` has its unit and is empty where the part has no axis."""

    name: str
    letter: str
    title: str
    question: str
    x_name: str = ""


@dataclass(frozen=True, eq=False)
class StudyContent:
    """All that the report of a study shows; it knows nothing of how the runs were made.

    Attributes
    ----------
    name
        Of the study.
    data
        As in a study's ``data.json``: ``name``, ``simulated``, ``note``, ``citation``, ``n_cells``, ``n_genes``,
        ``labels`` (cells of each label), ``control``; whatever else it has is listed as it is.
    parts
        The parts, in the order of the report.
    table
        One row per point, as in ``results.parquet``: part, problem, series, name, x, model, seed, key, status
        (``done``, ``failed`` or ``missing``) and the scores.
    specifications
        What every run of the table is, by key, done or not: the ``run`` of ``runs/<key>.json``.
    runs
        Results by key, as in ``runs/<key>.json``.
    split
        One row per cell: ``part`` (train, validation or test) and ``label``.
    command
        What makes the study again.
    settings
        The study's TOML, every default spelled out.
    versions
        Packages.
    citations
        What to cite.
    benchmark
        The benchmark of generators on the same cells, where there is one.
    """

    name: str
    data: Mapping[str, Any]
    parts: tuple[PartWords, ...]
    table: pd.DataFrame
    specifications: Mapping[str, Mapping[str, Any]]
    runs: Mapping[str, Mapping[str, Any]]
    split: pd.DataFrame
    command: str
    settings: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    benchmark: BenchmarkResults | None = None

    def __post_init__(self) -> None:
        absent = [column for column in _COLUMNS if column not in self.table]
        if absent:
            raise ValueError(f"the table of a study lacks the columns {', '.join(absent)}")
        unknown = sorted(set(self.table["part"]) - {part.name for part in self.parts})
        if unknown:
            raise ValueError(f"the table names parts that the study does not have: {', '.join(unknown)}")
        undescribed = set(self.table["key"]) - set(self.specifications)
        if undescribed:
            raise ValueError(f"{len(undescribed)} runs of the table are not specified, the first is {min(undescribed)}")
        lost = set(self.table.loc[self.table["status"] != "missing", "key"]) - set(self.runs)
        if lost:
            raise ValueError(f"{len(lost)} runs of the table have no result, the first is {min(lost)}")

    @cached_property
    def points(self) -> pd.DataFrame:
        """The table with what its runs say of their training sets, one column each.

        ``kind`` is that of the only component, or ``mixed``; ``strategy``, ``k``, ``thin`` are of pseudo-bulk,
        ``generator`` (a method and its parameters) of synthetic cells. ``every`` says that all real cells are there,
        ``plain`` that nothing else is and nothing taken away: the ceiling.
        """
        described = {key: _described(run) for key, run in self.specifications.items()}
        columns = pd.DataFrame([described[key] for key in self.table["key"]], index=self.table.index)
        columns = columns.reindex(columns=list(_DESCRIPTION))
        flags = {name: columns[name].eq(other=True) for name in ("plain", "every", "thin")}
        return pd.concat([self.table, columns.assign(**flags)], axis=1)

    @property
    def simulated(self) -> bool:
        """Whether no cell of the study was measured."""
        return bool(self.data["simulated"])

    @property
    def mark(self) -> str | None:
        """What every figure says in its corner."""
        return "simulated data" if self.simulated else None

    @property
    def models(self) -> tuple[str, ...]:
        """Models in the order of the table."""
        return tuple(dict.fromkeys(self.table["model"]))

    @property
    def seeds(self) -> int:
        """Number of different seeds."""
        return int(self.table["seed"].nunique())

    @property
    def failed(self) -> dict[str, Mapping[str, Any]]:
        """The runs that failed, by key."""
        return {key: run for key, run in self.runs.items() if run["status"] == "failed"}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels of the whole problem."""
        return tuple(self.data["labels"])

    def problems(self, part: str) -> tuple[str, ...]:
        """Problems of a part, those of more labels first."""
        rows = self.table[self.table["part"] == part]
        n_labels = {problem: self.n_labels(problem) for problem in dict.fromkeys(rows["problem"])}
        return tuple(sorted(n_labels, key=lambda problem: -n_labels[problem]))

    def n_labels(self, problem: str) -> int:
        """Count the labels of a problem; 0 while no run of it is done."""
        chance = self.chance(problem)
        return 0 if np.isnan(chance) else round(1 / chance)

    def done(self, part: str, problem: str | None = None, model: str | None = None) -> pd.DataFrame:
        """Points of a part whose runs are done."""
        found = self.points
        here = (found["part"] == part) & (found["status"] == "done")
        if problem is not None:
            here &= found["problem"] == problem
        if model is not None:
            here &= found["model"] == model
        return found[here]

    def ceiling(self, problem: str, model: str, column: str = SCORE) -> Spread:
        """Score of the model trained on all real training cells, over seeds; wherever in the study that was done."""
        return self._anywhere(self.points["plain"], problem, model, column)

    def floor(self, problem: str, model: str) -> Spread:
        """Score of the model trained on independent Poisson counts, where the study has that."""
        return self._anywhere(self.points["series"] == FLOOR, problem, model, SCORE)

    def chance(self, problem: str) -> float:
        """Balanced accuracy of guessing, and of always saying one label: one over the number of labels."""
        return self._first(problem, "chance")

    def majority(self, problem: str, column: str = SCORE) -> float:
        """Score of always saying the commonest label of the training cells."""
        return self.chance(problem) if column == SCORE else self._first(problem, f"majority_{column}")

    def test_scores(self, rows: pd.DataFrame) -> list[Mapping[str, Any]]:
        """Return the test scores of the runs of some points, as ``Scores.to_dict`` gave them."""
        return [self.runs[key]["result"]["test"] for key in dict.fromkeys(rows["key"])]

    def _anywhere(self, where: pd.Series[bool], problem: str, model: str, column: str) -> Spread:
        found = self.points
        here = where & (found["problem"] == problem) & (found["model"] == model) & (found["status"] == "done")
        # parts share this run; and which cells chose its epoch makes two runs, but not two seeds
        return Spread.of(found[here].drop_duplicates("seed")[column])

    def _first(self, problem: str, column: str) -> float:
        found = self.points
        # a part that tests at one dose may lack a label there
        here = (found["problem"] == problem) & found["test_dose"].isna()
        return first_of(found.loc[here if here.any() else found["problem"] == problem], column)


def first_of(rows: pd.DataFrame, column: str) -> float:
    """Return the first value that a column has; NaN if it has none."""
    values = rows[column].dropna().to_list() if column in rows else []
    return float(values[0]) if values else float("nan")


def runs_in(rows: pd.DataFrame) -> dict[str, int]:
    """Count the runs of some points by status: ``all``, ``done``, ``failed``, ``missing``."""
    statuses = dict(zip(rows["key"], rows["status"], strict=True))
    counts = Counter(statuses.values())
    return {"all": len(statuses)} | {status: counts[status] for status in ("done", "failed", "missing")}


_DESCRIPTION = (
    "kind",
    "plain",
    "every",
    "k",
    "strategy",
    "thin",
    "generator",
    "validation",
    "ablation",
    "test_dose",
)


def _described(run: Mapping[str, Any]) -> dict[str, object]:
    """Say in columns what a run's specification says of its training set."""
    training = run["training"]
    found: dict[str, object] = {name: run.get(name) for name in ("validation", "ablation", "test_dose")}
    found |= {"kind": training[0]["kind"] if len(training) == 1 else "mixed", "every": False}
    for cells in training:
        if cells["kind"] == "real":
            found["every"] = (
                cells.get("per_class") is None and cells.get("share", 1) == 1 and cells.get("without_dose") is None
            )
        elif cells["kind"] == "pseudobulk":
            found |= {name: cells.get(name) for name in ("k", "strategy", "thin")}
        else:
            parameters = ", ".join(f"{name} {value}" for name, value in cells["parameters"].items())
            found["generator"] = cells["method"] + (f" ({parameters})" if parameters else "")
    alone = found["kind"] == "real" and found["every"]
    found["plain"] = alone and found["ablation"] == "none" and found["test_dose"] is None
    return found
