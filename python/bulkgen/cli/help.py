"""Help that fits a screen: what is needed, an example, and the rest on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bulkgen.cli.examples import EXAMPLES
from bulkgen.parameters import wrong_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Command", "Group", "HelpAll"]

_ALL = "bulkgen.help_all"
#: What Typer calls the values of options, in this order, and what we do.
_KINDS = {
    "<int range>": "N",
    "<float range>": "X",
    "<float>": "X",
    "<str>": "TEXT",
    "<path>": "PATH",
    "<list[str]>": "TEXT",
    "<list[Path]>": "PATH",
    "<list[float]>": "X",
}


def _show_all(context: typer.Context, given: bool) -> None:
    if given:
        context.meta[_ALL] = True
        typer.echo(context.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option("--help-all", is_eager=True, callback=_show_all, help="Show every option, in groups, and exit."),
]


# the formatter and the context are Click's, which newer versions of Typer bring along under another name
class Command(TyperCommand):
    """A command whose ``--help`` leaves out the options of other panels than the first; ``--help-all`` shows them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read the arguments; what is wrong with one is said in our words where Typer leaves it to pydantic."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as wrong:
            from pydantic import ValidationError

            if isinstance(wrong.__cause__, ValidationError):
                wrong.message = "; ".join(wrong_parameters(wrong.__cause__).values())
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the arguments and the options, in sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for section, record in self._records(ctx):
            sections.setdefault(section, []).append(record)
        further = []
        for section, records in sections.items():
            if records and (ctx.meta.get(_ALL) or section in ("Arguments", "Options")):
                with formatter.section(section):
                    formatter.write_dl(records)
            elif records:
                further.append(section)
        if further:
            formatter.write_paragraph()
            formatter.write_text(f"{ctx.command_path} --help-all shows more: {'; '.join(further)}.")

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write an example as it is typed."""
        with formatter.section("Example"):
            for line in EXAMPLES[ctx.command_path.partition(" ")[2]]:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def _records(self, context: Any) -> Iterator[tuple[str, tuple[str, str]]]:  # noqa: ANN401
        """Yield the section, and name and text, of every argument and option."""
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context)
            if record is None:
                continue
            name, text = record
            for theirs, ours in _KINDS.items():
                name = name.replace(theirs, ours)
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
            yield ("Arguments" if parameter.param_type_name == "argument" else panel), (name, text)


class Group(TyperGroup):
    """A group of commands; its help says what the exit codes mean."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the exit codes, once for all commands."""
        if ctx.parent is not None:
            return
        with formatter.section("Exit codes"):
            formatter.write_dl(
                [
                    ("0", "Done."),
                    ("1", "Failed; one line on standard error says why. --debug shows where."),
                    ("2", "Wrong usage."),
                    ("130", "Interrupted (Ctrl-C); no partial output was left."),
                    ("143", "Stopped by SIGTERM after what was in flight; --resume goes on."),
                ]
            )
