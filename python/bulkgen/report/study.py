"""The report of a study, one self-contained page made from its results alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bulkgen.report.page import require_report_extra, write_page
from bulkgen.report.study_content import SCORE, runs_in
from bulkgen.report.study_findings import levels
from bulkgen.report.tables import Cell, Row, Spread, Table, number_text
from bulkgen.training.metrics import Scores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bulkgen.report.page import Figures
    from bulkgen.report.study_content import StudyContent
    from bulkgen.report.study_sections import Picture, Section

__all__ = ["StudyPage", "study_page", "write_study_report"]

#: Facts of the data that have a place of their own in the report.
_SHOWN_APART = ("name", "simulated", "origin", "note", "citation", "labels", "parts", "command")
#: What the banner says of where the cells come from, and what “real cells” then are.
_BANNERS = {"real": "REAL DATA: {}", "simulated": "SIMULATED DATA", "computed": "COMPUTED CELLS"}
_OWN = {"real": "real", "simulated": "the simulation's own", "computed": "the data set's own"}
_CAUTIONS = {
    "real": "",
    "simulated": " “Real cells” in this report are the simulation's own.",
    "computed": (
        " The cells of this data set were computed from others (sums, mixtures or synthetic cells): “real cells” in "
        "this report are the data set's own, and none of its scores is of measured cells."
    ),
}
_FACT_NAMES = {
    "n_cells": "cells",
    "n_genes": "genes",
    "qc": "quality control",
    "sha256": "SHA-256 of the data",
    "split_sha256": "SHA-256 of the split",
}
_DISTRIBUTIONS = {
    "token_lengths": ("tokens", "Tokens per cell: expressed genes of the vocabulary, up to the context"),
    "expressed_genes": ("expressed genes", "Expressed genes per cell"),
    "library_sizes": ("counts (UMI)", "Counts per cell"),
}


@dataclass(frozen=True)
class StudyPage:
    """All that the report of a study says and shows, before it is HTML or Markdown."""

    title: str
    banner: Mapping[str, object]
    summary: str
    runs: str
    troubled: bool
    margin: str
    facts: Mapping[str, str]
    split: Table
    levels: tuple[str, ...]
    sections: tuple[Section, ...]
    confusions: tuple[Picture, ...]
    distributions: tuple[Picture, ...]
    failures: Table | None
    cost: Table

    @property
    def leading(self) -> list[tuple[str, list[str]]]:
        """The sentences at the head of the page, by part."""
        found = [
            (f"{part.letter}. {part.title}", [finding.text for finding in part.findings if finding.leading])
            for part in self.sections
        ]
        return [(part, sentences) for part, sentences in found if sentences]

    @property
    def pictures(self) -> list[Picture]:
        """Every figure in the order of the page."""
        drawn = [picture for part in self.sections for picture in part.pictures]
        return [*drawn, *self.confusions, *self.distributions]


def write_study_report(content: StudyContent, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``report.html`` and, under ``figures/``, every figure as SVG and PNG.

    Parameters
    ----------
    content
        The results of a study.
    folder
        An existing folder.
    overwrite
        Replace a report that is there.

    Returns
    -------
    Path
        Where ``report.html`` is.

    Raises
    ------
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    OutputExistsError
        If ``report.html`` exists and `overwrite` is false.
    """
    page = study_page(content)
    figures: Figures = {picture.name: (picture.figure, picture.description) for picture in page.pictures}
    benchmark = None
    if content.benchmark is not None:
        from bulkgen.report.benchmark import benchmark_content, benchmark_figures

        benchmark = benchmark_content(content.benchmark)
        figures |= {f"benchmark_{name}": drawn for name, drawn in benchmark_figures(content.benchmark).items()}
    further = {
        "confusions": ("Confusion matrices", page.confusions),
        "cells": ("Training sets", page.distributions),
        "benchmark": ("Generators, measured", benchmark),
        "failures": ("Failed runs", page.failures),
        "cost": ("Cost", page.cost),
    }
    return write_page(
        folder,
        "study.html.j2",
        figures,
        overwrite=overwrite,
        title=page.title,
        banner=page.banner,
        summary=page.summary,
        runs=page.runs,
        troubled=page.troubled,
        margin=page.margin,
        levels=page.levels,
        leading=page.leading,
        further=[(anchor, heading) for anchor, (heading, there) in further.items() if there],
        facts=page.facts,
        split=page.split,
        sections=page.sections,
        confusions=[picture.name for picture in page.confusions],
        distributions=[picture.name for picture in page.distributions],
        benchmark=benchmark,
        failures=page.failures,
        cost=page.cost,
        settings=content.settings,
        command=content.command,
        versions=content.versions,
        citations=content.citations,
    )


