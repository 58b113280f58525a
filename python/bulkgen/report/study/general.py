"""Blocks of any part: curves over its axis and a ladder of what stands on none; few cells and ablations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.report.study.figures import dots
from bulkgen.report.study.shapes import by_axis, curve_picture, curve_table, ladder_picture, ladder_table, recall_table
from bulkgen.report.study.view import ON_TEST, Picture, score_cell, score_of
from bulkgen.report.tables import Row, Table, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulkgen.report.study.view import Block, View

__all__ = ["ablations_blocks", "few_cells_blocks", "general_blocks"]


def general_blocks(views: Sequence[View]) -> Iterable[Block]:
    """Curves over the axis of the part, and a ladder of what does not stand on it."""
    for view in views:
        pictures, tables = [], []
        curves, rungs = by_axis(view)
        if len(curves):
            pictures.append(curve_picture(view, curves))
            tables.append(curve_table(view, curves))
        # the ceiling alone is no ladder: every curve shows it
        if rungs["series"].nunique() > 1:
            pictures.append(ladder_picture(view, rungs))
            tables += [ladder_table(view, rungs), recall_table(view, rungs)]
        yield view.block(pictures, tables)


def few_cells_blocks(views: Sequence[View]) -> Iterable[Block]:
    """Curves over real cells per class: one panel for each generator, beside real cells alone."""
    for view in views:
        curves, rungs = by_axis(view)
        pictures, tables = [], []
        if len(curves):
            alone, others = curves[curves["kind"] == "real"], curves[curves["kind"] != "real"]
            # the number of all cells differs between classes: it is their mean, and said to be all
            natural = curves["every"] & (curves["kind"] == "real") & (curves["proportions"] == "natural")
            all_cells = set(curves.loc[natural, "x"])
            places = sorted(curves["x"].dropna().unique())
            ticks = {x: f"all ({x:,.0f})" if x in all_cells else f"{x:g}" for x in places}
            pictures = [
                curve_picture(view, pd.concat([alone, rows]), of=str(generator), ticks=ticks, name=f"generator{number}")
                for number, (generator, rows) in enumerate(others.groupby(_generators(others), sort=False))
            ]
            tables.append(curve_table(view, curves, ticks))
        if len(rungs):
            pictures.append(ladder_picture(view, rungs))
            tables.append(ladder_table(view, rungs))
        yield view.block(pictures, tables)


def _generators(curves: pd.DataFrame) -> pd.Series:
    """Return the study's name of each curve's generator: its series without the ratio of synthetic to real cells."""
    return curves["series"].str.removeprefix("+ ").str.replace(r" 1:[\d.]+$", "", regex=True)


def ablations_blocks(views: Sequence[View]) -> Iterable[Block]:
    """Every training set with each thing taken away, and the curves over donors."""
    for view in views:
        pictures, tables = [], []
        curves, rows = by_axis(view)
        if len(rows):
            pictures.append(_taken_away(view, rows))
            tables.append(_taken_away_table(view, rows))
        if len(curves):
            pictures.append(curve_picture(view, curves))
            tables.append(curve_table(view, curves))
        yield view.block(pictures, tables)


def _taken_away(view: View, rows: pd.DataFrame) -> Picture:
    groups = {str(name): group for name, group in rows.groupby("series", sort=False)}
    figure = dots(
        list(groups),
        {
            str(name): [score_of(group[group["name"] == name]) for group in groups.values()]
            for name in dict.fromkeys(rows["name"])
        },
        view.references(),
        x_name=ON_TEST,
        title=view.title,
        mark=view.content.mark,
    )
    description = f"Part {view.part.letter}, {view.title}: balanced accuracy with something taken away"
    return Picture(view.name("taken_away"), figure, description)


def _taken_away_table(view: View, rows: pd.DataFrame) -> Table:
    columns = [str(name) for name in dict.fromkeys(rows["name"])]
    made = [
        Row.of(str(series), *(score_cell(group[group["name"] == column]) for column in columns))
        for series, group in rows.groupby("series", sort=False)
    ]
    chance = [number_text(view.content.chance(view.problem))] * len(columns)
    return Table(
        f"{view.title}. Balanced accuracy on real test cells; mean ± standard deviation over seeds.",
        ("training set", *columns),
        (*made, Row.of("guessing", *chance, role="floor")),
    )
