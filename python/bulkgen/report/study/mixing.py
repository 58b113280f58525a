"""Blocks of part C: recall and scores with and without synthetic cells, and their differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkgen.report.study.comparisons import comparisons, p_text, paired
from bulkgen.report.study.content import ACCURACY, SCORE, seen_by
from bulkgen.report.study.shapes import ladder_picture
from bulkgen.report.study.view import SCORE_NAMES, labels_of, score_cell
from bulkgen.report.tables import Row, Table, difference_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bulkgen.report.study.comparisons import Comparison
    from bulkgen.report.study.view import Block, View

__all__ = ["mixing_blocks"]


def mixing_blocks(views: Sequence[View]) -> Iterable[Block]:
    """Recall of each label and the scores over all, with and without synthetic cells, as the poster has them."""
    for view in views:
        labels = labels_of(view)
        columns = [*(f"recall_{label}" for label in labels), ACCURACY, SCORE, "macro_f1"]
        heads = ("training set", *labels, *(f"overall {SCORE_NAMES[name]}" for name in columns[len(labels) :]))
        groups = {str(name): group for name, group in view.rows.groupby("series", sort=False)}
        means = [
            Row.of(
                name,
                "–" if group["generator"].isna().all() else seen_by(group),
                *(score_cell(group, column) for column in columns),
            )
            for name, group in groups.items()
        ]
        caption = (
            f"{view.title}. Recall of each label (share of its real test cells recognised) and scores over all labels; "
            f"mean ± standard deviation over {view.rows['seed'].nunique()} seeds."
        )
        tables = [Table(caption, (heads[0], "generator saw", *heads[1:]), tuple(means))]
        if found := comparisons(view.content, view.done):
            tables += _difference_tables(view, found, columns, heads)
        trials = [
            Row.of(f"{name}, seed {seed}", *(score_cell(rows, column) for column in columns))
            for name, group in groups.items()
            for seed, rows in group.groupby("seed", sort=False)
        ]
        tables.append(Table(f"{view.title}: every trial", heads, tuple(trials), folded=True))
        yield view.block([ladder_picture(view, view.rows)], tables)


def _difference_tables(
    view: View, found: dict[str, Comparison], columns: Sequence[str], heads: Sequence[str]
) -> list[Table]:
    """Differences of every score, and what is known of those of balanced accuracy."""
    baseline = view.done[view.done["plain"]]
    by = {name: view.done[view.done["series"] == name] for name in found}
    differences = [
        Row.of(name, *(difference_text(paired(group, baseline, column).difference) for column in columns))
        for name, group in by.items()
    ]
    tests = [
        Row.of(
            name,
            difference_text(each.paired.difference),
            each.paired.p_text,
            p_text(each.p),
            str(each.interval or "–"),
            "–" if each.repeated is None else difference_text(each.repeated),
        )
        for name, each in found.items()
    ]
    n = max(each.paired.difference.n for each in found.values())
    return [
        Table(
            f"{view.title}. Differences from real cells alone, seed by seed: mean ± standard deviation of {n} "
            "differences.",
            tuple(heads),
            tuple(differences),
        ),
        Table(
            f"{view.title}. The difference in overall balanced accuracy: paired t-test over seeds; ends of a 95 % "
            "interval of its mean over test cells (bootstrap within each label; a dash where results hold no "
            "predictions); the same against real cells of which as many are repeated.",
            ("training set", "difference", "p", "p, Holm", "test cells, 95 %", "against repeated cells"),
            tuple(tests),
        ),
    ]
