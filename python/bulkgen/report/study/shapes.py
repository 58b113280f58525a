"""Curves and ladders of a view, each with its table."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from bulkgen.report.figures import look
from bulkgen.report.study.content import SCORE, seen_by
from bulkgen.report.study.figures import CEILING_COLOUR, Line, Reference, Rung, curve, ladder
from bulkgen.report.study.view import (
    FLOOR_COLOUR,
    ON_TEST,
    SCORE_NAMES,
    Picture,
    best_series,
    labels_of,
    score_cell,
    score_of,
    series_looks,
)
from bulkgen.report.tables import Row, Spread, Table, number_text

if TYPE_CHECKING:
    import pandas as pd

    from bulkgen.report.study.view import View

__all__ = [
    "FIDELITY",
    "SEEN_COLUMN",
    "by_axis",
    "curve_picture",
    "curve_table",
    "ladder_picture",
    "ladder_table",
    "recall_table",
    "reference_rows",
    "rungs_of",
]

SEEN_COLUMN = "single cells seen"
#: Measures of a training set beside its score: column, heading, value at perfection, axis, whether it counts tokens.
FIDELITY = (
    ("token_wasserstein", "tokens off by", 0.0, "Wasserstein distance of tokens per cell (tokens)", True),
    ("token_ks", "tokens, KS", 0.0, "Kolmogorov–Smirnov distance of tokens per cell (0 to 1)", False),
    ("fold_change_slope", "fold-change slope", 1.0, "slope of synthetic on real log2 fold changes (ratio)", False),
    ("fold_change_correlation", "fold-change correlation", 1.0, "", False),
)


def by_axis(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split points into those on the axis of the part and those beside it; one place alone makes no axis."""
    on_axis = view.rows["x"].notna() & (view.rows["x"].nunique() > 1)
    return view.rows[on_axis], view.rows[~on_axis]


def curve_picture(
    view: View, rows: pd.DataFrame, *, of: str = "", ticks: dict[float, str] | None = None, name: str = "curve"
) -> Picture:
    """Draw scores over the axis of the part; `of` is the generator of a panel of its own."""
    looks = series_looks(view.content)
    lines = []
    for number, (series, group) in enumerate(rows[rows["status"] == "done"].groupby("series", sort=False)):
        x = sorted(group["x"].dropna().unique())
        y = [Spread.of(group.loc[group["x"] == value, SCORE]) for value in x]
        alone, mixed = bool((group["kind"] == "real").all()), bool((group["kind"] == "mixed").any())
        # the lines of a panel of one generator are told apart by their ratios
        colour, marker = look(number) if of else looks[str(series)]
        if alone and (of or bool(group["plain"].any())):
            colour, marker = (CEILING_COLOUR, "o") if number == 0 else (FLOOR_COLOUR, "s")
        lines.append(Line(str(series), x, y, colour, marker, "--" if alone else "-", hollow=mixed and not of))
    places = rows["x"].dropna()
    title = f"{view.title} · {of}" if of else view.title
    return Picture(
        view.name(name),
        curve(
            lines,
            view.references(),
            x_name=view.part.x_name,
            y_name=ON_TEST,
            title=title,
            mark=view.content.mark,
            logarithmic=ticks is None and bool(places.min() > 0 and places.max() >= 10 * places.min()),
            ticks=ticks,
        ),
        f"Part {view.part.letter}, {title}: balanced accuracy on real test cells against {view.part.x_name}",
    )


def curve_table(view: View, rows: pd.DataFrame, ticks: dict[float, str] | None = None) -> Table:
    """Write the scores of :func:`curve_picture` as numbers, with the levels that it draws."""
    # a symbol in the axis' name says in every column what the number is
    symbol = f"{found[1]} = " if (found := re.search(r"\((\w)\)$", view.part.x_name)) else ""
    shown = ticks or {x: f"{symbol}{x:,g}" for x in sorted(rows["x"].dropna().unique())}
    made = [
        Row.of(str(series), *(score_cell(group[group["x"] == x]) for x in shown))
        for series, group in rows.groupby("series", sort=False)
    ]
    levels = "; ".join(f"{reference.name} {number_text(reference.value)}" for reference in view.references())
    return Table(
        f"{view.title}. Balanced accuracy on real test cells by {view.part.x_name}; mean ± standard deviation over "
        f"seeds. For comparison: {levels}.",
        ("training set", *shown.values()),
        tuple(made),
    )


