"""``bulkgen demo``: the study ``quick``, on simulated cells, with its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import Json, Output
from bulkgen.cli.study import finish, run_and_tell

__all__ = ["demo"]


def demo(
    out: Output = Path("demo"),
    n_cells: Annotated[int | None, typer.Option("--n-cells", min=200, help="Simulated cells (default: 2,500).")] = None,
    rng: Annotated[int, typer.Option("--rng", min=0, help="Seed of the simulated cells and of their split.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes at the same time, 2.5 GB each.")] = 2,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew in a folder that holds a study.")] = False,
    json_: Json = False,
) -> None:
    """Run the whole way on SIMULATED data: the study "quick".

    Its findings are printed, and its report is written.
    """
    from bulkgen.datasets import sciplex2_twin
    from bulkgen.io import write
    from bulkgen.study import StudyConfig
    from bulkgen.study.folder import StudyFolder

    overrides = {"data.rng": rng, "split.rng": rng} | ({} if n_cells is None else {"data.n_cells": n_cells})
    config = StudyConfig.preset("quick", overrides=overrides)
    if overwrite:
        StudyFolder(out).remove()
    results = run_and_tell(config, out, jobs=jobs)
    cells = out / "simulated_cells.h5ad"
    # the study's own cells: it refuses a folder with others
    if not cells.exists():
        write(sciplex2_twin(config.data.n_cells, rng=rng), cells)
    if not json_:
        typer.echo(f"The cells, to go on with: {cells.absolute()}")
    finish(results, as_json=json_, findings=True)
