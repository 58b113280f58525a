"""One problem and one model of a part, with what every section asks of it: its levels, scores and looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bulkgen.report.figures import look
from bulkgen.report.study.comparisons import highest
from bulkgen.report.study.content import ACCURACY, SCORE, first_of, runs_in, seen_by
from bulkgen.report.study.figures import CEILING_COLOUR, Reference
from bulkgen.report.tables import Cell, Spread, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.figure import Figure

    from bulkgen.report.study.content import PartWords, StudyContent

__all__ = [
    "FLOOR_COLOUR",
    "ON_TEST",
    "SCORE_NAMES",
    "Block",
    "Picture",
    "View",
    "best_series",
    "labels_of",
    "score_cell",
    "score_of",
    "series_looks",
]

#: Names of scores in headings and on axes.
SCORE_NAMES = {SCORE: "balanced accuracy", "macro_f1": "macro-F1", ACCURACY: "accuracy"}
ON_TEST = "balanced accuracy on real test cells"
FLOOR_COLOUR = "#8a8a8a"
_EQUAL = ", equal numbers"


@dataclass(frozen=True)
class Picture:
    """A figure with its name and alternative text; a `minor` one is left out of the Markdown page."""

    name: str
    figure: Figure
    description: str
    minor: bool = False


@dataclass(frozen=True)
class Block:
    """Figures and tables of one model, in one problem or over all."""

    title: str
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class View:
    """One problem and one model of a part: its points, whatever became of their runs."""

    content: StudyContent
    part: PartWords
    problem: str
    model: str
    rows: pd.DataFrame

    @property
    def done(self) -> pd.DataFrame:
        """Points whose runs are done."""
        return self.rows[self.rows["status"] == "done"]

    @property
    def title(self) -> str:
        """Model and problem."""
        return f"{self.model} · {self.problem}"

    def block(self, pictures: list[Picture], tables: list[Table]) -> Block:
        """Put figures and tables of this view together."""
        return Block(self.title, tuple(pictures), tuple(tables))

    def name(self, *words: object) -> str:
        """Return a file name that no other figure has."""
        places = self.content.problems(self.part.name).index(self.problem), self.content.models.index(self.model)
        return "_".join(map(str, (self.part.name, *places, *words)))

    def _known(self, level: Callable[..., Spread], name: str, *column: str) -> list[tuple[str, Spread]]:
        """Return a level for the proportions of classes that training sets of this part have."""
        part = self.part.name
        proportions = self.content.proportions(self.problem, part) or ["natural"]
        both = {
            name + (_EQUAL if of == "equal" else ""): level(
                self.problem, self.model, *column, part=part, proportions=of
            )
            for of in proportions
        }
        return [(name, spread) for name, spread in both.items() if spread.known]

    def ceilings(self, column: str = SCORE) -> list[tuple[str, Spread]]:
        """Return what real cells reach, over the seeds of this part."""
        return self._known(self.content.ceiling, "real cells (ceiling)", column)

    def floors(self) -> list[tuple[str, Spread]]:
        """Return what independent Poisson counts reach, over the seeds of this part."""
        return self._known(self.content.floor, "independent Poisson (floor)")

    def references(self, column: str = SCORE) -> list[Reference]:
        """Ceiling and floors of this problem and model."""
        found = []
        # the ceiling is of all test cells, so it is none for a part that tests at one dose
        if self.rows["test_dose"].isna().all():
            for name, ceiling in self.ceilings(column):
                style = "-" if name.endswith(_EQUAL) else "--"
                found.append(Reference(name, ceiling.mean, style, CEILING_COLOUR))
        chance = first_of(self.rows, "chance")
        if column == SCORE:
            found.append(Reference("commonest label = chance", chance, "-."))
        else:
            majority = self.content.majority(self.problem, column)
            found += [Reference("commonest label", majority, "-."), Reference("chance", chance, ":")]
        return [reference for reference in found if not math.isnan(reference.value)]


def series_looks(content: StudyContent) -> dict[str, tuple[str, str]]:
    """Colour and marker of every series: real cells black, one generator's the same wherever it stands."""
    found: dict[str, tuple[str, str]] = {}
    seen: dict[str, tuple[str, str]] = {}
    for series, rows in content.points.groupby("series", sort=False):
        if rows["plain"].any() or rows["floor"].any():
            found[str(series)] = (CEILING_COLOUR, "o") if rows["plain"].any() else (FLOOR_COLOUR, "X")
        generators = rows["generator"].dropna().unique()
        of = str(generators[0] if len(generators) == 1 else series)
        if series not in found:
            found[str(series)] = seen.setdefault(of, look(len(seen)))
    return found


def score_cell(rows: pd.DataFrame, column: str = SCORE, *, strong: bool = False, shade: bool = False) -> Cell:
    """Show the score of some points; what failed or was not run is said, never left out."""
    if not len(rows):
        return Cell("")
    counts = runs_in(rows)
    if not counts["done"]:
        return Cell("failed", failed=True) if counts["failed"] else Cell("not run yet")
    spread = Spread.of(rows.loc[rows["status"] == "done", column])
    text = str(spread)
    if counts["failed"]:
        text += f" ({counts['failed']} of {counts['all']} failed)"
    return Cell(text, strong=strong, shade=spread.mean if shade and spread.known else None)


def score_of(rows: pd.DataFrame) -> Spread:
    """Score of those points that are done."""
    return Spread.of(rows.loc[rows["status"] == "done", SCORE])


def labels_of(view: View) -> list[str]:
    """Labels that the problem has, in the order of the study's."""
    scores = view.content.test_scores(view.done)
    found = {label for score in scores for label in score["labels"]}
    return [label for label in view.content.labels if label in found]


def best_series(groups: dict[str, pd.DataFrame]) -> list[str]:
    """Return the best series of synthetic cells by the single cells that they were made with, where there are several.

    Equally good ones are all returned.
    """
    known: dict[str, dict[str, Spread]] = {}
    for name, rows in groups.items():
        if rows["kind"].eq("synthetic").all() and not rows["floor"].any() and score_of(rows).known:
            known.setdefault(seen_by(rows), {})[name] = score_of(rows)
    return [name for scores in known.values() if len(scores) > 1 for name in highest(scores)]
