"""The report of the benchmark of generators, made from its results alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bulkgen.fidelity.measure import MACRO
from bulkgen.fidelity.methods import CEILING, FLOOR, MAJORITY
from bulkgen.fidelity.metrics import GROUPS, METRICS
from bulkgen.report.page import require_report_extra, write_page
from bulkgen.report.tables import number_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bulkgen.fidelity.metrics import Metric
    from bulkgen.fidelity.results import BenchmarkResults
    from bulkgen.report.page import Figures

__all__ = [
    "HEADLINE",
    "benchmark_content",
    "benchmark_figures",
    "failed_wholly",
    "findings",
    "ranked_methods",
    "write_benchmark_report",
]

#: Metrics of the first table after the utility, one of each group that says most, with a short name.
HEADLINE = {
    "token_count_wasserstein": "tokens off by",
    "fold_change_slope": "fold-change slope",
    "auroc_linear": "AUROC",
    "nearest_is_donor": "copies",
    "seconds_per_10000_cells": "s per 10,000",
    "peak_memory": "memory, MB",
}

_BETTER = {"higher": "higher is better", "lower": "lower is better", "toward": "nearer is better"}


def write_benchmark_report(results: BenchmarkResults, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``report.html``, one self-contained page, and every figure under ``figures/``.

    Parameters
    ----------
    results
        From :func:`bulkgen.benchmark_generators` or :func:`bulkgen.score_cells`, or read back from their folder.
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
    require_report_extra()
    said = results.not_measured
    settings = results.settings
    return write_page(
        folder,
        "benchmark.html.j2",
        benchmark_figures(results),
        overwrite=overwrite,
        title=_title(results),
        banner=None if said is None else {"title": said["what"].upper(), "note": said["note"]},
        benchmark=benchmark_content(results),
        command=settings.get("command") or "bulkgen.benchmark_generators(...)  # settings.json holds every argument",
        versions=settings["versions"],
        citations=(),
    )


def benchmark_content(results: BenchmarkResults) -> dict[str, object]:
    """Return what the macro of ``benchmark_sections.html.j2`` shows beside :func:`benchmark_figures`."""
    return {
        "findings": findings(results),
        "failures": _failures(results),
        "headline": _headline(results),
        "headline_columns": _headline_columns(results),
        "groups": [_group(results, group, heading) for group, heading in GROUPS.items()],
        "recalls": [_recall(results, model) for model in results.models],
        "models": results.models,
        "facts": _facts(results),
        "seeds": results.seeds,
        "has_curve": bool(len(results.few_cells)),
        "weights": _weights(results),
    }


@dataclass(frozen=True)
class _Row:
    """A row of a table: its name, its texts, and which of them are the best of the generators."""

    name: str
    values: tuple[str, ...]
    role: str = "generator"
    note: str = ""
    best: tuple[bool, ...] = ()
    failed: str = ""


def findings(results: BenchmarkResults) -> list[str]:
    """Say in sentences what the numbers say, and nothing else."""
    sentences = []
    for model in results.models:
        scores = {method: results.value(method, "tstr_balanced_accuracy", model=model)[0] for method in results.methods}
        majority = results.value(MAJORITY, "tstr_balanced_accuracy")[0]
        sentences.append(
            f"{model}, trained on real cells: balanced accuracy {scores[CEILING]:.3f}, the ceiling; on independent "
            f"Poisson counts {scores[FLOOR]:.3f}, the floor; always the commonest label {majority:.3f}."
        )
        generators = {name: score for name, score in scores.items() if name not in (CEILING, FLOOR)}
        known = {name: score for name, score in generators.items() if not np.isnan(score)}
        if known:
            best = max(known, key=lambda name: known[name])
            closed = results.value(best, "tstr_gap_closed", model=model)[0]
            share = (
                ""
                if np.isnan(closed) or best == "truncated_gaussian"
                else (f"; it closes {closed:.0%} of the gap between the truncated Gaussian and real cells")
            )
            below = scores[CEILING] - known[best]
            against = f"{abs(below):.3f} {'below' if below >= 0 else 'above'} real cells"
            sentences.append(f"{model}: of the generators, {best} is best with {known[best]:.3f}, {against}{share}.")
            under = [name for name, score in known.items() if score < scores[FLOOR]]
            if under:
                sentences.append(f"{model}: below the Poisson floor: {', '.join(under)}.")
    told = {method: results.value(method, "auroc_linear")[0] for method in results.methods}
    told = {name: score for name, score in told.items() if name not in (CEILING, FLOOR) and not np.isnan(score)}
    if told:
        hardest = min(told, key=lambda name: METRICS["auroc_linear"].badness(told[name]))
        sentences.append(
            f"Hardest to tell from real cells: {hardest}, AUROC {told[hardest]:.3f} (0.5 cannot be told; real training "
            f"cells {results.value(CEILING, 'auroc_linear')[0]:.3f})."
        )
    return sentences


def ranked_methods(results: BenchmarkResults) -> list[str]:
    """Ceiling, generators from the most to the least useful for the first model, floor."""
    model = results.models[0] if results.models else ""

    def score(method: str) -> float:
        mean, _ = results.value(method, "tstr_balanced_accuracy", model=model)
        return -np.inf if np.isnan(mean) else mean

    generators = [method for method in results.methods if method not in (CEILING, FLOOR)]
    return [CEILING, *sorted(generators, key=score, reverse=True), FLOOR]


def _title(results: BenchmarkResults) -> str:
    task = results.settings["task"]
    if task["name"] == "score":
        return f"bulkgen score: {', '.join(m for m in results.methods if m not in (CEILING, FLOOR))} against real cells"
    return f"bulkgen benchmark: generators on {task['name'].replace('_', ' ')} ({task['label']})"


def _failures(results: BenchmarkResults) -> list[_Row]:
    """One row per method, stage and reason, with the seeds in which it happened."""
    seeds: dict[tuple[str, str, str], list[int]] = {}
    for failure in results.failures:
        seeds.setdefault((failure["method"], failure["stage"], failure["reason"]), []).append(failure["seed"])
    return [
        _Row(method, (stage, ", ".join(map(str, found)), reason)) for (method, stage, reason), found in seeds.items()
    ]


def failed_wholly(results: BenchmarkResults, method: str) -> str:
    """Return why a method has no cells in any seed; empty if it has."""
    found = [failure for failure in results.failures if failure["method"] == method and failure["stage"] == "generate"]
    return found[0]["reason"] if len(found) == results.seeds else ""


def _headline_columns(results: BenchmarkResults) -> list[str]:
    columns = []
    for model in results.models:
        of = f", {model}" if len(results.models) > 1 else ""
        columns += [f"balanced accuracy{of}", f"gap closed{of}"]
    return [*columns, *HEADLINE.values()]


def _headline(results: BenchmarkResults) -> list[_Row]:
    rows = []
    for method in ranked_methods(results):
        values = []
        for model in results.models:
            values.append(number_text(*results.value(method, "tstr_balanced_accuracy", model=model)))
            closed, _ = results.value(method, "tstr_gap_closed", model=model)
            values.append("–" if np.isnan(closed) else f"{closed:.0%}".replace("-", "−"))
        # without standard deviations, which stand in the tables of all metrics
        values += [number_text(results.value(method, metric)[0]) for metric in HEADLINE]
        role = {CEILING: "ceiling", FLOOR: "floor"}.get(method, "generator")
        rows.append(_Row(method, tuple(values), role, failed=failed_wholly(results, method)))
    majority = [""] * (2 * len(results.models) + len(HEADLINE))
    for place in range(len(results.models)):
        majority[2 * place] = number_text(*results.value(MAJORITY, "tstr_balanced_accuracy"))
    return [*rows, _Row("always the commonest label", tuple(majority), "floor")]


@dataclass(frozen=True)
class _Group:
    """All metrics of one group: means over classes, and each class."""

    heading: str
    methods: tuple[str, ...]
    macro: tuple[_Row, ...]
    classes: tuple[_Row, ...]


def _group(results: BenchmarkResults, group: str, heading: str) -> _Group:
    methods = tuple(method for method in ranked_methods(results) if not failed_wholly(results, method))
    table = results.results
    labels = [label for label in table["label"].unique() if label != MACRO]
    macro, classes = [], []
    for metric in (metric for metric in METRICS.values() if metric.group == group):
        for model in table.loc[table["metric"] == metric.name, "model"].unique():
            if metric.group == "utility" and not model:
                continue  # the majority's row
            shown = metric.name + (f", {model}" if model else "")
            row = _metric_row(results, metric, shown, methods, model=model, label=MACRO)
            if row is not None:
                macro.append(row)
            if metric.group == "utility":
                continue
            rows = (
                _metric_row(results, metric, f"{shown}, {label}", methods, model=model, label=label) for label in labels
            )
            classes += [row for row in rows if row is not None]
    return _Group(heading, methods, tuple(macro), tuple(classes))


def _metric_row(
    results: BenchmarkResults, metric: Metric, shown: str, methods: tuple[str, ...], *, model: str, label: str
) -> _Row | None:
    found = [results.value(method, metric.name, model=model, label=label) for method in methods]
    if all(np.isnan(mean) for mean, _ in found):
        return None
    badness = np.array(
        [
            np.inf if np.isnan(mean) or method in (CEILING, FLOOR) else metric.badness(mean)
            for method, (mean, _) in zip(methods, found, strict=True)
        ]
    )
    # with one generator there is nothing to be better than
    contest = np.isfinite(badness).sum() > 1
    best = tuple(bool(contest and np.isfinite(value) and value == badness.min()) for value in badness)
    unit = f", {metric.unit}" if metric.unit else ""
    note = f"{metric.description}{unit}; {_BETTER[metric.better]}, perfect {metric.perfect:g}"
    return _Row(shown, tuple(number_text(*pair) for pair in found), note=note, best=best)


@dataclass(frozen=True)
class _Recall:
    """Recall of each label after training a model on each method's cells."""

    model: str
    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


