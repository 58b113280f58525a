"""The sections of a study's report, one per part: sentences, figures and tables, for HTML and Markdown alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.report.figures import look
from bulkgen.report.study_comparisons import comparisons, p_text, paired
from bulkgen.report.study_content import ACCURACY, SCORE, first_of, runs_in, seen_by
from bulkgen.report.study_figures import CEILING_COLOUR, Line, Reference, Rung, curve, dots, epochs, ladder, mechanism
from bulkgen.report.study_findings import VALIDATED, Finding, findings
from bulkgen.report.tables import Cell, Row, Spread, Table, difference_text, number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.figure import Figure

    from bulkgen.report.study_comparisons import Comparison
    from bulkgen.report.study_content import PartWords, StudyContent

__all__ = ["Block", "Picture", "Section", "score_cell", "section", "series_looks"]

#: Names of scores in headings and on axes.
SCORE_NAMES = {SCORE: "balanced accuracy", "macro_f1": "macro-F1", ACCURACY: "accuracy"}
_ON_TEST = "balanced accuracy on real test cells"
_FLOOR_COLOUR = "#8a8a8a"
_SEEN_COLUMN = "single cells seen"
_EQUAL = ", equal numbers"
#: Measures of a training set beside its score: column, heading, value at perfection, axis, whether it counts tokens.
_FIDELITY = (
    ("token_wasserstein", "tokens off by", 0.0, "Wasserstein distance of tokens per cell (tokens)", True),
    ("token_ks", "tokens, KS", 0.0, "Kolmogorov–Smirnov distance of tokens per cell (0 to 1)", False),
    ("fold_change_slope", "fold-change slope", 1.0, "slope of synthetic on real log2 fold changes (ratio)", False),
    ("fold_change_correlation", "fold-change correlation", 1.0, "", False),
)
_DRAWN = ("token_wasserstein", "fold_change_slope")


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


@dataclass(frozen=True)
class _View:
    """One problem and one model of a part: its points, whatever became of their runs."""

    content: StudyContent
    part: PartWords
    problem: str
    model: str
    rows: pd.DataFrame

    @property
    def done(self) -> pd.DataFrame:
        return self.rows[self.rows["status"] == "done"]

    @property
    def title(self) -> str:
        return f"{self.model} · {self.problem}"

    def block(self, pictures: list[Picture], tables: list[Table]) -> Block:
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


def section(content: StudyContent, part: PartWords) -> Section:
    """Make the section of a part out of its points."""
    points = content.points[content.points["part"] == part.name]
    views = [
        _View(content, part, problem, model, rows)
        for problem in content.problems(part.name)
        for model in content.models
        if len(rows := points[(points["problem"] == problem) & (points["model"] == model)])
    ]
    finished = [view for view in views if len(view.done)]
    blocks = [*_MAKERS.get(part.name, _general)(finished)] if finished else []
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


def series_looks(content: StudyContent) -> dict[str, tuple[str, str]]:
    """Colour and marker of every series: real cells black, one generator's the same wherever it stands."""
    found: dict[str, tuple[str, str]] = {}
    seen: dict[str, tuple[str, str]] = {}
    for series, rows in content.points.groupby("series", sort=False):
        if rows["plain"].any() or rows["floor"].any():
            found[str(series)] = (CEILING_COLOUR, "o") if rows["plain"].any() else (_FLOOR_COLOUR, "X")
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


def _unfinished_table(view: _View) -> Table:
    """Say of each training set why there is nothing to show."""
    rows = [Row.of(str(series), score_cell(group)) for series, group in view.rows.groupby("series", sort=False)]
    return Table(f"{view.title}. No run is done.", ("training set", _ON_TEST), tuple(rows))


def _general(views: Sequence[_View]) -> Iterable[Block]:
    """Curves over the axis of the part, and a ladder of what does not stand on it."""
    for view in views:
        pictures, tables = [], []
        curves, rungs = _by_axis(view)
        if len(curves):
            pictures.append(_curve(view, curves))
            tables.append(_curve_table(view, curves))
        # the ceiling alone is no ladder: every curve shows it
        if rungs["series"].nunique() > 1:
            pictures.append(_ladder(view, rungs))
            tables += [_ladder_table(view, rungs), _recall_table(view, rungs)]
        yield view.block(pictures, tables)


