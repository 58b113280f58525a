"""The sections of a study's report, one per part: sentences, figures and tables, for HTML and Markdown alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bulkgen.report.study.bulkiness import bulkiness_blocks
from bulkgen.report.study.content import runs_in, shortfall
from bulkgen.report.study.findings import Finding, findings
from bulkgen.report.study.general import ablations_blocks, few_cells_blocks, general_blocks
from bulkgen.report.study.generators import ladders_blocks, synthetic_blocks
from bulkgen.report.study.mixing import mixing_blocks
from bulkgen.report.study.view import ON_TEST, Block, Picture, View, score_cell
from bulkgen.report.tables import Row, Table, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bulkgen.report.study.content import PartWords, StudyContent

__all__ = ["Section", "section"]


@dataclass(frozen=True)
class Section:
    """What the report says of a part."""

    anchor: str
    letter: str
    title: str
    question: str
    runs: str
    troubled: bool
    findings: tuple[Finding, ...]
    blocks: tuple[Block, ...]
    note: str = ""

    @property
    def pictures(self) -> list[Picture]:
        """Every figure in the order of the section."""
        return [picture for block in self.blocks for picture in block.pictures]


def section(content: StudyContent, part: PartWords) -> Section:
    """Make the section of a part out of its points."""
    points = content.points[content.points["part"] == part.name]
    views = [
        View(content, part, problem, model, rows)
        for problem in content.problems(part.name)
        for model in content.models
        if len(rows := points[(points["problem"] == problem) & (points["model"] == model)])
    ]
    finished = [view for view in views if len(view.done)]
    blocks = [*_MAKERS.get(part.name, general_blocks)(finished)] if finished else []
    blocks += [view.block([], [_unfinished_table(view)]) for view in views if not len(view.done)]
    counts = runs_in(points)
    seeds = points["seed"].nunique()
    return Section(
        anchor=part.name,
        letter=part.letter,
        title=part.title,
        question=part.question,
        runs=_runs_text(counts, seeds),
        troubled=counts["done"] < counts["all"],
        findings=tuple(findings(content, part.name)),
        blocks=tuple(blocks),
        note=" ".join(filter(None, (part.note, _NOTES.get(part.name, "")))),
    )


def _unfinished_table(view: View) -> Table:
    """Say of each training set why there is nothing to show."""
    rows = [Row.of(str(series), score_cell(group)) for series, group in view.rows.groupby("series", sort=False)]
    return Table(f"{view.title}. No run is done.", ("training set", ON_TEST), tuple(rows))


def _runs_text(counts: dict[str, int], seeds: int) -> str:
    done, every = counts["done"], counts["all"]
    text = counted(every, "run") if done == every else f"{done:,} of {counted(every, 'run')} done"
    return f"{text}{shortfall(counts)}; {counted(seeds, 'seed')}"


_MAKERS: dict[str, Callable[[Sequence[View]], Iterable[Block]]] = {
    "bulkiness": bulkiness_blocks,
    "synthetic": synthetic_blocks,
    "mixing": mixing_blocks,
    "ladder": ladders_blocks,
    "few_cells": few_cells_blocks,
    "ablations": ablations_blocks,
}
_NOTES = {
    "bulkiness": (
        "Validation cells are a tenth of the training set as it was made, from cells of their own (pseudo-bulk), or "
        "that with as many real validation cells (half real). They choose the epoch of a transformer; the linear model "
        "has none to choose."
    ),
    "mixing": (
        "The test is Student's paired t-test of the balanced accuracy over seeds (real cells alone and with synthetic "
        "cells, same seed, same test cells), two-sided; Holm's method adjusts its p for the number of rows. It asks "
        "whether the difference would stay with other synthetic cells and another start of the model. Of a model "
        "without a random start, such as the linear one, real cells alone give the same score in every seed, and the "
        "spread is that of the synthetic cells. It does not ask whether the difference would stay with other test "
        "cells, which are the same in every run: that is what the interval over test cells says, where there is one. "
        "Neither speaks of other real training cells, another split or other donors."
    ),
    "few_cells": (
        "The bulk is that of all training cells at every number of real cells. A step to all real cells is one of "
        "proportions too, as they are not equally many of each class."
    ),
}