def _recall(results: BenchmarkResults, model: str) -> _Recall:
    table = results.results
    here = (table["metric"] == "tstr_recall") & (table["model"] == model)
    labels = tuple(sorted(table.loc[here, "label"].unique()))
    methods = [method for method in ranked_methods(results) if not failed_wholly(results, method)]
    rows = tuple(
        (method, tuple(results.value(method, "tstr_recall", model=model, label=label)[0] for label in labels))
        for method in methods
    )
    return _Recall(model, labels, rows)


def _weights(results: BenchmarkResults) -> list[_Row]:
    """Weights of a synthetic cell that cross-validation chose: by method, then by size."""
    table = results.few_cells
    table = table[table["synthetic"] != ""] if len(table) else table
    rows = []
    for method in table["synthetic"].unique() if len(table) else ():
        here = table[table["synthetic"] == method]
        values = []
        for size, everything in dict.fromkeys(zip(here["size"].where(~here["all"], -1), here["all"], strict=True)):
            chosen = here.loc[here["all"] if everything else here["size"] == size, "weight"]
            values.append((f"{'all' if everything else size}", ", ".join(f"{weight:g}" for weight in chosen)))
        rows.append(_Row(method, tuple(f"{size}: {weights}" for size, weights in values)))
    return rows


def _facts(results: BenchmarkResults) -> dict[str, str]:
    settings = results.settings
    trial = settings["trials"][0]
    task = {name: value for name, value in settings["task"].items() if name != "name" and value not in (None, (), [])}
    facts = {
        "task": f"{settings['task']['name']}: " + ", ".join(f"{name} {_said(value)}" for name, value in task.items()),
        "training cells": ", ".join(f"{label} {n:,}" for label, n in trial["train"].items()),
        "test cells": ", ".join(f"{label} {n:,}" for label, n in trial["test"].items()),
        "generated": ", ".join(f"{stratum} {n:,}" for stratum, n in trial["generated"].items()),
        "ceiling": _ceiling_said(trial),
        "vocabulary": (
            f"{trial['vocabulary']['name']}, {trial['vocabulary']['genes']:,} genes"
            + (", fitted to the training cells of each seed" if settings["vocabulary_fitted"] else "")
        ),
        "seeds": f"{results.seeds}, all from {settings['rng'] if settings['rng'] is not None else settings['key']}",
    }
    for method in settings["methods"]:
        used = trial.get("parameters_used", {}).get(method["shown"])
        if used:
            shown = ", ".join(f"{name} {_said(value)}" for name, value in used.items())
            facts[method["shown"]] = f"{method['name']}: {shown}"
    if settings.get("cost"):
        facts["cost"] = settings["cost"]
    return facts


