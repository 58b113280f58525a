"""``bulkgen split``: real cells into training, validation and test cells."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer

from bulkgen.cli.options import InputCells, Json, Layer, Overwrite, Rng, print_result

__all__ = ["split"]


def split(
    cells: InputCells,
    label: Annotated[str, typer.Option("--label", help="Column of obs to be predicted.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the parts; made if need be.")],
    test_fraction: Annotated[float, typer.Option(help="Share of each label's cells to test on.")] = 0.1,
    validation_fraction: Annotated[float, typer.Option(help="Share to choose models on; may be 0.")] = 0.1,
    stratify_by: Annotated[
        list[str] | None, typer.Option(help="Further column whose proportions are kept; may be repeated.")
    ] = None,
    drop_unlabelled: Annotated[
        bool, typer.Option("--drop-unlabelled", help="Leave out cells without a label.")
    ] = False,
    layer: Layer = None,
    rng: Rng = 0,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Split real cells into training, validation and test cells.

    The folder holds train.h5ad, val.h5ad and test.h5ad, stratified and seeded. The test cells are frozen: nothing
    downstream may touch them, estimated means and variances included.
    """
    from bulkgen.io import atomic_file, check_output, read, write
    from bulkgen.splits import split_benchmark

    paths = {"train": out / "train.h5ad", "validation": out / "val.h5ad", "test": out / "test.h5ad"}
    record = out / "split.json"
    if out.exists():
        for path in (*paths.values(), record):
            check_output(path, overwrite=overwrite)
    unused = paths.pop("validation") if validation_fraction == 0 else None
    adata = read(cells, layer=layer)
    dropped = 0
    if drop_unlabelled and label in adata.obs:
        labelled = adata.obs[label].notna().to_numpy()
        dropped = int((~labelled).sum())
        adata = adata[labelled].copy()
    result = split_benchmark(
        adata,
        label=label,
        test_fraction=test_fraction,
        validation_fraction=validation_fraction,
        stratify_by=stratify_by or [],
        rng=rng,
    )
    summary = {
        **{f"{part}_cells": int(result.indices[part].size) for part in paths},
        "labels": {str(name): row.to_dict() for name, row in result.summary().iterrows()},
        "cells_dropped": dropped,
        "out": str(out),
    }
    indices = {part: result.indices[part].tolist() for part in paths}
    provenance = {name: value for name, value in result.test.uns["bulkgen_split"].items() if name != "part"}
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    # all parts or none: test cells of one split and training cells of another could be the same cells
    with ExitStack() as stack:
        if made:
            stack.callback(_remove_empty, out)
        manifest = stack.enter_context(atomic_file(record, overwrite=overwrite))
        for part, path in paths.items():
            write(getattr(result, part), stack.enter_context(atomic_file(path, overwrite=overwrite)), overwrite=True)
        manifest.write_text(json.dumps({**summary, "provenance": provenance, "indices": indices}, default=str))
        if unused is not None:
            unused.unlink(missing_ok=True)
    if json_:
        print_result(summary, as_json=True)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(label)
    for part in paths:
        table.add_column(part, justify="right")
    for name, row in result.summary().iterrows():
        table.add_row(str(name), *(str(row[part]) for part in paths))
    table.add_row("all", *(str(result.indices[part].size) for part in paths), style="bold")
    Console(width=80).print(table)
    if len(result.summary()) == 1:
        typer.echo(f"note: {label!r} has one label only, so there is nothing to predict", err=True)
    if dropped:
        typer.echo(f"{dropped} cells without a label were left out")
    print_result(
        {"out": f"{out}: {', '.join(path.name for path in (*paths.values(), record))}"},
        as_json=False,
        then=("pseudobulk", paths["train"], "--by", label, "-o", out / "pseudobulk.h5ad"),
    )


def _remove_empty(folder: Path) -> None:
    """Remove a folder in which nothing was left, for example on a full disk."""
    with suppress(OSError):
        folder.rmdir()
