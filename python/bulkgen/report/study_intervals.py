"""Intervals of differences from the test cells alone, from the predictions that results hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from bulkgen.report.study_content import StudyContent

__all__ = ["Interval", "difference_interval"]

_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of a difference over test sets that might have been drawn."""

    low: float
    high: float

    def __str__(self) -> str:
        """Return both ends with their signs."""
        return f"{self.low:+.3f} and {self.high:+.3f}".replace("-", "−")


def difference_interval(content: StudyContent, rows: pd.DataFrame, baseline: pd.DataFrame) -> Interval | None:
    """Bootstrap the difference in balanced accuracy of two training sets over the test cells of each label.

    The differences are averaged over the seeds that both have, and every seed sees the same drawn test cells: they are
    the same cells in all runs.

    Parameters
    ----------
    content
        The study.
    rows, baseline
        Points of the two training sets.

    Returns
    -------
    Interval or None
        ``None`` where results do not hold the predictions of each test cell.
    """
    pairs = _pairs(content, rows, baseline)
    truth = None if not pairs else _truth(content, pairs[0][0])
    if truth is None:
        return None
    hits = []
    for pair in pairs:
        predictions = [result.get("test_predictions") for result in pair]
        if any(
            found is None or not _fits(found, truth, result) for found, result in zip(predictions, pair, strict=True)
        ):
            return None
        hits.append(np.subtract(*((np.asarray(found) == truth).astype(np.float64) for found in predictions)))
    gained = np.mean(hits, axis=0)
    # a seed of its own: the report is the same whenever it is made
    rng = np.random.default_rng(0)
    by_label = [gained[truth == label] for label in np.unique(truth)]
    recalls = [cells[rng.integers(len(cells), size=(_DRAWS, len(cells)))].mean(axis=1) for cells in by_label]
    low, high = np.quantile(np.mean(recalls, axis=0), [0.025, 0.975])
    return Interval(float(low), float(high))


def _pairs(
    content: StudyContent, rows: pd.DataFrame, baseline: pd.DataFrame
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Results of both training sets, seed by seed."""
    by_seed = [
        {row.seed: str(row.key) for row in table[table["status"] == "done"].itertuples()} for table in (rows, baseline)
    ]
    return [
        (content.runs[by_seed[0][seed]]["result"], content.runs[by_seed[1][seed]]["result"])
        for seed in by_seed[0]
        if seed in by_seed[1]
    ]


def _truth(content: StudyContent, result: Mapping[str, Any]) -> NDArray[np.int64] | None:
    """Number of the label of each test cell, in the order of the split."""
    place = {label: number for number, label in enumerate(result["test"]["labels"])}
    labels = content.split.loc[content.split["part"] == "test", "label"]
    found = labels[labels.isin(list(place))].map(place).to_numpy(dtype=np.int64)
    return found if found.size else None


def _fits(predictions: list[int], truth: NDArray[np.int64], result: Mapping[str, Any]) -> bool:
    """Whether predictions are of these cells in this order: they give the confusion matrix of the result."""
    if len(predictions) != len(truth):
        return False
    confusion = np.zeros_like(np.asarray(result["test"]["confusion"]))
    np.add.at(confusion, (truth, np.asarray(predictions)), 1)
    return bool(np.array_equal(confusion, result["test"]["confusion"]))
