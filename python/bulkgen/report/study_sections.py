"""The sections of a study's report, one per part: sentences, figures and tables, for HTML and Markdown alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.report.figures import GREY, look
from bulkgen.report.study_content import ACCURACY, REAL, SCORE, runs_in
from bulkgen.report.study_figures import CEILING_COLOUR, Line, Reference, Rung, curve, epochs, ladder, mechanism
from bulkgen.report.study_findings import Finding, adjusted, findings, p_text, paired
from bulkgen.report.tables import Cell, Row, Spread, Table, difference_text, number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from bulkgen.report.study_content import PartWords, StudyContent

__all__ = ["Picture", "Section", "score_cell", "section", "series_looks"]

#: Names of scores in headings and on axes.
SCORE_NAMES = {SCORE: "balanced accuracy", "macro_f1": "macro-F1", ACCURACY: "accuracy"}
_ON_TEST = "balanced accuracy on real test cells"
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
class Section:
    """What the report says of a part."""

    anchor: str
    letter: str
    title: str
    question: str
    runs: str
    troubled: bool
    findings: tuple[Finding, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


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

    def name(self, *words: object) -> str:
        """Return a file name that no other figure has."""
        places = self.content.problems(self.part.name).index(self.problem), self.content.models.index(self.model)
        return "_".join(map(str, (self.part.name, *places, *words)))

    def references(self, column: str = SCORE) -> list[Reference]:
        """Ceiling and floors of this problem and model."""
        found = []
        ceiling = self.content.ceiling(self.problem, self.model, column)
        if ceiling.known:
            found.append(Reference("real cells (ceiling)", ceiling.mean, "--", CEILING_COLOUR))
        chance, majority = self.content.chance(self.problem), self.content.majority(self.problem, column)
        if column == SCORE:
            found.append(Reference("commonest label = chance", chance, "-."))
        else:
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
    pictures, tables, notes = _MAKERS.get(part.name, _general)(views)
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
        pictures=tuple(pictures),
        tables=tuple(tables),
        notes=tuple(notes),
    )


def series_looks(content: StudyContent) -> dict[str, tuple[str, str]]:
    """Colour and marker of every series, the same in all figures; real cells are black."""
    names = [name for name in dict.fromkeys(content.table["series"]) if name != REAL]
    return {REAL: (CEILING_COLOUR, "o")} | {name: look(number) for number, name in enumerate(names)}


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


_Made = tuple[list[Picture], list[Table], list[str]]


def _general(views: Sequence[_View]) -> _Made:
    """Curves over the axis of the part, and a ladder of what does not stand on it."""
    pictures, tables = [], []
    for view in views:
        curves, rungs = _by_axis(view)
        if len(curves):
            pictures.append(_curve(view, curves))
            tables.append(_curve_table(view, curves))
        if len(rungs):
            pictures.append(_ladder(view, rungs))
            tables += [_ladder_table(view, rungs), _recall_table(view, rungs)]
    return pictures, tables, []


def _bulkiness(views: Sequence[_View]) -> _Made:
    """Test and validation against k: a panel for each strategy, and the epochs of models that have some."""
    pictures, tables = [], []
    for view in views:
        curves = view.rows[view.rows["kind"] == "pseudobulk"]
        strategies = list(dict.fromkeys(curves["strategy"].dropna()))
        for number, strategy in enumerate(strategies):
            here = curves[curves["strategy"] == strategy]
            for column, words in SCORE_NAMES.items():
                pictures.append(
                    Picture(
                        view.name(strategy, column),
                        _validation_curve(view, here, column, strategy),
                        f"Part {view.part.letter}, {view.title}, {strategy} of k cells: {words} on real test cells "
                        "and in validation during training, against k",
                        minor=column != SCORE,
                    )
                )
            if not number and (drawn := _epochs(view, here, strategy)) is not None:
                pictures.append(drawn)
        if strategies:
            tables += [_bulkiness_table(view, curves), _recall_table(view, curves)]
    # every balanced accuracy before any accuracy
    return sorted(pictures, key=lambda picture: picture.minor), tables, [
        "Validation cells are a tenth of the training set as it was made, from cells of their own; or as many real "
        "cells beside them. They choose the epoch of a transformer; the linear model has none to choose.",
    ]


def _validation_curve(view: _View, rows: pd.DataFrame, column: str, strategy: str) -> Figure:
    blue, orange, green, pink = (look(number)[0] for number in range(4))
    lines = []
    for validation, test_colour, colour, cells, marker in (
        ("same", blue, orange, "pseudo-bulk", "s"),
        ("real", blue, orange, "real", "s"),
        ("mixed", green, pink, "half real", "D"),
    ):
        here = rows[(rows["validation"] == validation) & (rows["status"] == "done")]
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
    """Validation after each epoch, as training shows it, for the ends and the middle of the curve."""
    rows = rows[(rows["status"] == "done") & (rows["validation"] == "same")]
    column = f"validation_{SCORE}"
    by_k = sorted(rows["x"].unique())
    lines, tests = [], []
    for number, k in enumerate(dict.fromkeys([*by_k[:1], *by_k[len(by_k) // 2 :][:1], *by_k[-1:]])):
        here = rows[rows["x"] == k]
        histories = [view.content.runs[key]["result"]["history"] for key in dict.fromkeys(here["key"])]
        told = pd.DataFrame([epoch for history in histories for epoch in history])
        if column not in told or told["epoch"].nunique() < 2:
            continue
        spreads = {float(epoch): Spread.of(group[column]) for epoch, group in told.groupby("epoch")}
        colour, marker = look(number)
        lines.append(Line(f"k = {k:g}", list(spreads), list(spreads.values()), colour, marker))
        tests.append(Spread.of(here[SCORE]))
    if not lines:
        return None
    figure = epochs(
        lines, tests, view.references(), title=f"{view.title} · {strategy}, epochs", mark=view.content.mark
    )
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
        made.append(Row.of(f"{strategy}, k = {k:g}", *values, score_cell(by[0], "macro_f1"), score_cell(by[0], ACCURACY)))
    return Table(
        f"{view.title}. Balanced accuracy in validation during training and on real test cells; mean ± standard "
        "deviation over seeds. Macro-F1 and accuracy are on the test cells of the first test column.",
        ("training set", *heads, "test macro-F1", "test accuracy"),
        (*made, *_reference_rows(view, 2 * len(validations) - 1)),
    )


def _reference_rows(view: _View, place: int, extra: int = 0) -> list[Row]:
    """Rows of real cells, the commonest label and chance: balanced accuracy stands in column `place`."""
    content, problem = view.content, view.problem
    rows = []
    if content.ceiling(problem, view.model).known:
        scores = [content.ceiling(problem, view.model, column) for column in SCORE_NAMES]
        rows.append((f"{REAL} (ceiling)", [str(score) for score in scores]))
    majority = [number_text(content.majority(problem, column)) for column in SCORE_NAMES]
    chance = number_text(content.chance(problem))
    # guessing has no macro-F1 that the number of labels alone gives
    rows += [("always the commonest label", majority), ("guessing", [chance, "", chance])]
    before, after = [""] * (place if place > 0 else 0), [""] * extra
    return [Row.of(name, *before, *values, *after, role="floor") for name, values in rows]


def _mixing(views: Sequence[_View]) -> _Made:
    """The poster's table: recall of each label and the scores over all, with and without synthetic cells."""
    pictures, tables = [], []
    for view in views:
        labels = _labels(view)
        columns = [*(f"recall_{label}" for label in labels), ACCURACY, SCORE, "macro_f1"]
        heads = ("training set", *labels, *(f"overall {SCORE_NAMES[name]}" for name in columns[len(labels) :]))
        groups = {str(name): group for name, group in view.rows.groupby("series", sort=False)}
        means = [Row.of(name, *(score_cell(group, column) for column in columns)) for name, group in groups.items()]
        tables.append(
            Table(
                f"{view.title}. Recall of each label (share of its real test cells recognised) and scores over all "
                f"labels; mean ± standard deviation over {view.rows['seed'].nunique()} seeds.",
                heads,
                tuple(means),
            )
        )
        baseline = view.done[view.done["plain"].eq(other=True)]
        mixed = {name: group[group["status"] == "done"] for name, group in groups.items() if not _plain(group)}
        if len(baseline) and mixed:
            tables.append(_difference_table(view, mixed, baseline, columns, heads))
        for name, group in groups.items():
            trials = [
                Row.of(f"seed {seed}", *(score_cell(rows, column) for column in columns))
                for seed, rows in group.groupby("seed", sort=False)
            ]
            tables.append(Table(f"{view.title}, {name}: every trial", heads, tuple(trials), folded=True))
        pictures.append(_ladder(view, view.rows))
    return pictures, tables, [
        "The test is Student's paired t-test of the balanced accuracy over seeds (real cells alone and with synthetic "
        "cells, same seed, same test cells), two-sided, with p adjusted by Holm's method for the number of rows. It "
        "asks whether the difference would stay with other synthetic cells and another start of the model; not "
        "whether it would stay with other test cells, which are the same in every run.",
    ]


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


