"""The sections of a study's report, one per part: sentences, figures and tables, for HTML and Markdown alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.report.figures import look
from bulkgen.report.study_content import ACCURACY, FLOOR, REAL, SCORE, first_of, runs_in
from bulkgen.report.study_figures import CEILING_COLOUR, Line, Reference, Rung, curve, dots, epochs, ladder, mechanism
from bulkgen.report.study_findings import Finding, adjusted, findings, p_text, paired
from bulkgen.report.tables import Cell, Row, Spread, Table, difference_text, number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.figure import Figure

    from bulkgen.report.study_content import PartWords, StudyContent

__all__ = ["Block", "Picture", "Section", "score_cell", "section", "series_looks"]

#: Names of scores in headings and on axes.
SCORE_NAMES = {SCORE: "balanced accuracy", "macro_f1": "macro-F1", ACCURACY: "accuracy"}
_ON_TEST = "balanced accuracy on real test cells"
_FLOOR_COLOUR = "#8a8a8a"
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

    def references(self, column: str = SCORE) -> list[Reference]:
        """Ceiling and floors of this problem and model."""
        found = []
        # the ceiling is of all test cells, so it is none for a part that tests at one dose
        if self.rows["test_dose"].isna().all():
            ceiling = self.content.ceiling(self.problem, self.model, column)
            found.append(Reference("real cells (ceiling)", ceiling.mean, "--", CEILING_COLOUR))
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
        note=_NOTES.get(part.name, ""),
    )


def series_looks(content: StudyContent) -> dict[str, tuple[str, str]]:
    """Colour and marker of every series: real cells black, one generator's the same wherever it stands."""
    found = {REAL: (CEILING_COLOUR, "o"), FLOOR: (_FLOOR_COLOUR, "X")}
    seen: dict[str, tuple[str, str]] = {}
    for series, rows in content.points.groupby("series", sort=False):
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
            yield view.block(pictures, [_bulkiness_table(view, curves), _recall_table(view, curves)])


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


def _bulkiness_table(view: _View, rows: pd.DataFrame) -> Table:
    validations = list(dict.fromkeys(rows["validation"].dropna()))
    cells = {"same": "pseudo-bulk", "real": "real", "mixed": "half real"}
    heads = []
    for validation in validations:
        heads += [f"validation, {cells[validation]}", f"test, validation {cells[validation]}"]
    made = []
    for (strategy, k), group in rows.groupby(["strategy", "x"], sort=False):
        by = [group[group["validation"] == validation] for validation in validations]
        values = [score_cell(here, column) for here in by for column in (f"validation_{SCORE}", SCORE)]
        made.append(
            Row.of(f"{strategy}, k = {k:g}", *values, score_cell(by[0], "macro_f1"), score_cell(by[0], ACCURACY))
        )
    return Table(
        f"{view.title}. Balanced accuracy in validation during training and on real test cells; mean ± standard "
        "deviation over seeds. Macro-F1 and accuracy are on the test cells of the first test column.",
        ("training set", *heads, "test macro-F1", "test accuracy"),
        (*made, *_reference_rows(view, 2 * len(validations) - 1)),
    )


def _reference_rows(view: _View, before: int, after: int = 0) -> list[Row]:
    """Rows of the ceiling, the commonest label and guessing, with empty columns on either side of the scores."""
    content, problem = view.content, view.problem
    rows = []
    if content.ceiling(problem, view.model).known:
        scores = [content.ceiling(problem, view.model, column) for column in SCORE_NAMES]
        rows.append((f"{REAL} (ceiling)", [str(score) for score in scores]))
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
        means = [Row.of(name, *(score_cell(group, column) for column in columns)) for name, group in groups.items()]
        caption = (
            f"{view.title}. Recall of each label (share of its real test cells recognised) and scores over all labels; "
            f"mean ± standard deviation over {view.rows['seed'].nunique()} seeds."
        )
        tables = [Table(caption, heads, tuple(means))]
        baseline = view.done[view.done["plain"]]
        made = {name: view.done[view.done["series"] == name] for name, group in groups.items() if not _plain(group)}
        mixed = {name: group for name, group in made.items() if len(group)}
        if len(baseline) and mixed:
            tables.append(_difference_table(view, mixed, baseline, columns, heads))
        trials = [
            Row.of(f"{name}, seed {seed}", *(score_cell(rows, column) for column in columns))
            for name, group in groups.items()
            for seed, rows in group.groupby("seed", sort=False)
        ]
        tables.append(Table(f"{view.title}: every trial", heads, tuple(trials), folded=True))
        yield view.block([_ladder(view, view.rows)], tables)


