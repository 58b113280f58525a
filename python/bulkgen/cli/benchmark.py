"""``bulkgen benchmark``: which generator's cells are like real ones, and useful."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkgen.cli.help import HelpAll
from bulkgen.cli.options import GeneIds, InputCells, Json, Layer, Output, Overwrite, Rng, Threads, VocabularyPaths

if TYPE_CHECKING:
    from anndata import AnnData

    from bulkgen.fidelity.metrics import MetricGroup
    from bulkgen.fidelity.results import BenchmarkResults

__all__ = ["Control", "Group", "Metrics", "Models", "Seeds", "benchmark", "finish", "read_groups", "read_models"]

_WIDTH = 80
_MEASURED = "What is measured, and with what"

Seeds = Annotated[int, typer.Option(min=1, help="Repetitions, each with a split of its own.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="MODEL[:OPTION=VALUE,...]",
        rich_help_panel=_MEASURED,
        help="Model to train on the cells: linear (default), tiny, or a checkpoint; may be repeated.",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GROUPS",
        rich_help_panel=_MEASURED,
        help="Only these groups of metrics beside utility and cost: tokens,effect,...; may be repeated.",
    ),
]
Control = Annotated[str | None, typer.Option(help="Label of the control cells.")]
Group = Annotated[str | None, typer.Option(help="Column of donors or patients, never on both sides of a split.")]


def benchmark(
    cells: InputCells,
    out: Output,
    label: Annotated[str, typer.Option(help="obs column to predict (virtual_drugs: the cell lines).")],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="[SHOWN=]NAME[:PARAMETER=VALUE,...]",
            help="Generator to try; may be repeated. truncated_gaussian is always there.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="label, label_control (with --control), or virtual_drugs.", show_default=False)
    ] = None,
    control: Control = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Further column that profiles are grouped by; may be repeated.")
    ] = None,
    group: Group = None,
    task_settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of the task (alpha=0.1); may be repeated."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN[=VALUE]", help="Use only cells where a column is true, or has a value."),
    ] = None,
    seeds: Seeds = 3,
    models: Models = None,
    metrics: Metrics = None,
    n_cells: Annotated[
        int | None,
        typer.Option(
            "--n-cells", "-n", min=1, help="Cells per class (default: as in training).", rich_help_panel=_MEASURED
        ),
    ] = None,
    few_cells: Annotated[
        str | None,
        typer.Option(
            metavar="SIZES",
            help="Few-cells curve at these real cells per class: 0,5,10,20,60,all.",
            rich_help_panel=_MEASURED,
        ),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(help="V1, V2, or a saved one (default: fitted to the training cells).", rich_help_panel=_MEASURED),
    ] = None,
    vocabulary_path: VocabularyPaths = None,
    gene_ids: GeneIds = None,
    layer: Layer = None,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
    help_all: HelpAll = False,
) -> None:
    """Rank generators on real cells: utility, fidelity and cost.

    Every figure stands between a ceiling, real cells, and a floor, Poisson noise.
    """
    import bulkgen
    from bulkgen.fidelity.tasks import make_task
    from bulkgen.io import check_output
    from bulkgen.report import require_report_extra

    check_output(out, overwrite=overwrite)
    require_report_extra()
    groups = read_groups(metrics)
    chosen = make_task(
        task, label=label, control=control, by=by, group=group, **dict(map(_read_setting, task_settings or []))
    )
    started = time.perf_counter()
    results = bulkgen.benchmark_generators(
        _where(bulkgen.read(cells, layer=layer), where or []),
        task=chosen,
        methods=[_method(text) for text in methods or ["truncated_gaussian"]],
        seeds=seeds,
        models=read_models(models),
        metrics=groups,
        n_cells=n_cells,
        few_cells=None if few_cells is None else _sizes(few_cells),
        vocabulary=vocabulary,
        vocabulary_path=vocabulary_path or None,
        gene_ids=gene_ids,
        out=out,
        overwrite=overwrite,
        rng=rng,
        threads=threads,
        command=shlex.join(["bulkgen", *sys.argv[1:]]),
        on_step=lambda step: typer.echo(f"[{time.perf_counter() - started:4.0f} s] {step}", err=True),
    )
    finish(results, out, as_json=json_)


def finish(results: BenchmarkResults, out: Path, *, as_json: bool) -> None:
    """Write the report beside the tables and print the result."""
    from bulkgen.report.benchmark import write_benchmark_report

    report = write_benchmark_report(results, out)
    if as_json:
        summary = results.summary()
        rows = json.loads(summary.to_json(orient="records"))
        typer.echo(json.dumps({"out": str(out), "report": str(report), "failures": results.failures, "summary": rows}))
        return
    _print_table(results)
    typer.echo(f"{results.settings['seconds']:.0f} s in all. The report: {report.absolute()}")


def read_groups(texts: list[str] | None) -> tuple[MetricGroup, ...] | None:
    """Read the names of --metrics, and check them before any file is read."""
    from bulkgen.fidelity.measure import check_groups

    names: list[Any] = [name.strip() for text in texts or () for name in text.split(",") if name.strip()]
    return check_groups(names) if names else None


def _read_setting(text: str) -> tuple[str, object]:
    """Read NAME=VALUE; the value is JSON where it can be (true, 0.5), else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


