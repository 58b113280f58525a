"""What the report of a study shows, as plain data: its tables, and the questions they answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
import pandas as pd

from bulkgen.report.tables import Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bulkgen.fidelity.results import BenchmarkResults

__all__ = [
    "ACCURACY",
    "SCORE",
    "SEEN",
    "Origin",
    "PartWords",
    "StudyContent",
    "error_text",
    "first_of",
    "runs_in",
    "seen_by",
    "shortfall",
]

#: Where the cells of a study come from: measured, simulated, or computed from others (sums, mixtures or synthetic).
Origin: TypeAlias = Literal["real", "simulated", "computed"]
#: What synthetic cells are, by the single cells that their generator learned from.
SEEN = {
    "control": "made of bulk and control cells",
    "seen": "made of bulk, control cells and the real cells of the training set",
    "all": "made with single cells of every label",
}
_SEEN_SHORT = {"control": "control", "seen": "control, own", "all": "all"}
#: The score that figures and findings are about, and the plain one beside it.
SCORE, ACCURACY = "balanced_accuracy", "accuracy"

_COLUMNS = ("part", "problem", "series", "name", "x", "model", "seed", "key", "status")


@dataclass(frozen=True)
class PartWords:
    """A part of a study, in words; `x_name` has its unit and is empty where the part has no axis.

    `note` is what a reader has to know of how the part was made.
    """

    name: str
    letter: str
    title: str
    question: str
    x_name: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class StudyContent:
    """All that the report of a study shows; it knows nothing of how the runs were made.

    Attributes
    ----------
    name
        Of the study.
    data
        As in a study's ``data.json``: ``name``, ``simulated``, ``origin`` (``real``, ``simulated`` or ``computed``;
        absent in studies of old), ``note``, ``citation``, ``n_cells``, ``n_genes``, ``labels`` (cells of each label),
        ``control``; whatever else it has is listed as it is.
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
    benchmark_error
        Why that failed, where it did: ``type`` and ``message``, as of a run.
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
    benchmark_error: Mapping[str, Any] | None = None

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
        ``generator`` (a method and its parameters) of synthetic cells. ``seen`` says whose single cells it was made
        with, as in :data:`SEEN`; ``components`` of how many kinds of cells it is.

        ``every`` says that all real cells are there, or as many of each class as the rarest has; ``proportions`` which
        of the two, ``natural`` or ``equal``, ``None`` for other numbers. ``plain`` says that nothing else is there and
        nothing taken away: the ceiling. ``floor`` are independent Poisson counts of the bulk's means.
        """
        counts = self.split.loc[self.split["part"] == "train", "label"].value_counts()
        train = {str(label): int(n) for label, n in counts.items()}
        described = {key: _described(run, train) for key, run in self.specifications.items()}
        columns = pd.DataFrame([described[key] for key in self.table["key"]], index=self.table.index)
        columns = columns.reindex(columns=list(_DESCRIPTION))
        flags = {name: columns[name].eq(other=True) for name in ("plain", "every", "floor", "thin")}
        return pd.concat([self.table, columns.assign(**flags)], axis=1)

    @property
    def origin(self) -> Origin:
        """Where the cells come from."""
        return cast("Origin", self.data.get("origin") or ("simulated" if self.data["simulated"] else "real"))

    @property
    def mark(self) -> str | None:
        """What every figure says in its corner."""
        return {"real": None, "simulated": "simulated data", "computed": "computed cells"}[self.origin]

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

    @property
    def main_problem(self) -> str:
        """The problem of most labels, the first of several."""
        return str(max(dict.fromkeys(self.table["problem"]), key=self.n_labels))

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

    def ceiling(
        self, problem: str, model: str, column: str = SCORE, *, part: str | None = None, proportions: str | None = None
    ) -> Spread:
        """Score of the model trained on the real training cells alone, over seeds; wherever in the study that was done.

        Parameters
        ----------
        problem, model, column
            Whose score, and which.
        part
            Over the seeds of this part, as its own rows are.
        proportions
            ``natural``, or ``equal``: as many of each class as the rarest has. ``None`` for those of the problem.
        """
        return self._anywhere("plain", problem, model, column, part, proportions)

    def floor(self, problem: str, model: str, *, part: str | None = None, proportions: str | None = None) -> Spread:
        """Score of the model trained on independent Poisson counts, where the study has that; as :meth:`ceiling`."""
        return self._anywhere("floor", problem, model, SCORE, part, proportions)

    def proportions(self, problem: str, part: str | None = None) -> list[str]:
        """Return the proportions of classes that training sets of a problem have, the natural ones first."""
        found = self.points[self.points["problem"] == problem]
        found = found if part is None else found[found["part"] == part]
        there = set(found["proportions"].dropna())
        return [name for name in ("natural", "equal") if name in there]

    def chance(self, problem: str) -> float:
        """Balanced accuracy of guessing, and of always saying one label: one over the number of labels."""
        return self._first(problem, "chance")

    def majority(self, problem: str, column: str = SCORE) -> float:
        """Score of always saying the commonest label of the training cells."""
        return self.chance(problem) if column == SCORE else self._first(problem, f"majority_{column}")

    def test_scores(self, rows: pd.DataFrame) -> list[Mapping[str, Any]]:
        """Return the test scores of the runs of some points, as ``Scores.to_dict`` gave them."""
        return [self.runs[key]["result"]["test"] for key in dict.fromkeys(rows["key"])]

    def validation_numbers(self, rows: pd.DataFrame) -> str:
        """Say how many validation samples some points were scored on: a number, a range, or nothing where none was."""
        results = [self.runs[key]["result"] for key in dict.fromkeys(rows.loc[rows["status"] == "done", "key"])]
        return _range(result["validation"]["n"] for result in results if result.get("validation"))

    def validation_cells(self, rows: pd.DataFrame) -> str:
        """Say of how many cells the validation samples of some points are; nothing where results do not tell."""
        results = [self.runs[key]["result"] for key in dict.fromkeys(rows.loc[rows["status"] == "done", "key"])]
        samples = [found for result in results if (found := result.get("validation_samples"))]
        cells = _range(found["cells"][end] for found in samples for end in ("fewest", "most"))
        small = _range(found["small"] for found in samples if found.get("small"))
        return cells and f"of {cells} cell{'s' * (cells != '1')}" + (f", {small} of fewer than k/2" if small else "")

    def _anywhere(
        self, flag: str, problem: str, model: str, column: str, part: str | None, proportions: str | None
    ) -> Spread:
        found = self.points
        of_problem = found["problem"] == problem
        proportions = proportions or next(iter(self.proportions(problem)), "natural")
        # a problem of the same labels by another name has the same cells
        labels = set(found.loc[of_problem, "labels"].dropna())
        here = found[flag] & found["labels"].isin(labels) & (found["model"] == model) & (found["status"] == "done")
        rows = found[here & (found["proportions"] == proportions)]
        if part is not None:
            mine = rows["part"] == part
            rows = pd.concat([rows[mine], rows[~mine]])
            rows = rows[rows["seed"].isin(found.loc[of_problem & (found["part"] == part), "seed"])]
        # parts share this run; and which cells chose its epoch makes two runs, but not two seeds
        return Spread.of(rows.drop_duplicates("seed")[column])

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


def error_text(error: Mapping[str, Any]) -> str:
    """Write an error as records hold it in one line, without its traceback."""
    return f"{error['type']}: {error['message']}"


def shortfall(counts: Mapping[str, int]) -> str:
    """Say of how many runs there is no result, as a list that goes on after a comma; nothing where all are done."""
    words = {"failed": "failed", "missing": "not run yet"}
    return "".join(f", {counts[status]:,} {word}" for status, word in words.items() if counts[status])


def _range(numbers: Iterable[float]) -> str:
    """Write the smallest and the largest of some whole numbers, once where they are the same."""
    found = sorted(numbers)
    return "–".join(f"{number:,.0f}" for number in dict.fromkeys((*found[:1], *found[-1:])))


def seen_by(rows: pd.DataFrame) -> str:
    """Say whose single cells a training set was made with; a dash while it is not known."""
    known = rows["seen"].dropna()
    return _SEEN_SHORT.get(known.iloc[0], str(known.iloc[0])) if len(known) else "–"


_DESCRIPTION = (
    "kind",
    "components",
    "labels",
    "plain",
    "every",
    "proportions",
    "floor",
    "seen",
    "k",
    "strategy",
    "thin",
    "generator",
    "validation",
    "ablation",
    "test_dose",
)


def _described(run: Mapping[str, Any], train: Mapping[str, int]) -> dict[str, object]:
    """Say in columns what a run's specification says of its training set; `train` are real training cells by class."""
    training = run["training"]
    labels = sorted(run["labels"] or train)
    rarest = min((train.get(label, 0) for label in labels), default=0)
    found: dict[str, object] = {name: run.get(name) for name in ("validation", "ablation", "test_dose")}
    kinds = {cells["kind"] for cells in training}
    found |= {"kind": kinds.pop() if len(kinds) == 1 else "mixed", "components": len(training)}
    found |= {"labels": "\0".join(labels), "every": False, "floor": False, "seen": "all", "proportions": None}
    for cells in training:
        if cells["kind"] == "real":
            whole = all(cells.get(name, value) == value for name, value in _WHOLE.items())
            found["proportions"] = _proportions(cells, rarest)
            found["every"] = found["every"] or (whole and found["proportions"] is not None)
        elif cells["kind"] == "pseudobulk":
            found |= {name: cells.get(name) for name in ("k", "strategy", "thin")}
        else:
            parameters = ", ".join(f"{name} {value}" for name, value in cells["parameters"].items())
            found["generator"] = cells["method"] + (f" ({parameters})" if parameters else "")
            found["seen"] = cells.get("reference") or "control"
    if len(training) > 1:
        # of what is put together the numbers are neither
        found["proportions"] = None
    elif found["kind"] == "pseudobulk":
        found["proportions"] = "natural"
    elif found["kind"] == "synthetic":
        found["proportions"] = _proportions(training[0], rarest)
        found["floor"] = _is_floor(training[0]) and found["ablation"] == "none" and found["test_dose"] is None
    alone = found["kind"] == "real" and found["every"] and len(training) == 1
    found["plain"] = alone and found["ablation"] == "none" and found["test_dose"] is None
    return found


#: Real cells of which nothing is left out but what the numbers of classes ask for.
_WHOLE = {"share": 1, "without_dose": None, "labels": None}


def _proportions(cells: Mapping[str, Any], rarest: int) -> str | None:
    per_class = cells.get("per_class")
    return "natural" if per_class is None else "equal" if per_class == rarest else None


def _is_floor(cells: Mapping[str, Any]) -> bool:
    """Whether cells are independent Poisson counts of the bulk as it is."""
    changed = any(cells.get(name) for name in ("bias_sd", "bulk_reads", "donors", "held_dose", "labels"))
    return cells["method"] == "poisson" and cells["parameters"].get("mean", "absolute") == "absolute" and not changed
