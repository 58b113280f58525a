"""``bulkgen synthesize``: bulk profiles to synthetic cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import Json, Layer, Output, Overwrite, Rng, Threads, print_result

__all__ = ["synthesize"]


def synthesize(
    bulk: Annotated[
        Path,
        typer.Argument(metavar="BULK", help="Real cells to aggregate (.h5ad or .zarr, with --by), or bulk profiles."),
    ],
    out: Output,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Column of obs to aggregate by; may be repeated.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Real cells to learn from, where BULK holds profiles.")] = None,
    method: Annotated[str, typer.Option(help="Generator: truncated_gaussian.")] = "truncated_gaussian",
    n_cells: Annotated[int, typer.Option("--n-cells", "-n", min=1, help="Cells per stratum.")] = 1000,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Parameter of the generator; may be repeated."),
    ] = None,
    layer: Layer = None,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Generate synthetic single cells from bulk profiles."""
    import bulkgen
    from bulkgen.io import check_cells_output

    check_cells_output(out, overwrite=overwrite)
    parameters = dict(_assignment(text) for text in set_ or [])
    result = bulkgen.synthesize(
        bulkgen.read(bulk, layer=layer),
        reference=None if reference is None else bulkgen.read(reference, layer=layer),
        by=by or None,
        method=method,
        n_cells=n_cells,
        rng=rng,
        threads=threads,
        **parameters,
    )
    bulkgen.write(result, out, overwrite=overwrite)
    print_result(
        {
            "method": method,
            "strata": result.n_obs // n_cells,
            "cells": result.n_obs,
            "genes": result.n_vars,
            "out": str(out),
        },
        as_json=json_,
    )


def _assignment(text: str) -> tuple[str, object]:
    """Read NAME=VALUE; the value is JSON where it can be (true, 0.5), else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--set")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