def ladder_picture(view: View, rows: pd.DataFrame) -> Picture:
    """Draw one row per training set, from the best score to the worst."""
    references = view.references()
    if (rows["kind"] == "synthetic").any():
        references += [Reference(name, floor.mean, ":", FLOOR_COLOUR) for name, floor in view.floors()]
    # of a part with an axis that has but one place, the title says which
    places = rows["x"].dropna().unique()
    title = f"{view.title} · {view.part.x_name}: {places[0]:g}" if len(places) == 1 else view.title
    return Picture(
        view.name("ladder"),
        ladder(rungs_of(view, rows), references, x_name=ON_TEST, title=title, mark=view.content.mark),
        f"Part {view.part.letter}, {view.title}: balanced accuracy on real test cells of every training set",
    )


def rungs_of(view: View, rows: pd.DataFrame) -> list[Rung]:
    """Rows of a ladder from the best score to the worst, those without one last."""
    looks = series_looks(view.content)
    rungs = []
    for series, group in rows.groupby("series", sort=False):
        colour, marker = (CEILING_COLOUR, "o") if _plain(group) else looks[str(series)]
        why = "failed" if (group["status"] == "failed").any() else "not run yet"
        rungs.append(Rung(str(series), score_of(group), colour, marker, why))
    return sorted(rungs, key=lambda rung: -rung.score.mean if rung.score.known else math.inf)


def _plain(rows: pd.DataFrame) -> bool:
    return bool(rows["plain"].all())


def ladder_table(view: View, rows: pd.DataFrame) -> Table:
    """Write all scores of each training set, and how far its cells are from real ones."""
    groups = {str(name): group for name, group in rows.groupby("series", sort=False)}
    order = [rung.name for rung in rungs_of(view, rows)]
    measures = [measure for measure in FIDELITY if measure[0] in rows and rows[measure[0]].notna().any()]
    best = best_series(groups)
    made = []
    for name in order:
        # the best by this score may not be so by the others
        scores = [score_cell(groups[name], column, strong=name in best and column == SCORE) for column in SCORE_NAMES]
        known = [Spread.of(groups[name][column]) for column, *_ in measures]
        made.append(
            Row.of(name, seen_by(groups[name]), *scores, *(number_text(spread.mean, spread.sd) for spread in known))
        )
    references = reference_rows(view, 1, len(measures), ceilings=False)
    return Table(
        f"{view.title}. Scores on real test cells, mean ± standard deviation over seeds"
        + (
            "; tokens off by: Wasserstein distance of tokens per cell; slope and correlation of log2 fold changes "
            "against real cells (perfect: 1)."
            if measures
            else "."
        ),
        ("training set", SEEN_COLUMN, *SCORE_NAMES.values(), *(heading for _, heading, *_ in measures)),
        (*made, *references),
    )


def recall_table(view: View, rows: pd.DataFrame) -> Table:
    """Write the recall of each label."""
    labels = labels_of(view)
    # a series with an axis has a training set for each place on it
    named = rows["series"].where(rows["x"].isna(), rows["series"] + ": " + rows["name"])
    made = [
        Row.of(str(name), *(score_cell(group, f"recall_{label}", shade=True) for label in labels))
        for name, group in rows.groupby(named, sort=False)
    ]
    return Table(
        f"{view.title}: recall of each label (share of its real test cells recognised)",
        ("training set", *labels),
        tuple(made),
        folded=True,
    )


def reference_rows(view: View, before: int, after: int = 0, *, ceilings: bool = True) -> list[Row]:
    """Rows of the ceiling, the commonest label and guessing, with empty columns on either side of the scores."""
    content, problem = view.content, view.problem
    rows = []
    for place, (name, _) in enumerate(view.ceilings() if ceilings else []):
        scores = [view.ceilings(column)[place][1] for column in SCORE_NAMES]
        rows.append((name, [str(score) for score in scores]))
    majority = [number_text(content.majority(problem, column)) for column in SCORE_NAMES]
    chance = number_text(content.chance(problem))
    # guessing has no macro-F1 that the number of labels alone gives
    rows += [("always the commonest label", majority), ("guessing", [chance, "", chance])]
    return [Row.of(name, *[""] * before, *values, *[""] * after, role="floor") for name, values in rows]