def read_models(models: list[str] | None) -> list[dict[str, Any]]:
    """Read MODEL[:OPTION=VALUE,...]; a path may hold colons, so that only what is followed by a setting is one."""
    found = []
    for text in models or ["linear"]:
        model, colon, options = text.rpartition(":")
        if not colon or "=" not in options:
            model, options = text, ""
        found.append({"model": model, "options": dict(map(_read_setting, filter(None, options.split(","))))})
    return found


def _method(text: str) -> dict[str, Any]:
    head, _, parameters = text.partition(":")
    shown, equals, name = head.rpartition("=")
    return {
        "name": name,
        "parameters": dict(map(_read_setting, filter(None, parameters.split(",")))),
        "as_": shown if equals else None,
    }


def _sizes(text: str) -> list[Any]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if word != "all" and not word.isdigit()]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is neither a number of cells nor 'all'", param_hint="--few-cells")
    return [word if word == "all" else int(word) for word in words]


def _where(cells: AnnData, conditions: list[str]) -> AnnData:
    from bulkgen.label_columns import no_such_column

    for condition in conditions:
        column, equals, value = condition.partition("=")
        if column not in cells.obs:
            raise typer.BadParameter(no_such_column(cells.obs.columns, column), param_hint="--where")
        values = cells.obs[column].astype(str)
        kept = (values == (value if equals else "True")).to_numpy()
        if not kept.any():
            raise typer.BadParameter(f"no cell fulfils {condition!r}", param_hint="--where")
        cells = cells[kept].copy()
    return cells


def _print_table(results: BenchmarkResults) -> None:
    """Print the methods in at most 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from bulkgen.fidelity.methods import CEILING, FLOOR, MAJORITY
    from bulkgen.report.benchmark import failed_wholly, ranked_methods
    from bulkgen.report.tables import number_text

    console = Console(width=_WIDTH, highlight=False)
    said = results.not_measured
    if said is not None:
        console.print(f"[bold]{said['what'].upper()}[/bold]: {said['note']}\n")
    model = results.models[0]
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        caption=f"{model}; "
        + (f"± is the standard deviation over {results.seeds} seeds" if results.seeds > 1 else "one seed"),
    )
    table.add_column("method", max_width=24, overflow="fold")
    for name in ("balanced\naccuracy", "gap\nclosed", "tokens\noff by", "fold\nslope", "AUROC", "s/10k", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    metrics = ("token_count_wasserstein", "fold_change_slope", "auroc_linear", "seconds_per_10000_cells", "peak_memory")
    for method in ranked_methods(results):
        style = "dim" if method in (CEILING, FLOOR) else ""
        if failed_wholly(results, method):
            table.add_row(method, "failed", style="red")
            continue
        closed, _ = results.value(method, "tstr_gap_closed", model=model)
        table.add_row(
            f"{method} (ceiling)" if method == CEILING else method,
            number_text(*results.value(method, "tstr_balanced_accuracy", model=model)),
            "–" if closed != closed else f"{closed:.0%}".replace("-", "−"),
            *(number_text(results.value(method, metric)[0]) for metric in metrics),
            style=style,
        )
    majority, _ = results.value(MAJORITY, "tstr_balanced_accuracy")
    table.add_row("majority label", number_text(majority), style="dim")
    console.print(table)
    for (method, stage, reason), _ in _failures(results):
        console.print(f"[red]failed[/red]: {method} ({stage}): {reason}", soft_wrap=False, markup=True)


def _failures(results: BenchmarkResults) -> list[tuple[tuple[str, str, str], int]]:
    """Methods, stages and reasons that failed, each once."""
    found: dict[tuple[str, str, str], int] = {}
    for failure in results.failures:
        key = (failure["method"], failure["stage"], failure["reason"])
        found[key] = found.get(key, 0) + 1
    return list(found.items())
