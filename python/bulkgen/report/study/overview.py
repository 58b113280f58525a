"""Studies side by side: the main numbers of each part, for every study and model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bulkgen.report.study.comparisons import comparisons, highest, p_equal
from bulkgen.report.study.content import SCORE, SEEN
from bulkgen.report.tables import Spread, counted, difference_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from bulkgen.report.study.content import StudyContent

__all__ = ["main_numbers"]

#: Real cells per class at which studies are compared in part F, or the number nearest to it that a study has.
_FEW = 20


def main_numbers(content: StudyContent, model: str) -> dict[tuple[str, str], str]:
    """Return the main numbers of one model in the problem of most labels.

    Returns
    -------
    dict
        (name of the part, what was measured) → the score or difference, as text; parts without results have none. What
        belongs to no part stands under an empty name.
    """
    problem = content.main_problem
    found = {
        ("", "labels"): f"{content.n_labels(problem) or '–'}",
        ("", "test cells"): f"{int((content.split['part'] == 'test').sum()):,}",
        ("", "real training cells alone (ceiling)"): _counted(content.ceiling(problem, model)),
        ("", "guessing"): str(Spread.of([content.chance(problem)])),
    }
    for part, numbers in _NUMBERS.items():
        rows = content.done(part, problem, model)
        if len(rows):
            found |= {(part, what): text for what, text in numbers(content, rows)}
    return found


def _counted(spread: Spread) -> str:
    return f"{spread} ({counted(spread.n, 'seed')})" if spread.known else "–"


def _at(rows: pd.DataFrame, x: float, column: str = SCORE) -> Spread:
    return Spread.of(rows.loc[rows["x"] == x, column])


def _bulkiness(_: StudyContent, rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    curves = rows[rows["kind"] == "pseudobulk"]
    # the first strategy and the first kind of validation stand for the others
    for column in ("strategy", "validation"):
        curves = curves[curves[column] == curves[column].head(1).squeeze()]
    for strategy, curve in curves.groupby("strategy", sort=False):
        low, high = curve["x"].min(), curve["x"].max()
        yield from ((f"{strategy} of k = {k:g}", str(_at(curve, k))) for k in dict.fromkeys((low, high)))
        yield f"its validation, k = {high:g}", str(_at(curve, high, f"validation_{SCORE}"))


def _synthetic(_: StudyContent, rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    made = rows[(rows["kind"] == "synthetic") & ~rows["floor"]]
    gaussian = made["generator"].str.startswith("truncated_gaussian")
    for series, group in made[gaussian].groupby("series", sort=False):
        yield f"{series}, {SEEN[group['seen'].iloc[0]]}", str(Spread.of(group[SCORE]))
    for seen, group in made[~gaussian].groupby("seen", sort=False):
        what = "highest of the other generators" if group["series"].nunique() > 1 else "another generator"
        yield f"{what}, {SEEN[str(seen)]}", _best(group)


def _best(rows: pd.DataFrame) -> str:
    scores = {str(series): Spread.of(group[SCORE]) for series, group in rows.groupby("series", sort=False)}
    names = highest(scores)
    return f"{scores[names[0]]} ({', '.join(names) if len(names) < len(scores) or len(names) == 1 else 'all alike'})"


def _mixing(content: StudyContent, rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    for series, each in comparisons(content, rows).items():
        difference = each.paired.difference
        # few seeds decide nothing, so their number stands with the p; equal differences have none
        p = "" if math.isnan(each.p) else f", p {p_equal(each.p)}"
        yield f"{series}, difference", f"{difference_text(difference)} (n = {difference.n}{p})"


def _thinning(_: StudyContent, rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    high = rows["x"].max()
    for series, group in rows[(rows["x"] == high) & rows["kind"].isin(["pseudobulk", "real"])].groupby(
        "series", sort=False
    ):
        yield f"{series}, k = {high:g}", str(Spread.of(group[SCORE]))


def _few_cells(_: StudyContent, rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    beside = rows[rows["x"] > 0]
    if not len(beside):
        return
    size = min(beside["x"], key=lambda x: abs(x - _FEW))
    here = beside[beside["x"] == size]
    for series, group in here[here["kind"] == "real"].groupby("series", sort=False):
        yield f"{series}, {size:g} per class", str(Spread.of(group[SCORE]))
    mixed = here[here["kind"] == "mixed"]
    if len(mixed):
        yield f"highest of all with synthetic cells, {size:g} per class", _best(mixed)


def _bias(_: StudyContent, rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    biased = rows[rows["x"].notna()]
    low, high = biased["x"].min(), biased["x"].max()
    for series, group in biased.groupby("series", sort=False):
        yield f"{series}, bias {low:g} → {high:g}", f"{_at(group, low)} → {_at(group, high)}"


_NUMBERS: Mapping[str, Callable[[StudyContent, pd.DataFrame], Iterable[tuple[str, str]]]] = {
    "bulkiness": _bulkiness,
    "synthetic": _synthetic,
    "mixing": _mixing,
    "thinning": _thinning,
    "few_cells": _few_cells,
    "bias": _bias,
}