def _bulkiness(views: Sequence[_View]) -> Iterable[Block]:
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
            yield view.block(pictures, [*_bulkiness_tables(view, curves), _recall_table(view, curves)])


def _validation_curve(view: _View, rows: pd.DataFrame, column: str, strategy: str) -> Figure:
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


def _epochs(view: _View, rows: pd.DataFrame, strategy: str) -> Picture | None:
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


def _bulkiness_tables(view: _View, rows: pd.DataFrame) -> Iterable[Table]:
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
    references = _reference_rows(view, len(heads) - 1)
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
        (*scores, *_reference_rows(view, 0)),
        folded=True,
    )


def _numbers(content: StudyContent, rows: pd.DataFrame) -> str:
    return f"{content.validation_numbers(rows)} {content.validation_cells(rows)}".strip()


def _reference_rows(view: _View, before: int, after: int = 0, *, ceilings: bool = True) -> list[Row]:
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


def _mixing(views: Sequence[_View]) -> Iterable[Block]:
    """Recall of each label and the scores over all, with and without synthetic cells, as the poster has them."""
    for view in views:
        labels = _labels(view)
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
        yield view.block([_ladder(view, view.rows)], tables)


def _difference_tables(
    view: _View, found: dict[str, Comparison], columns: Sequence[str], heads: Sequence[str]
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


def _ladders(views: Sequence[_View]) -> Iterable[Block]:
    """Every generator at equal numbers, and its score against measures of its cells."""
    for view in views:
        pictures = [_ladder(view, view.rows)]
        rungs = _rungs(view, view.rows)
        for column, _, perfect, axis, counts in _FIDELITY:
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
                y_name=_ON_TEST,
                title=view.title,
                mark=view.content.mark,
                counts=counts,
            )
            description = f"Part {view.part.letter}, {view.title}: balanced accuracy on real test cells against {axis}"
            pictures.append(Picture(view.name(column), figure, description))
        yield view.block(pictures, [_ladder_table(view, view.rows), _recall_table(view, view.rows)])


def _synthetic(views: Sequence[_View]) -> Iterable[Block]:
    """All problems in one figure and one table for each model, and a ladder for each problem."""
    most = max(view.content.n_labels(view.problem) for view in views)
    for model in dict.fromkeys(view.model for view in views):
        mine = [view for view in views if view.model == model]
        whole = [view for view in mine if view.content.n_labels(view.problem) == most]
        pictures = [_ladder(view, view.rows) for view in whole]
        if len(mine) > 1:
            pictures.append(_problems(mine))
        pictures += [
            replace(_ladder(view, view.rows), minor=True) for view in mine if view.content.n_labels(view.problem) < most
        ]
        tables = [_problems_table(mine), *(_recall_table(view, view.rows) for view in mine)]
        yield Block(model, tuple(pictures), tuple(tables))


def _problems(views: Sequence[_View]) -> Picture:
    """How far each generator comes from guessing to real cells, in problems of different numbers of labels."""
    view = views[0]
    rows = pd.concat([view.rows for view in views])
    real = set(rows.loc[rows["plain"], "series"])
    names = [name for name in dict.fromkeys(rows["series"]) if name not in real]
    columns = {}
    for of in views:
        ceilings, chance = of.ceilings(), of.content.chance(of.problem)
        ceiling = ceilings[0][1].mean if ceilings else float("nan")
        scores = [_score(of.rows[of.rows["series"] == name]) for name in names]
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


def _problems_table(views: Sequence[_View]) -> Table:
    content, model = views[0].content, views[0].model
    by = [{str(name): group for name, group in view.rows.groupby("series", sort=False)} for view in views]
    series = list(dict.fromkeys(name for groups in by for name in groups))
    best = [_best(groups) for groups in by]
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
        ("training set", _SEEN_COLUMN, *(view.problem for view in views)),
        (*rows, Row.of("commonest label = guessing", "", *chance, role="floor")),
    )


