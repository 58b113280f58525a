"""Blocks of the parts that compare generators alone: B in several problems, E against measures of the cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.report.study.content import seen_by
from bulkgen.report.study.figures import CEILING_COLOUR, Reference, dots, mechanism
from bulkgen.report.study.shapes import FIDELITY, SEEN_COLUMN, ladder_picture, ladder_table, recall_table, rungs_of
from bulkgen.report.study.view import ON_TEST, Block, Picture, best_series, score_cell, score_of
from bulkgen.report.tables import Row, Spread, Table, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulkgen.report.study.view import View

__all__ = ["ladders_blocks", "synthetic_blocks"]

_DRAWN = ("token_wasserstein", "fold_change_slope")


def synthetic_blocks(views: Sequence[View]) -> Iterable[Block]:
    """All problems in one figure and one table for each model, and a ladder for each problem."""
    most = max(view.content.n_labels(view.problem) for view in views)
    for model in dict.fromkeys(view.model for view in views):
        mine = [view for view in views if view.model == model]
        whole = [view for view in mine if view.content.n_labels(view.problem) == most]
        pictures = [ladder_picture(view, view.rows) for view in whole]
        if len(mine) > 1:
            pictures.append(_problems(mine))
        pictures += [
            replace(ladder_picture(view, view.rows), minor=True)
            for view in mine
            if view.content.n_labels(view.problem) < most
        ]
        tables = [_problems_table(mine), *(recall_table(view, view.rows) for view in mine)]
        yield Block(model, tuple(pictures), tuple(tables))


def _problems(views: Sequence[View]) -> Picture:
    """How far each generator comes from guessing to real cells, in problems of different numbers of labels."""
    view = views[0]
    rows = pd.concat([view.rows for view in views])
    real = set(rows.loc[rows["plain"], "series"])
    names = [name for name in dict.fromkeys(rows["series"]) if name not in real]
    columns = {}
    for of in views:
        ceilings, chance = of.ceilings(), of.content.chance(of.problem)
        ceiling = ceilings[0][1].mean if ceilings else float("nan")
        scores = [score_of(of.rows[of.rows["series"] == name]) for name in names]
        columns[of.problem] = [
            Spread((score.mean - chance) / (ceiling - chance), score.sd / abs(ceiling - chance), score.n)
            if score.known and ceiling > chance
            else Spread.of(())
            for score in scores
        ]
    figure = dots(
        names,
        columns,
        [Reference("real cells", 1.0, "--", CEILING_COLOUR), Reference("guessing", 0.0, "-.")],
        x_name="share of the way from guessing (0) to real cells (1)",
        title=view.model,
        mark=view.content.mark,
    )
    description = (
        f"Part {view.part.letter}, {view.model}: balanced accuracy of each problem, as the share of the way from "
        "guessing to real cells, which makes two labels and more comparable"
    )
    return Picture(view.name("problems"), figure, description)


def _problems_table(views: Sequence[View]) -> Table:
    content, model = views[0].content, views[0].model
    by = [{str(name): group for name, group in view.rows.groupby("series", sort=False)} for view in views]
    series = list(dict.fromkeys(name for groups in by for name in groups))
    best = [best_series(groups) for groups in by]
    rows = [
        Row.of(
            name,
            seen_by(pd.concat([groups[name] for groups in by if name in groups])),
            *(
                score_cell(groups.get(name, views[0].rows[:0]), strong=name in first)
                for groups, first in zip(by, best, strict=True)
            ),
        )
        for name in series
    ]
    chance = [number_text(content.chance(view.problem)) for view in views]
    return Table(
        f"{model}. Balanced accuracy on real test cells in each problem, mean ± standard deviation over seeds; bold is "
        "the best of those that were made with the same single cells.",
        ("training set", SEEN_COLUMN, *(view.problem for view in views)),
        (*rows, Row.of("commonest label = guessing", "", *chance, role="floor")),
    )


def ladders_blocks(views: Sequence[View]) -> Iterable[Block]:
    """Every generator at equal numbers, and its score against measures of its cells."""
    for view in views:
        pictures = [ladder_picture(view, view.rows)]
        rungs = rungs_of(view, view.rows)
        for column, _, perfect, axis, counts in FIDELITY:
            if column not in _DRAWN or column not in view.rows:
                continue
            x = [Spread.of(view.rows.loc[view.rows["series"] == rung.name, column]) for rung in rungs]
            if sum(spread.known for spread in x) < 2:
                continue
            figure = mechanism(
                rungs,
                x,
                perfect=perfect,
                x_name=axis,
                y_name=ON_TEST,
                title=view.title,
                mark=view.content.mark,
                counts=counts,
            )
            description = f"Part {view.part.letter}, {view.title}: balanced accuracy on real test cells against {axis}"
            pictures.append(Picture(view.name(column), figure, description))
        yield view.block(pictures, [ladder_table(view, view.rows), recall_table(view, view.rows)])
