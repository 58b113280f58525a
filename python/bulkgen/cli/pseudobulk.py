"""``bulkgen pseudobulk``: real cells to sums or means of about k cells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bulkgen.cli.options import By, InputCells, Json, Layer, Output, Overwrite, Rng, Threads, print_result
from bulkgen.cli.shards import DaskAddress

__all__ = ["pseudobulk"]


class StrategyName(StrEnum):
    """Strategies of the command line."""

    sum = "sum"
    mean_k = "mean_k"
    mean = "mean"


class RemainderName(StrEnum):
    """Remainder policies of the command line."""

    drop = "drop"
    keep = "keep"
    merge = "merge"


def pseudobulk(
    cells: InputCells,
    by: By,
    out: Output,
    k: Annotated[float, typer.Option("-k", min=1, help="Mean number of cells per group.")] = 10,
    strategy: Annotated[
        StrategyName | None,
        typer.Option(help="Sum, sum / k, or sum / group size (default: mean, or sum with --thin)."),
    ] = None,
    cv: Annotated[float, typer.Option(min=0, help="Coefficient of variation of the group sizes.")] = 0.1,
    remainder: Annotated[
        RemainderName, typer.Option(help="What becomes of the last, incomplete group.")
    ] = RemainderName.merge,
    round_: Annotated[bool, typer.Option("--round", help="Round means to whole counts.")] = False,
    thin: Annotated[
        bool, typer.Option("--thin", help="Thin each sum to the library size of a random cell of its stratum.")
    ] = False,
    dense: Annotated[bool, typer.Option("--dense", help="Write a dense matrix (default: compressed rows).")] = False,
    layer: Layer = None,
    rng: Rng = 0,
    threads: Threads = None,
    dask: DaskAddress = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Aggregate cells within each stratum, about k at a time."""
    import bulkgen
    from bulkgen.io import check_cells_output
    from bulkgen.io.executors import dask_scheduler

    check_cells_output(out, overwrite=overwrite)
    opened = bulkgen.open_cells(cells, layer=layer)
    with dask_scheduler(dask):
        result = bulkgen.pseudobulk(
            opened,
            by=by,
            k=k,
            strategy=None if strategy is None else strategy.value,
            cv=cv,
            remainder=remainder.value,
            round=round_,
            thin=thin,
            sparse=not dense,
            rng=rng,
            threads=threads,
            out=out,
            overwrite=overwrite,
        )
    sizes = result.obs["n_obs_aggregated"]
    print_result(
        {
            "cells": opened.n_obs,
            "groups": result.n_obs,
            "genes": result.n_vars,
            "smallest_group": int(sizes.min()),
            "largest_group": int(sizes.max()),
            "out": str(out),
        },
        as_json=json_,
        then=("tokenize", out, "--label", by[0], "-o", out.with_suffix(".dataset")),
    )
    if strategy is not StrategyName.sum and not round_ and not thin:
        typer.echo(
            "note: sum, mean_k and mean give a rank-based model the same tokens, because the\n"
            "scale of a cell cancels; training on more than one of them is training on the\n"
            "same data (--round makes them differ)",
            err=True,
        )