def _ladders(views: Sequence[_View]) -> _Made:
    """Every generator at equal numbers, and its score against measures of its cells."""
    pictures, tables, notes = _general(views)
    for view in views:
        _, rows = _by_axis(view)
        rungs = _rungs(view, rows)
        for column, _, perfect, axis, counts in _FIDELITY:
            if column not in _DRAWN or column not in rows:
                continue
            x = [Spread.of(rows.loc[rows["series"] == rung.name, column]) for rung in rungs]
            if sum(spread.known for spread in x) < 2:
                continue
            pictures.append(
                Picture(
                    view.name(column),
                    mechanism(
                        rungs,
                        x,
                        perfect=perfect,
                        x_name=axis,
                        y_name=_ON_TEST,
                        title=view.title,
                        mark=view.content.mark,
                        counts=counts,
                    ),
                    f"Part {view.part.letter}, {view.title}: balanced accuracy on real test cells against {axis}",
                )
            )
    return pictures, tables, notes


def _synthetic(views: Sequence[_View]) -> _Made:
    """A ladder for each problem, and one table of all problems for each model."""
    pictures = [_ladder(view, view.rows) for view in views]
    tables = []
    for model in dict.fromkeys(view.model for view in views):
        mine = [view for view in views if view.model == model]
        series = list(dict.fromkeys(name for view in mine for name in view.rows["series"]))
        by = [{str(name): group for name, group in view.rows.groupby("series")} for view in mine]
        best = [
            max(
                (name for name in groups if _score(groups[name]).known and not _plain(groups[name])),
                key=lambda name, groups=groups: _score(groups[name]).mean,
                default=None,
            )
            for groups in by
        ]
        rows = [
            Row.of(
                name,
                *(
                    score_cell(groups.get(name, view.rows[:0]), strong=name == first)
                    for groups, first, view in zip(by, best, mine, strict=True)
                ),
            )
            for name in series
        ]
        content = views[0].content
        chance = [number_text(content.chance(view.problem)) for view in mine]
        tables.append(
            Table(
                f"{model}. Balanced accuracy on real test cells in each problem, mean ± standard deviation over seeds; "
                "the best generator is bold.",
                ("training set", *(view.problem for view in mine)),
                (*rows, Row.of("commonest label = guessing", *chance, role="floor")),
            )
        )
        tables += [_recall_table(view, view.rows) for view in mine]
    return pictures, tables, []


