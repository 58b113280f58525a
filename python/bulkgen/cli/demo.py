"""``bulkgen demo``: the whole way on simulated data, with a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulkgen.cli.options import Json, Output, Overwrite, Rng, Threads

if TYPE_CHECKING:
    from bulkgen.report import Report

__all__ = ["demo"]


def demo(
    out: Output = Path("demo"),
    n_cells: Annotated[int, typer.Option("--n-cells", min=200, help="Simulated cells.")] = 3000,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Run the whole way on SIMULATED data: cells, pseudo-bulk, synthetic cells, models, report."""
    from bulkgen.study import run_demo

    started = time.perf_counter()

    def say(step: str) -> None:
        typer.echo(f"[{time.perf_counter() - started:4.0f} s] {step}", err=True)

    result = run_demo(out, n_cells=n_cells, rng=rng, threads=threads, overwrite=overwrite, on_step=say)
    place = (result.folder / "report.html").absolute()
    if json_:
        typer.echo(json.dumps(result.results | {"report": str(place)}))
        return
    _print_table(result.report)
    typer.echo(f"{result.seconds:.0f} seconds in all. The report: {place}")


def _print_table(report: Report) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title="SIMULATED data (a twin of sci-Plex2): scores on held-out cells",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        caption=f"{report.test_set.n} test cells; ± is a 95 % interval from their number alone; one seed",
    )
    table.add_column("training set", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for name in ("samples", "balanced\naccuracy", "macro-\nF1", "accu-\nracy", "tokens", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for run, scores in report.scored:
        cells = report.cells(run.training_set)
        table.add_row(
            run.training_set,
            run.model,
            f"{cells.n}",
            f"{scores.balanced_accuracy:.3f} ±{scores.balanced_accuracy_margin:.3f}",
            f"{scores.macro_f1:.3f}",
            f"{scores.accuracy:.3f}",
            f"{cells.median_tokens:.0f}",
            f"{run.seconds:.1f}" if run.seconds < 10 else f"{run.seconds:.0f}",
        )
    majority = report.scored[0][1].majority
    floor = [f"{majority[name]:.3f}" for name in ("balanced_accuracy", "macro_f1", "accuracy")]
    table.add_row("majority label", "", "", f"{floor[0]}       ", *floor[1:], "", "", style="dim")
    Console(width=80, highlight=False).print(table)