def _best(groups: dict[str, pd.DataFrame]) -> list[str]:
    """Return the best series of synthetic cells by the single cells that they were made with, where there are several.

    Equally good ones are all returned.
    """
    known: dict[str, dict[str, float]] = {}
    for name, rows in groups.items():
        if rows["kind"].eq("synthetic").all() and _score(rows).known:
            known.setdefault(seen_by(rows), {})[name] = _score(rows).mean
    several = [means for means in known.values() if len(means) > 1]
    return [name for means in several for name, mean in means.items() if mean == max(means.values())]


def _few_cells(views: Sequence[_View]) -> Iterable[Block]:
    """Curves over real cells per class: one panel for each generator, beside real cells alone."""
    for view in views:
        curves, rungs = _by_axis(view)
        pictures, tables = [], []
        if len(curves):
            alone, others = curves[curves["kind"] == "real"], curves[curves["kind"] != "real"]
            # the number of all cells differs between classes: it is their mean, and said to be all
            natural = curves["every"] & (curves["kind"] == "real") & (curves["proportions"] == "natural")
            all_cells = set(curves.loc[natural, "x"])
            places = sorted(curves["x"].dropna().unique())
            ticks = {x: f"all ({x:,.0f})" if x in all_cells else f"{x:g}" for x in places}
            pictures = [
                _curve(view, pd.concat([alone, rows]), of=str(generator), ticks=ticks, name=f"generator{number}")
                for number, (generator, rows) in enumerate(others.groupby("generator", sort=False))
            ]
            tables.append(_curve_table(view, curves, ticks))
        if len(rungs):
            pictures.append(_ladder(view, rungs))
            tables.append(_ladder_table(view, rungs))
        yield view.block(pictures, tables)


def _ablations(views: Sequence[_View]) -> Iterable[Block]:
    """Every training set with each thing taken away, and the curves over donors."""
    for view in views:
        pictures, tables = [], []
        curves, rows = _by_axis(view)
        if len(rows):
            pictures.append(_taken_away(view, rows))
            tables.append(_taken_away_table(view, rows))
        if len(curves):
            pictures.append(_curve(view, curves))
            tables.append(_curve_table(view, curves))
        yield view.block(pictures, tables)


def _taken_away(view: _View, rows: pd.DataFrame) -> Picture:
    groups = {str(name): group for name, group in rows.groupby("series", sort=False)}
    figure = dots(
        list(groups),
        {
            str(name): [_score(group[group["name"] == name]) for group in groups.values()]
            for name in dict.fromkeys(rows["name"])
        },
        view.references(),
        x_name=_ON_TEST,
        title=view.title,
        mark=view.content.mark,
    )
    description = f"Part {view.part.letter}, {view.title}: balanced accuracy with something taken away"
    return Picture(view.name("taken_away"), figure, description)


def _taken_away_table(view: _View, rows: pd.DataFrame) -> Table:
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


