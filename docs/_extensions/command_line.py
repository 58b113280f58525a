"""The directive ``command-line``: every sub-command with its arguments and options, from the application itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from sphinx.util.docutils import SphinxDirective

from bulkgen.cli.app import app as application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx


class CommandLine(SphinxDirective):
    """List the sub-commands of ``bulkgen``."""

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown of all commands where the directive stands."""
        lines = described("bulkgen", typer.main.get_command(application))
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def described(path: str, command: object) -> Iterator[str]:
    """Yield the Markdown of a command, or of every command of a group."""
    members = getattr(command, "commands", None)
    if members:
        for name, member in members.items():
            if not member.hidden:
                yield from described(f"{path} {name}", member)
        return
    yield from (f"## {path}", "", (command.help or "").strip(), "", "| | what it is |", "|---|---|")
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        yield f"| {names(parameter)} | {cell(parameter.help)}{default(parameter)} |"
    yield ""


def names(parameter: object) -> str:
    """Return how a parameter is written, the metavariable included."""
    if parameter.param_type_name == "argument":
        shown = parameter.metavar or parameter.name.upper()
        return f"`{shown.strip('{}')}`" + ("" if parameter.required else " (optional)")
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    return flags + (" **required**" if parameter.required else "")


def default(parameter: object) -> str:
    """Return the default, where there is one that says something."""
    value = parameter.default
    if value is None or value is False or callable(value) or value in ((), [], ""):
        return ""
    return f" Default: `{getattr(value, 'value', value)}`."


def cell(text: str | None) -> str:
    """Fit a help text into a cell of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
