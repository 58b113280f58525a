"""Options that several sub-commands share, and how results are printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "By",
    "Columns",
    "GeneIds",
    "InputCells",
    "Json",
    "KeepEmpty",
    "Label",
    "Layer",
    "Output",
    "Overwrite",
    "Rng",
    "Threads",
    "VocabularyPaths",
    "print_result",
    "split_columns",
]

InputCells = Annotated[Path, typer.Argument(metavar="CELLS", help="Raw counts: .h5ad file or .zarr store.")]
By = Annotated[list[str], typer.Option("--by", help="Column of obs to group by; may be repeated.")]
Layer = Annotated[str | None, typer.Option("--layer", help="Take the counts from this layer, not from X.")]
Output = Annotated[Path, typer.Option("--out", "-o", help="Where to write the result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Rng = Annotated[int, typer.Option("--rng", min=0, help="Seed: the same seed gives the same bits.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads to use (default: the CPUs available).")]

VocabularyPaths = Annotated[
    list[Path] | None,
    typer.Option(
        "--vocabulary-path",
        help="Where the dictionaries of V1 or V2 are: a folder, or the files (repeat the option).",
    ),
]
Label = Annotated[str | None, typer.Option("--label", help="obs column to predict.")]
Columns = Annotated[str | None, typer.Option("--columns", help="Further obs columns to carry along: a,b,c.")]
GeneIds = Annotated[
    str | None, typer.Option("--gene-ids", help="var column that holds the gene ids (default: var_names).")
]
KeepEmpty = Annotated[bool, typer.Option("--keep-empty", help="Keep cells that express no gene of the vocabulary.")]


def split_columns(columns: str | None) -> list[str] | None:
    """Read the names of --columns."""
    return [name.strip() for name in columns.split(",")] if columns else None


def print_result(result: Mapping[str, object], *, as_json: bool, then: Sequence[object] = ()) -> None:
    """Print a result as JSON (one object, for machines) or as aligned `name  value` lines (for people).

    People also read where the output is, and which command may come `then` (its words after ``bulkgen``).
    """
    if as_json:
        typer.echo(json.dumps(result, default=str))
        return
    lines = {"written" if name == "out" else name.replace("_", " "): value for name, value in result.items()}
    if then:
        lines["next"] = shlex.join(["bulkgen", *map(str, then)])
    width = max((len(name) for name in lines), default=0)
    for name, value in lines.items():
        typer.echo(f"{name:<{width}}  {format(value, ',') if type(value) is int else value}")