def _by_axis(view: _View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split points into those on the axis of the part and those beside it; one place alone makes no axis."""
    on_axis = view.rows["x"].notna() & (view.rows["x"].nunique() > 1)
    return view.rows[on_axis], view.rows[~on_axis]


def _curve(
    view: _View, rows: pd.DataFrame, *, of: str = "", ticks: dict[float, str] | None = None, name: str = "curve"
) -> Picture:
    looks = series_looks(view.content)
    lines = []
    for number, (series, group) in enumerate(rows[rows["status"] == "done"].groupby("series", sort=False)):
        x = sorted(group["x"].dropna().unique())
        y = [Spread.of(group.loc[group["x"] == value, SCORE]) for value in x]
        alone, mixed = bool((group["kind"] == "real").all()), bool((group["kind"] == "mixed").any())
        # the lines of a panel of one generator are told apart by their ratios
        colour, marker = look(number) if of else looks[str(series)]
        if alone and (of or bool(group["plain"].any())):
            colour, marker = (CEILING_COLOUR, "o") if number == 0 else (_FLOOR_COLOUR, "s")
        lines.append(Line(str(series), x, y, colour, marker, "--" if alone else "-", hollow=mixed and not of))
    places = rows["x"].dropna()
    title = f"{view.title} · {of}" if of else view.title
    return Picture(
        view.name(name),
        curve(
            lines,
            view.references(),
            x_name=view.part.x_name,
            y_name=_ON_TEST,
            title=title,
            mark=view.content.mark,
            logarithmic=ticks is None and bool(places.min() > 0 and places.max() >= 10 * places.min()),
            ticks=ticks,
        ),
        f"Part {view.part.letter}, {title}: balanced accuracy on real test cells against {view.part.x_name}",
    )


def _curve_table(view: _View, rows: pd.DataFrame, ticks: dict[float, str] | None = None) -> Table:
    shown = ticks or {x: f"{x:,g}" for x in sorted(rows["x"].dropna().unique())}
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


def _rungs(view: _View, rows: pd.DataFrame) -> list[Rung]:
    """Rows of a ladder from the best score to the worst, those without one last."""
    looks = series_looks(view.content)
    rungs = []
    for series, group in rows.groupby("series", sort=False):
        colour, marker = (CEILING_COLOUR, "o") if _plain(group) else looks[str(series)]
        why = "failed" if (group["status"] == "failed").any() else "not run yet"
        rungs.append(Rung(str(series), _score(group), colour, marker, why))
    return sorted(rungs, key=lambda rung: -rung.score.mean if rung.score.known else math.inf)


def _ladder(view: _View, rows: pd.DataFrame) -> Picture:
    references = view.references()
    if (rows["kind"] == "synthetic").any():
        references += [Reference(name, floor.mean, ":", _FLOOR_COLOUR) for name, floor in view.floors()]
    # of a part with an axis that has but one place, the title says which
    places = rows["x"].dropna().unique()
    title = f"{view.title} · {view.part.x_name}: {places[0]:g}" if len(places) == 1 else view.title
    return Picture(
        view.name("ladder"),
        ladder(_rungs(view, rows), references, x_name=_ON_TEST, title=title, mark=view.content.mark),
        f"Part {view.part.letter}, {view.title}: balanced accuracy on real test cells of every training set",
    )


def _ladder_table(view: _View, rows: pd.DataFrame) -> Table:
    groups = {str(name): group for name, group in rows.groupby("series", sort=False)}
    order = [rung.name for rung in _rungs(view, rows)]
    measures = [measure for measure in _FIDELITY if measure[0] in rows and rows[measure[0]].notna().any()]
    best = _best(groups)
    made = []
    for name in order:
        scores = [score_cell(groups[name], column, strong=name in best) for column in SCORE_NAMES]
        known = [Spread.of(groups[name][column]) for column, *_ in measures]
        made.append(
            Row.of(name, seen_by(groups[name]), *scores, *(number_text(spread.mean, spread.sd) for spread in known))
        )
    references = _reference_rows(view, 1, len(measures), ceilings=False)
    return Table(
        f"{view.title}. Scores on real test cells, mean ± standard deviation over seeds"
        + (
            "; tokens off by: Wasserstein distance of tokens per cell; slope and correlation of log2 fold changes "
            "against real cells (perfect: 1)."
            if measures
            else "."
        ),
        ("training set", _SEEN_COLUMN, *SCORE_NAMES.values(), *(heading for _, heading, *_ in measures)),
        (*made, *references),
    )


def _recall_table(view: _View, rows: pd.DataFrame) -> Table:
    labels = _labels(view)
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


def _labels(view: _View) -> list[str]:
    """Labels that the problem has, in the order of the study's."""
    scores = view.content.test_scores(view.done)
    found = {label for score in scores for label in score["labels"]}
    return [label for label in view.content.labels if label in found]


def _plain(rows: pd.DataFrame) -> bool:
    return bool(rows["plain"].all())


def _score(rows: pd.DataFrame) -> Spread:
    return Spread.of(rows.loc[rows["status"] == "done", SCORE])


def _runs_text(counts: dict[str, int], seeds: int) -> str:
    done, every = counts["done"], counts["all"]
    text = f"{every:,} runs" if done == every else f"{done:,} of {every:,} runs done"
    for status, word in (("failed", "failed"), ("missing", "not run yet")):
        if counts[status]:
            text += f", {counts[status]:,} {word}"
    return f"{text}; {seeds} seed{'s' * (seeds != 1)}"


_MAKERS: dict[str, Callable[[Sequence[_View]], Iterable[Block]]] = {
    "bulkiness": _bulkiness,
    "synthetic": _synthetic,
    "mixing": _mixing,
    "ladder": _ladders,
    "few_cells": _few_cells,
    "ablations": _ablations,
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