def study_page(content: StudyContent) -> StudyPage:
    """Make what the report says and shows out of a study's results.

    Raises
    ------
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    """
    require_report_extra()
    from bulkgen.report.study_sections import section

    in_study = set(content.table["part"])
    # thinning is about the same curve as bulkiness, and stands beside it
    order = sorted(content.parts, key=lambda part: "A1" if part.name == "thinning" else part.letter)
    counts = runs_in(content.table)
    data = content.data
    return StudyPage(
        title=f"bulkgen study: {content.name} on {data['name']}",
        banner={
            "title": _BANNERS[content.origin].format(data["name"]),
            "note": data.get("note") or "",
            "measured": content.origin == "real",
        },
        summary=(
            "Can bulk RNA-seq, as pseudo-bulk or as cells generated from it, stand in for single cells as training "
            "data? Every model was tested on the same single cells, which took no part in training, estimation or any "
            f"choice.{_CAUTIONS[content.origin]}"
        ),
        runs=_runs(counts, content.seeds, len(content.models)),
        troubled=counts["done"] < counts["all"],
        margin=_margin(content),
        facts=_facts(data),
        split=_split_table(content),
        levels=tuple(levels(content, _main_problem(content))),
        sections=tuple(section(content, part) for part in order if part.name in in_study),
        confusions=tuple(_confusions(content)),
        distributions=tuple(_distributions(content)),
        failures=_failures(content),
        cost=_cost_table(content),
    )


def _runs(counts: Mapping[str, int], seeds: int, models: int) -> str:
    text = f"{counts['all']:,} runs, {models} model{'s' * (models != 1)}, {seeds} seed{'s' * (seeds != 1)}: "
    text += f"{counts['done']:,} done"
    for status, word in (("failed", "failed"), ("missing", "not run yet")):
        if counts[status]:
            text += f", {counts[status]:,} {word}"
    return text + "."


def _margin(content: StudyContent) -> str:
    """Half of a 95 % interval of the first ceiling, from the number of test cells alone."""
    points = content.points
    rows = points[points["plain"] & (points["status"] == "done")]
    if not len(rows):
        return ""
    scores = Scores.from_dict(content.runs[str(rows["key"].iloc[0])]["result"]["test"])
    return f"{scores.balanced_accuracy_margin:.3f}"


def _facts(data: Mapping[str, Any]) -> dict[str, str]:
    """Say the facts of the data that have no other place."""
    shown = {name: value for name, value in data.items() if name not in _SHOWN_APART}
    return {
        _FACT_NAMES.get(name, name.replace("_", " ")): _said(value)
        for name, value in shown.items()
        if value not in (None, "", [], (), {})
    }


def _said(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_said(found)}" for name, found in value.items())
        case list() | tuple():
            return "; ".join(_said(found) for found in value)
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case str() if re.fullmatch("[0-9a-f]{40,}", value):
            # data.json has all of a hash
            return f"{value[:12]}…"
        case _:
            return str(value)


def _split_table(content: StudyContent) -> Table:
    counts = Counter(zip(content.split["part"], content.split["label"], strict=True))
    names = {"train": "training", "validation": "validation", "test": f"test (frozen, {_OWN[content.origin]})"}
    rows = []
    for part, name in names.items():
        cells = [counts[part, label] for label in content.labels]
        rows.append(Row.of(name, *(f"{n:,}" for n in cells), f"{sum(cells):,}"))
    return Table("Cells of each label in each part of the split.", ("part", *content.labels, "all"), tuple(rows))


def _main_problem(content: StudyContent) -> str:
    return str(max(dict.fromkeys(content.table["problem"]), key=content.n_labels))


def _confusions(content: StudyContent) -> list[Picture]:
    """Draw the matrices of each model's main runs: real cells, the largest k, the best and the worst generator."""
    from bulkgen.report.figures import confusion_matrix
    from bulkgen.report.study_sections import Picture

    points = content.points
    problem = _main_problem(content)
    made = []
    for model in content.models:
        here = points[(points["model"] == model) & (points["problem"] == problem) & (points["status"] == "done")]
        chosen: dict[str, pd.DataFrame] = {}
        ceiling = here[here["plain"]].drop_duplicates("seed")
        if len(ceiling):
            chosen["real cells"] = ceiling
        bulk = here[here["part"] == "bulkiness"]
        bulk = bulk[bulk["kind"] == "pseudobulk"]
        if len(bulk):
            strategy, k = bulk["strategy"].iloc[0], bulk["x"].max()
            last = bulk[(bulk["strategy"] == strategy) & (bulk["x"] == k)]
            chosen[f"{strategy} of {k:g} cells"] = last[last["validation"] == last["validation"].iloc[0]]
        for part in ("ladder", "synthetic"):
            generators = here[(here["part"] == part) & (here["kind"] == "synthetic") & ~here["floor"]]
            if len(generators):
                means = generators.groupby("series", sort=False)[SCORE].mean()
                for series in (means.idxmax(), means.idxmin()):
                    chosen[str(series)] = generators[generators["series"] == series]
                break
        for number, (name, rows) in enumerate(chosen.items()):
            scores = [Scores.from_dict(found) for found in content.test_scores(rows)]
            seeds = len(scores)
            figure = confusion_matrix(
                np.sum([score.confusion for score in scores], axis=0),
                scores[0].labels,
                title=f"{name} · {model}",
                mark=content.mark,
                note=f" × {seeds} seeds" if seeds > 1 else "",
            )
            place = content.models.index(model)
            description = f"Confusion matrix of {model} trained on {name}"
            made.append(Picture(f"confusion_{place}_{number}", figure, description, minor=True))
    return made


