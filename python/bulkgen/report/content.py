"""What a report shows, as plain data: sets of cells, runs, and the words around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Kind = Literal["real", "pseudobulk", "synthetic"]

__all__ = ["CellSet", "Report", "ResultScores", "RunResult"]


@dataclass(frozen=True)
class ResultScores:
    """How one trained model did on the test cells. Rows of `confusion` are the true labels."""

    labels: tuple[str, ...]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    confusion: NDArray[np.int64]
    majority: Mapping[str, float]  # accuracy, balanced_accuracy and macro_f1 of always saying the commonest label

    def __post_init__(self) -> None:
        n_labels = len(self.labels)
        if self.confusion.shape != (n_labels, n_labels):
            raise ValueError(
                f"confusion must be {n_labels} × {n_labels}, one row and column per label; "
                f"got the shape {self.confusion.shape}"
            )

    @property
    def support(self) -> NDArray[np.int64]:
        """Test cells per true label."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Recall per label; NaN where no test cell has the label."""
        recall = np.full(len(self.labels), np.nan)
        np.divide(np.diag(self.confusion), self.support, out=recall, where=self.support > 0)
        return recall

    @property
    def balanced_accuracy_margin(self) -> float:
        """Half the width of a 95 % interval from the number of test cells alone (not from seeds or training).

        Recalls are independent binomials; (x + 1) / (n + 2) in the variance keeps it positive at 0 and n.
        """
        support = self.support[self.support > 0]
        hits = np.diag(self.confusion)[self.support > 0]
        p = (hits + 1.0) / (support + 2.0)
        return float(1.96 * np.sqrt(np.sum(p * (1.0 - p) / support)) / len(support))

    @classmethod
    def from_dict(cls, scores: Mapping[str, object]) -> ResultScores:
        """Take what ``Scores.to_dict()`` gives (or the same read from JSON)."""
        majority = scores["majority"]
        assert isinstance(majority, dict)
        return cls(
            labels=tuple(str(label) for label in _sequence(scores["labels"])),
            accuracy=_number(scores["accuracy"]),
            balanced_accuracy=_number(scores["balanced_accuracy"]),
            macro_f1=_number(scores["macro_f1"]),
            confusion=np.asarray(scores["confusion"], dtype=np.int64),
            majority={name: _number(majority[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
        )


@dataclass(frozen=True)
class CellSet:
    """A set of cells that was trained or tested on."""

    name: str
    kind: Kind
    label_counts: Mapping[str, int]
    token_lengths: NDArray[np.int64]  # tokens per cell, after the cut to the context
    expressed_genes: NDArray[np.int64]  # genes with a count above 0 per cell
    library_sizes: NDArray[np.float64]  # total counts per cell
    aggregation: float | None = None  # k: mean number of cells per pseudo-bulk group
    note: str = ""

    @property
    def n(self) -> int:
        """Cells (or pseudo-bulk groups) in the set."""
        return sum(self.label_counts.values())

    @property
    def median_tokens(self) -> float:
        """Median of the tokens per cell; NaN for an empty set."""
        return float(np.median(self.token_lengths)) if len(self.token_lengths) else float("nan")


@dataclass(frozen=True)
class RunResult:
    """One model trained on one set: its scores, or the error that stopped it."""

    training_set: str
    model: str
    seconds: float
    scores: ResultScores | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if (self.scores is None) == (self.error is None):
            raise ValueError(f"a run has either scores or an error; {self.training_set} × {self.model} has not")


@dataclass(frozen=True)
class Report:
    """All that the report shows; it knows nothing of how the runs were made."""

    title: str
    summary: str
    simulated: bool
    data_note: str
    facts: Mapping[str, str]
    training_sets: tuple[CellSet, ...]
    test_set: CellSet
    runs: tuple[RunResult, ...]
    context: int
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    citations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = {cells.name for cells in self.training_sets}
        unknown = sorted({run.training_set for run in self.runs} - names)
        if unknown:
            raise ValueError(f"runs name training sets that are not in the report: {', '.join(unknown)}")
        labels = {run.scores.labels for run in self.runs if run.scores is not None}
        if len(labels) > 1:
            raise ValueError(f"all runs must have the same labels, got {sorted(labels)}")

    @property
    def models(self) -> tuple[str, ...]:
        """Models in the order of their first run."""
        return tuple(dict.fromkeys(run.model for run in self.runs))

    @property
    def scored(self) -> tuple[tuple[RunResult, ResultScores], ...]:
        """The runs that ended with scores, each beside its scores."""
        return tuple((run, run.scores) for run in self.runs if run.scores is not None)

    @property
    def failed(self) -> tuple[RunResult, ...]:
        """The runs that ended with an error."""
        return tuple(run for run in self.runs if run.error is not None)

    def cells(self, name: str) -> CellSet:
        """Return the training set of this name."""
        return next(cells for cells in self.training_sets if cells.name == name)


def _sequence(value: object) -> list[object]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return list(value)


def _number(value: object) -> float:
    if not isinstance(value, (int, float, np.number)):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return float(value)
