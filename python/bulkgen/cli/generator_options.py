"""Options of the sub-commands that fit a generator."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GroupedBy", "Method", "ReferenceCells", "Set", "parameters_of"]

GroupedBy = Annotated[list[str] | None, typer.Option("--by", help="Column of obs to aggregate by; may be repeated.")]
ReferenceCells = Annotated[
    Path | None, typer.Option("--reference", help="Real cells to learn from, where BULK holds profiles.")
]
Method = Annotated[
    str | None, typer.Option("--method", help="Generator (bulkgen generators lists them; default truncated_gaussian).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Parameter of the generator; may be repeated."),
]


def parameters_of(assignments: Sequence[str] | None) -> dict[str, object]:
    """Read NAME=VALUE each; a value is JSON where it can be (true, 0.5), else a string."""
    import bulkgen

    parameters: dict[str, object] = {}
    for text in assignments or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--set")
        if name in inspect.signature(bulkgen.synthesize).parameters:
            raise typer.BadParameter(f"{name!r} is not a parameter of a generator", param_hint="--set")
        try:
            parameters[name] = json.loads(value)
        except json.JSONDecodeError:
            parameters[name] = value
    return parameters
