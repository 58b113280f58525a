"""What the report of a study shows beside its parts: split, confusion matrices, training sets, failures, cost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.report.figures import confusion_matrix
from bulkgen.report.study.content import SCORE, error_text
from bulkgen.report.study.figures import distributions
from bulkgen.report.study.view import Picture
from bulkgen.report.tables import Cell, Row, Spread, Table, number_text
from bulkgen.training.metrics import Scores

if TYPE_CHECKING:
    from bulkgen.report.study.content import StudyContent

__all__ = [
    "confusion_pictures",
    "cost_table",
    "distribution_pictures",
    "failure_table",
    "split_table",
]

#: What the test cells are, by where the cells of the study come from.
_OWN = {"real": "real", "simulated": "the simulation's own", "computed": "the data set's own"}
_DISTRIBUTIONS = {
    "token_lengths": ("tokens", "Tokens per cell: expressed genes of the vocabulary, up to the context"),
    "expressed_genes": ("expressed genes", "Expressed genes per cell"),
    "library_sizes": ("counts (UMI)", "Counts per cell"),
}


def split_table(content: StudyContent) -> Table:
    """Count the cells of each label in each part of the split."""
    counts = Counter(zip(content.split["part"], content.split["label"], strict=True))
    names = {"train": "training", "validation": "validation", "test": f"test (frozen, {_OWN[content.origin]})"}
    rows = []
    for part, name in names.items():
        cells = [counts[part, label] for label in content.labels]
        rows.append(Row.of(name, *(f"{n:,}" for n in cells), f"{sum(cells):,}"))
    return Table("Cells of each label in each part of the split.", ("part", *content.labels, "all"), tuple(rows))


def confusion_pictures(content: StudyContent) -> list[Picture]:
    """Draw the matrices of each model's main runs: real cells, the largest k, the best and the worst generator."""
    points = content.points
    problem = content.main_problem
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


def distribution_pictures(content: StudyContent) -> list[Picture]:
    """Draw training sets of the first seed: real cells, pseudo-bulk of the first strategy or thinned, generated."""
    points = content.points
    here = points[(points["status"] == "done") & (points["problem"] == content.main_problem)]
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


def failure_table(content: StudyContent) -> Table | None:
    """One row per training set, model and reason, with the seeds in which it happened; and the benchmark, if it did."""
    rows = content.points[content.points["status"] == "failed"]
    letters = {part.name: part.letter for part in content.parts}
    found: dict[tuple[str, str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for row in rows.itertuples():
        what = (f"{row.name}, {row.problem}", str(row.model), error_text(content.runs[str(row.key)]["error"]))
        parts, seeds = found.setdefault(what, ({}, {}))
        parts[letters[str(row.part)]] = seeds[str(row.seed)] = None
    shown = [
        Row.of(name, ", ".join(parts), model, ", ".join(seeds), Cell(error, failed=True))
        for (name, model, error), (parts, seeds) in found.items()
    ]
    if content.benchmark_error is not None:
        error = error_text(content.benchmark_error)
        shown.append(Row.of("the benchmark of the generators", "–", "–", "–", Cell(error, failed=True)))
    if not shown:
        return None
    return Table(
        "What stopped with an error; bulkgen study run --retry-failed tries it again.",
        ("training set", "part", "model", "seeds", "error"),
        tuple(shown),
    )


def cost_table(content: StudyContent) -> Table:
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