def _ceiling_said(trial: Mapping[str, Any]) -> str:
    """Say how many real training cells the ceiling is made of, and whether they are fewer than the generated ones."""
    numbers = trial.get("ceiling", trial["train"])
    said = ", ".join(f"{label} {n:,}" for label, n in numbers.items())
    if sum(numbers.values()) < sum(trial["generated"].values()):
        said += "; fewer than generated, because there are no more real training cells"
    return said


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return " and ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def benchmark_figures(results: BenchmarkResults) -> Figures:
    """Every figure with its alternative text, in the order of the page."""
    # it draws, and this module loads without Matplotlib
    from bulkgen.report.figures import own_style

    with own_style():
        return _drawn(results)


def _drawn(results: BenchmarkResults) -> Figures:
    from bulkgen.report import benchmark_figures as draw

    made: Figures = {}
    for number, model in enumerate(results.models):
        methods = ranked_methods(results)
        made[f"ladder_{number}"] = (
            draw.ladder(results, model, methods),
            f"Balanced accuracy on real test cells of {model} after training on each method's cells",
        )
        for metric in ("token_count_wasserstein", "fold_change_slope"):
            made[f"mechanism_{number}_{metric}"] = (
                draw.mechanism(results, metric, model),
                f"Balanced accuracy of {model} against {METRICS[metric].description}",
            )
    if len(results.few_cells):
        made["few_cells"] = (
            draw.few_cells(results),
            "Balanced accuracy against the number of real cells per class, with and without synthetic cells",
        )
    drawn = list(dict.fromkeys(results.genes["method"])) if len(results.genes) else []
    for number, method in enumerate(method for method in ranked_methods(results) if method in drawn):
        made[f"genes_{number:02d}"] = (
            draw.gene_scatter(results, method),
            f"Means and shares of zeros of the genes in {method} cells against real test cells",
        )
        made[f"plane_{number:02d}"] = (
            draw.plane(results, method),
            f"{method} cells among real test cells, in two principal components of the real training cells",
        )
    return made