def _few_cells(views: Sequence[_View]) -> _Made:
    """Curves over real cells per class: one panel for each generator, beside real cells alone."""
    pictures, tables = [], []
    for view in views:
        curves, _ = _by_axis(view)
        alone = curves[curves["kind"] == "real"]
        others = curves[curves["kind"] != "real"]
        for number, (method, rows) in enumerate(others.groupby("generator", sort=False)):
            pictures.append(_curve(view, pd.concat([alone, rows]), str(method), name=("generator", number)))
        tables.append(_curve_table(view, curves))
    return pictures, tables, []


def _by_axis(view: _View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split points into those on the axis of the part and those beside it: series that have but one place or none."""
    places = view.rows.groupby("series")["x"].nunique()
    on_axis = view.rows["series"].isin(places[places > 1].index)
    return view.rows[on_axis], view.rows[~on_axis]


def _curve(view: _View, rows: pd.DataFrame, of: str = "", *, name: tuple[object, ...] = ("curve",)) -> Picture:
    looks = series_looks(view.content)
    lines = []
    for number, (series, group) in enumerate(rows[rows["status"] == "done"].groupby("series", sort=False)):
        x = sorted(group["x"].dropna().unique())
        y = [Spread.of(group.loc[group["x"] == value, SCORE]) for value in x]
        alone = bool((group["kind"] == "real").all())
        colour, marker = (CEILING_COLOUR, "o") if alone else looks[str(series)] if not of else look(number)
        lines.append(Line(str(series), x, y, colour, marker, "--" if alone else "-"))
    x = sorted(rows["x"].dropna().unique())
    # steps that double and more are read on a logarithmic axis; those with 0 or all among them in order
    wide = len(x) > 2 and x[0] > 0 and math.isfinite(x[-1]) and x[-1] / x[0] >= 10
    ordered = bool(x) and (math.isinf(x[-1]) or (not x[0] > 0 and x[-1] > 4))
    title = f"{view.title} · {of}" if of else view.title
    return Picture(
        view.name(*name),
        curve(
            lines,
            view.references(),
            x_name=view.part.x_name,
            y_name=_ON_TEST,
            title=title,
            mark=view.content.mark,
            logarithmic=wide and not ordered,
            ticks={value: _x_text(value) for value in x} if ordered else None,
        ),
        f"Part {view.part.letter}, {title}: balanced accuracy on real test cells against {view.part.x_name}",
    )


def _curve_table(view: _View, rows: pd.DataFrame) -> Table:
    x = sorted(rows["x"].dropna().unique())
    made = [
        Row.of(str(series), *(score_cell(group[group["x"] == value]) for value in x))
        for series, group in rows.groupby("series", sort=False)
    ]
    ceiling, chance = view.content.ceiling(view.problem, view.model), view.content.chance(view.problem)
    known = f" All real cells: {ceiling}; guessing: {number_text(chance)}." if ceiling.known else ""
    return Table(
        f"{view.title}. Balanced accuracy on real test cells by {view.part.x_name}; mean ± standard deviation over "
        f"seeds.{known}",
        ("training set", *(_x_text(value) for value in x)),
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
    floor = rows[(rows["method"] == "poisson") & (rows["kind"] == "synthetic") & (rows["status"] == "done")]
    if len(floor) and len(set(rows["series"])) > 2:
        references.insert(1, Reference("independent Poisson (floor)", Spread.of(floor[SCORE]).mean, ":", "#8a8a8a"))
    return Picture(
        view.name("ladder"),
        ladder(_rungs(view, rows), references, x_name=_ON_TEST, title=view.title, mark=view.content.mark),
        f"Part {view.part.letter}, {view.title}: balanced accuracy on real test cells of every training set",
    )


def _ladder_table(view: _View, rows: pd.DataFrame) -> Table:
    groups = {str(name): group for name, group in rows.groupby("series", sort=False)}
    order = [rung.name for rung in _rungs(view, rows)]
    measures = [measure for measure in _FIDELITY if measure[0] in rows and rows[measure[0]].notna().any()]
    best = next((name for name in order if not _plain(groups[name]) and _score(groups[name]).known), "")
    made = []
    for name in order:
        scores = [score_cell(groups[name], column, strong=name == best) for column in SCORE_NAMES]
        known = [Spread.of(groups[name][column]) for column, *_ in measures]
        made.append(Row.of(name, *scores, *(number_text(spread.mean, spread.sd) for spread in known)))
    references = [row for row in _reference_rows(view, 0, len(measures)) if not row.name.startswith(REAL)]
    return Table(
        f"{view.title}. Scores on real test cells, mean ± standard deviation over seeds"
        + ("; tokens off by: Wasserstein distance of tokens per cell; slope and correlation of log2 fold changes "
           "against real cells (perfect: 1)." if measures else "."),
        ("training set", *SCORE_NAMES.values(), *(heading for _, heading, *_ in measures)),
        (*made, *references),
    )


def _recall_table(view: _View, rows: pd.DataFrame) -> Table:
    labels = _labels(view)
    named = rows["series"] if rows["x"].isna().all() else rows["name"]
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
    return bool(rows["plain"].eq(other=True).all())


def _score(rows: pd.DataFrame) -> Spread:
    return Spread.of(rows.loc[rows["status"] == "done", SCORE])


def _x_text(value: float) -> str:
    return "all" if math.isinf(value) else f"{value:,g}"


def _runs_text(counts: dict[str, int], seeds: int) -> str:
    done, every = counts["done"], counts["all"]
    text = f"{every:,} runs" if done == every else f"{done:,} of {every:,} runs done"
    for status, word in (("failed", "failed"), ("missing", "not run yet")):
        if counts[status]:
            text += f", {counts[status]:,} {word}"
    return f"{text}; {seeds} seed{'s' * (seeds != 1)}"


_MAKERS: dict[str, Callable[[Sequence[_View]], _Made]] = {
    "bulkiness": _bulkiness,
    "synthetic": _synthetic,
    "mixing": _mixing,
    "ladder": _ladders,
    "few_cells": _few_cells,
}
