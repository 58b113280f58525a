"""``bulkgen generators``: which methods there are, and their parameters."""

from __future__ import annotations

import inspect
import json
import shutil
import textwrap

import typer

from bulkgen.cli.options import Json

__all__ = ["generators"]


def generators(json_: Json = False) -> None:
    """List the generators that --method takes, and their parameters."""
    from bulkgen.generators import generator_names

    found = {name: _about(name) for name in generator_names()}
    if json_:
        typer.echo(json.dumps(found, default=str))
        return
    width = min(shutil.get_terminal_size().columns, 100)
    for name, (summary, parameters) in found.items():
        typer.echo(typer.style(name, bold=True))
        typer.echo(textwrap.fill(summary, width, initial_indent="  ", subsequent_indent="  "))
        settings = "  ".join(f"{parameter}={json.dumps(value, default=str)}" for parameter, value in parameters.items())
        typer.echo(textwrap.fill(settings or "no parameters", width, initial_indent="    ", subsequent_indent="    "))


def _about(name: str) -> tuple[str, dict[str, object]]:
    """Summary and parameters of a generator; where its package is broken, why it is not available."""
    from bulkgen.generators import generator_class

    try:
        cls = generator_class(name)
    except (ImportError, TypeError) as error:
        return f"not available: {error}", {}
    defaults = {
        field: "required" if info.is_required() else info.get_default(call_default_factory=True)
        for field, info in cls.model_fields.items()
    }
    return (inspect.getdoc(cls) or "").split("\n")[0], defaults
