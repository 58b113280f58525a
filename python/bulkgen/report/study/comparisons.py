"""Comparisons of training sets seed by seed: differences, tests over seeds, intervals over test cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import ttest_rel

from bulkgen.report.study.content import SCORE
from bulkgen.report.tables import Spread, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from bulkgen.report.study.content import StudyContent

__all__ = [
    "Comparison",
    "Interval",
    "Paired",
    "adjusted",
    "comparisons",
    "difference_interval",
    "highest",
    "p_equal",
    "p_text",
    "paired",
]

_DRAWS = 2000


@dataclass(frozen=True)
class Paired:
    """Differences of two training sets, seed by seed.

    Attributes
    ----------
    difference
        Mean, standard deviation and number of the differences.
    p
        Of Student's paired t-test, two-sided; NaN for fewer than two seeds, or where all differences are the same.
    always_above
        Whether the first is above the second in every seed.
    """

    difference: Spread
    p: float
    always_above: bool

    @property
    def p_text(self) -> str:
        """The p value, or a dash."""
        return p_text(self.p)


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of a difference over test sets that might have been drawn."""

    low: float
    high: float

    def __str__(self) -> str:
        """Return both ends with their signs."""
        return f"{signed(self.low)} to {signed(self.high)}"


@dataclass(frozen=True)
class Comparison:
    """A training set against real cells alone.

    Attributes
    ----------
    paired
        Differences in balanced accuracy, seed by seed.
    p
        Its p value, adjusted for all comparisons of the model.
    interval
        Of the mean difference over other test cells; ``None`` where results hold no predictions.
    repeated
        Differences from the real cells with some of them repeated, which has the same numbers of cells and nothing new;
        ``None`` where the study has no such run, or this is it.
    """

    paired: Paired
    p: float
    interval: Interval | None
    repeated: Spread | None


def comparisons(content: StudyContent, rows: pd.DataFrame) -> dict[str, Comparison]:
    """Compare each training set of one model with real cells alone; those that no seed allows to compare are left out.

    Parameters
    ----------
    content
        The study.
    rows
        Points of one problem and model whose runs are done.
    """
    baseline = rows[rows["plain"]]
    again = rows[(rows["kind"] == "real") & ~rows["plain"]]
    groups = {str(series): group for series, group in rows[~rows["plain"]].groupby("series", sort=False)}
    tests = {series: paired(group, baseline) for series, group in groups.items()}
    tests = {series: test for series, test in tests.items() if test.difference.known}
    found = {}
    for (series, test), p in zip(tests.items(), adjusted(test.p for test in tests.values()), strict=True):
        group = groups[series]
        repeated = paired(group, again).difference if len(again) and series not in set(again["series"]) else None
        found[series] = Comparison(test, p, difference_interval(content, group, baseline), repeated)
    return found


def paired(rows: pd.DataFrame, baseline: pd.DataFrame, column: str = SCORE) -> Paired:
    """Compare two training sets over the seeds that both have."""
    values = [table.drop_duplicates("seed").set_index("seed")[column].dropna() for table in (rows, baseline)]
    both = values[0].index.intersection(values[1].index)
    first, second = (found.loc[both].to_numpy(dtype=float) for found in values)
    difference = first - second
    # without any spread the statistic is 0/0 or infinite
    testable = len(both) > 1 and np.ptp(difference) > 1e-12
    p = float(ttest_rel(first, second).pvalue) if testable else float("nan")
    return Paired(Spread.of(difference), p, bool(len(both) and (difference > 0).all()))


def adjusted(p: Iterable[float]) -> list[float]:
    """Adjust p values for their number by Holm's step-down method; NaN stays and does not count."""
    given = list(p)
    order = sorted((place for place, value in enumerate(given) if not math.isnan(value)), key=lambda i: given[i])
    found, highest = [float("nan")] * len(given), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * given[place]))
        found[place] = highest
    return found


def p_text(p: float) -> str:
    """Write a p value to two significant digits."""
    if math.isnan(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def p_equal(p: float) -> str:
    """Write a p value with the sign that belongs before it."""
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def highest(scores: Mapping[str, Spread]) -> list[str]:
    """Return the names of the highest mean: several where they are equal."""
    top = max(score.mean for score in scores.values())
    return [name for name, score in scores.items() if math.isclose(score.mean, top, abs_tol=1e-9)]


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
    """Return the number of the label of each test cell, in the order of the runs."""
    if "test_true" in result:
        return np.asarray(result["test_true"], dtype=np.int64)
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