def _difference_table(
    view: _View, mixed: dict[str, pd.DataFrame], baseline: pd.DataFrame, columns: Sequence[str], heads: Sequence[str]
) -> Table:
    tests = {name: paired(rows, baseline) for name, rows in mixed.items()}
    holm = dict(zip(tests, adjusted(test.p for test in tests.values()), strict=True))
    rows = []
    for name, group in mixed.items():
        differences = [difference_text(paired(group, baseline, column).difference) for column in columns]
        rows.append(Row.of(name, *differences, tests[name].p_text, p_text(holm[name])))
    n = max((test.difference.n for test in tests.values()), default=0)
    return Table(
        f"{view.title}. Differences from real cells alone, seed by seed: mean ± standard deviation of {n} differences, "
        "and the paired t-test of the overall balanced accuracy.",
        (*heads, "p", "p, Holm"),
        tuple(rows),
    )


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
        whole = next((view for view in mine if view.content.n_labels(view.problem) == most), mine[0])
        pictures = [_ladder(whole, whole.rows)]
        if len(mine) > 1:
            pictures.append(_problems(mine))
        pictures += [replace(_ladder(view, view.rows), minor=True) for view in mine if view is not whole]
        tables = [_problems_table(mine), *(_recall_table(view, view.rows) for view in mine)]
        yield Block(model, tuple(pictures), tuple(tables))


def _problems(views: Sequence[_View]) -> Picture:
    """How far each generator comes from guessing to real cells, in problems of different numbers of labels."""
    view = views[0]
    rows = pd.concat([view.rows for view in views])
    names = [name for name in dict.fromkeys(rows["series"]) if name != REAL]
    columns = {}
    for of in views:
        ceiling, chance = of.content.ceiling(of.problem, of.model).mean, of.content.chance(of.problem)
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
            *(
                score_cell(groups.get(name, views[0].rows[:0]), strong=name in first)
                for groups, first in zip(by, best, strict=True)
            ),
        )
        for name in series
    ]
    chance = [number_text(content.chance(view.problem)) for view in views]
    return Table(
        f"{model}. Balanced accuracy on real test cells in each problem, mean ± standard deviation over seeds"
        + ("; the best generator is bold." if any(best) else "."),
        ("training set", *(view.problem for view in views)),
        (*rows, Row.of("commonest label = guessing", *chance, role="floor")),
    )


def _best(groups: dict[str, pd.DataFrame]) -> list[str]:
    """Return the best series that are not real cells: several where they are equal, none where there is but one."""
    known = {name: _score(rows).mean for name, rows in groups.items() if not _plain(rows) and _score(rows).known}
    return [name for name, mean in known.items() if mean == max(known.values()) and len(known) > 1]


def _few_cells(views: Sequence[_View]) -> Iterable[Block]:
    """Curves over real cells per class: one panel for each generator, beside real cells alone."""
    for view in views:
        curves, _ = _by_axis(view)
        alone, others = curves[curves["kind"] == "real"], curves[curves["kind"] != "real"]
        # the number of all cells differs between classes: it is their mean, and said to be all
        all_cells = set(curves.loc[curves["every"], "x"])
        ticks = {x: f"all ({x:,.0f})" if x in all_cells else f"{x:g}" for x in sorted(curves["x"].dropna().unique())}
        pictures = [
            _curve(view, pd.concat([alone, rows]), of=str(generator), ticks=ticks, name=f"generator{number}")
            for number, (generator, rows) in enumerate(others.groupby("generator", sort=False))
            if (rows["status"] == "done").any()
        ]
        yield view.block(pictures, [_curve_table(view, curves, ticks)])


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
    """Split points into those on the axis of the part and those beside it: series that have but one place or none."""
    places = view.rows.groupby("series")["x"].nunique()
    on_axis = view.rows["series"].isin(places[places > 1].index)
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
        colour, marker = (CEILING_COLOUR, "o") if alone else look(number) if of else looks[str(series)]
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
    references, floor = view.references(), view.content.floor(view.problem, view.model)
    if floor.known and (rows["kind"] == "synthetic").any():
        references.append(Reference("independent Poisson (floor)", floor.mean, ":", _FLOOR_COLOUR))
    return Picture(
        view.name("ladder"),
        ladder(_rungs(view, rows), references, x_name=_ON_TEST, title=view.title, mark=view.content.mark),
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
        made.append(Row.of(name, *scores, *(number_text(spread.mean, spread.sd) for spread in known)))
    references = [row for row in _reference_rows(view, 0, len(measures)) if not row.name.startswith(REAL)]
    return Table(
        f"{view.title}. Scores on real test cells, mean ± standard deviation over seeds"
        + (
            "; tokens off by: Wasserstein distance of tokens per cell; slope and correlation of log2 fold changes "
            "against real cells (perfect: 1)."
            if measures
            else "."
        ),
        ("training set", *SCORE_NAMES.values(), *(heading for _, heading, *_ in measures)),
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
        "cells, same seed, same test cells), two-sided; the last column adjusts its p by Holm's method for the number "
        "of rows. It asks whether the difference would stay with other synthetic cells and another start of the model; "
        "not whether it would stay with other test cells, which are the same in every run."
    ),
    "few_cells": (
        "The bulk is that of all training cells at every number of real cells. Without real cells there are as many "
        "synthetic ones as there would be real ones, whatever the ratio."
    ),
}