def _distributions(content: StudyContent) -> list[Picture]:
    """Draw training sets of the first seed: real cells, pseudo-bulk of the first strategy or thinned, generated."""
    from bulkgen.report.study_figures import distributions
    from bulkgen.report.study_sections import Picture

    points = content.points
    here = points[(points["status"] == "done") & (points["problem"] == _main_problem(content))]
    here = here[(here["ablation"] == "none") & (here["seed"] == here["seed"].min())]
    bulk = here[here["kind"] == "pseudobulk"]
    strategy = bulk.loc[bulk["part"] == "bulkiness", "strategy"].head(1).to_list()
    bulk = bulk[(bulk["part"] == "bulkiness") & bulk["strategy"].isin(strategy) | bulk["thin"]]
    generated = here[here["part"].isin(["ladder", "synthetic"]) & (here["kind"] == "synthetic")]
    names = pd.concat(
        [
            here.loc[here["plain"], "series"].head(1),
            bulk["strategy"] + bulk["thin"].map({True: ", thinned", False: ""}) + bulk["k"].map(", k = {:g}".format),
            generated["series"],
        ]
    ).drop_duplicates()
    sets = {
        name: (str(here.at[row, "kind"]), content.runs[here.at[row, "key"]]["result"]["training_set"])
        for row, name in names.items()
    }
    made = []
    for what, (unit, words) in _DISTRIBUTIONS.items():
        shown = [
            (name, kind, training_set[what]["quantiles"])
            for name, (kind, training_set) in sets.items()
            if what in training_set
        ]
        if shown:
            context = content.data.get("vocabulary", {}).get("context") if what == "token_lengths" else None
            figure = distributions(shown, unit=unit, mark=content.mark, context=context)
            made.append(Picture(f"cells_{what}", figure, f"{words}, in training sets"))
    return made


def _failures(content: StudyContent) -> Table | None:
    """One row per training set, model and reason, with the seeds in which it happened."""
    rows = content.points[content.points["status"] == "failed"]
    if not len(rows):
        return None
    letters = {part.name: part.letter for part in content.parts}
    found: dict[tuple[str, str, str], list[str]] = {}
    where: dict[tuple[str, str, str], list[str]] = {}
    for row in rows.itertuples():
        error = content.runs[str(row.key)]["error"]
        what = (f"{row.name}, {row.problem}", str(row.model), f"{error['type']}: {error['message']}")
        found.setdefault(what, []).append(str(row.seed))
        where.setdefault(what, []).append(letters[str(row.part)])
    return Table(
        "Runs that stopped with an error; bulkgen study run --retry-failed tries them again.",
        ("training set", "part", "model", "seeds", "error"),
        tuple(
            Row.of(
                name,
                ", ".join(dict.fromkeys(where[name, model, error])),
                model,
                ", ".join(dict.fromkeys(seeds)),
                Cell(error, failed=True),
            )
            for (name, model, error), seeds in found.items()
        ),
    )


def _cost_table(content: StudyContent) -> Table:
    """Seconds and memory of the runs by model and kind of training set."""
    kinds = {"real": "real cells", "pseudobulk": "pseudo-bulk", "synthetic": "synthetic cells", "mixed": "mixtures"}
    points = content.points.drop_duplicates("key")
    points = points[points["status"] != "missing"]
    rows = []
    for (model, kind), group in points.groupby(["model", "kind"], sort=False):
        costs = [content.runs[key]["cost"] for key in group["key"]]
        seconds = Spread.of(cost["seconds"] for cost in costs)
        memory = [cost["peak_memory"] for cost in costs if cost.get("peak_memory")]
        longest = max(cost["seconds"] for cost in costs)
        rows.append(
            Row.of(
                f"{model}, {kinds[str(kind)]}",
                f"{len(group):,}",
                number_text(seconds.mean, seconds.sd),
                number_text(longest),
                _hours(sum(cost["seconds"] for cost in costs)),
                number_text(max(memory)) if memory else "–",
            )
        )
    return Table(
        "What the runs took, making and tokenizing their training sets, training and testing. Runs of one process "
        "share what they have in common, so the first of them seem dearer.",
        ("runs", "number", "seconds each", "longest, s", "all", "peak memory, MB"),
        tuple(rows),
    )


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
