"""Blocks of part A: test and validation against the number of cells per sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.report.figures import look
from bulkgen.report.study.content import ACCURACY, SCORE
from bulkgen.report.study.figures import Line, curve, epochs
from bulkgen.report.study.findings import VALIDATED
from bulkgen.report.study.shapes import recall_table, reference_rows
from bulkgen.report.study.view import SCORE_NAMES, Picture, score_cell
from bulkgen.report.tables import Cell, Row, Spread, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from bulkgen.report.study.content import StudyContent
    from bulkgen.report.study.view import Block, View

__all__ = ["bulkiness_blocks"]


def bulkiness_blocks(views: Sequence[View]) -> Iterable[Block]:
    """Test and validation against k: a panel for each strategy, and the epochs of models that have some."""
    for view in views:
        curves = view.rows[view.rows["kind"] == "pseudobulk"]
        finished = curves[curves["status"] == "done"]
        by_strategy = {str(name): rows for name, rows in finished.groupby("strategy", sort=False)}
        pictures = [
            Picture(
                view.name(strategy, column),
                _validation_curve(view, rows, column, strategy),
                f"Part {view.part.letter}, {view.title}, {strategy} of k cells: {SCORE_NAMES[column]} on real test "
                "cells, and in validation during training",
                minor=column != SCORE,
            )
            for column in (SCORE, ACCURACY)
            for strategy, rows in by_strategy.items()
        ]
        for strategy, rows in list(by_strategy.items())[:1]:
            drawn = _epochs(view, rows, strategy)
            pictures += [] if drawn is None else [drawn]
        if len(curves):
            yield view.block(pictures, [*_bulkiness_tables(view, curves), recall_table(view, curves)])


def _validation_curve(view: View, rows: pd.DataFrame, column: str, strategy: str) -> Figure:
    blue, orange, green, pink = (look(number)[0] for number in range(4))
    lines: list[Line] = []
    for validation, test_colour, colour, cells, marker in (
        ("same", blue, orange, "pseudo-bulk", "s"),
        ("mixed", green, pink, "half real", "D"),
        ("real", look(4)[0], look(5)[0], "real", "v"),
    ):
        here = rows[rows["validation"] == validation]
        if not len(here):
            continue
        x = sorted(here["x"].unique())
        by_x = [here[here["x"] == value] for value in x]
        test = [Spread.of(group[column]) for group in by_x]
        # a model that has no epoch to choose is the same whatever it was validated on
        if not any(_same(line.y, test) for line in lines):
            name = "real test cells" if not lines else f"real test cells (validation {cells})"
            lines.append(Line(name, x, test, test_colour, "o"))
        validated = [Spread.of(group[f"validation_{column}"]) for group in by_x]
        if any(spread.known for spread in validated):
            name = f"validation in training ({cells})"
            lines.append(Line(name, x, validated, colour, marker, "--", hollow=True))
    return curve(
        lines,
        view.references(column),
        x_name=view.part.x_name,
        y_name=SCORE_NAMES[column],
        title=f"{view.title} · {strategy}",
        mark=view.content.mark,
        logarithmic=True,
    )


def _same(one: Sequence[Spread], other: Sequence[Spread]) -> bool:
    return [spread.mean for spread in one] == [spread.mean for spread in other]


def _epochs(view: View, rows: pd.DataFrame, strategy: str) -> Picture | None:
    """Draw the validation after each epoch, as training shows it, for the ends and the middle of the curve."""
    rows = rows[rows["validation"] == "same"]
    column = f"validation_{SCORE}"
    by_k = sorted(rows["x"].unique())
    lines, tests = [], []
    for number, k in enumerate(dict.fromkeys([*by_k[:1], *by_k[len(by_k) // 2 :][:1], *by_k[-1:]])):
        here = rows[rows["x"] == k]
        histories = [view.content.runs[key]["result"]["history"] for key in dict.fromkeys(here["key"])]
        told = pd.DataFrame([epoch for history in histories for epoch in history])
        if column not in told or told["epoch"].nunique() < 2:
            continue
        by_epoch = sorted(told["epoch"].unique())
        spreads = {float(epoch): Spread.of(told.loc[told["epoch"] == epoch, column]) for epoch in by_epoch}
        colour, marker = look(number)
        lines.append(Line(f"k = {k:g}", list(spreads), list(spreads.values()), colour, marker))
        tests.append(Spread.of(here[SCORE]))
    if not lines:
        return None
    figure = epochs(lines, tests, view.references(), title=f"{view.title} · {strategy}, epochs", mark=view.content.mark)
    return Picture(
        view.name(strategy, "epochs"),
        figure,
        f"Part {view.part.letter}, {view.title}, {strategy} of k cells: validation on held-out pseudo-bulk after each "
        "epoch, and the test on real cells",
    )


def _bulkiness_tables(view: View, rows: pd.DataFrame) -> Iterable[Table]:
    """Yield validation beside test, and the other scores of the test: one table would be too wide."""
    validations = list(dict.fromkeys(rows["validation"].dropna()))
    cells = [VALIDATED.get(validation, validation) for validation in validations]
    heads = [head for of in cells for head in (f"validation, {of}", f"n, {of}", f"test, validation {of}")]
    made, scores = [], []
    for (strategy, k), group in rows.groupby(["strategy", "x"], sort=False):
        values: list[Cell | str] = []
        for validation in validations:
            here = group[group["validation"] == validation]
            values += [score_cell(here, f"validation_{SCORE}"), _numbers(view.content, here), score_cell(here)]
        first = group[group["validation"] == validations[0]]
        name = f"{strategy}, k = {k:g}"
        made.append(Row.of(name, *values))
        scores.append(Row.of(name, *(score_cell(first, column) for column in SCORE_NAMES)))
    references = reference_rows(view, len(heads) - 1)
    yield Table(
        f"{view.title}. Balanced accuracy in validation during training and on real test cells; mean ± standard "
        "deviation over seeds. n is the number of validation samples: a score of few says little, however small its "
        "deviation.",
        ("training set", *heads),
        (*made, *(replace(row, cells=row.cells[: len(heads)]) for row in references)),
    )
    yield Table(
        f"{view.title}. All scores on the test cells of the first test column above.",
        ("training set", *SCORE_NAMES.values()),
        (*scores, *reference_rows(view, 0)),
        folded=True,
    )


def _numbers(content: StudyContent, rows: pd.DataFrame) -> str:
    return f"{content.validation_numbers(rows)} {content.validation_cells(rows)}".strip()
