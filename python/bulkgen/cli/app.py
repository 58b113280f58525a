"""The command-line application: sub-commands, global options, and how errors are shown."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import warnings
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from bulkgen.cli.help import Command, Group
from bulkgen.cli.study import study

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

__all__ = ["app", "main"]

app = typer.Typer(
    name="bulkgen",
    help="Training data for single-cell foundation models from bulk RNA-seq.",
    no_args_is_help=True,
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

#: Sub-commands in the order of the work; each is the function of the same name in the module of the same name.
COMMANDS = (
    "fetch",
    "sciplex2",
    "split",
    "pseudobulk",
    "thin",
    "bulk",
    "generators",
    "fit",
    "synthesize",
    "tokenize",
    "publish",
    "finetune",
    "evaluate",
    "benchmark",
    "score",
    "demo",
    "doctor",
)


def _version(value: bool) -> None:
    if value:
        import bulkgen

        typer.echo(bulkgen.__version__)
        raise typer.Exit


@app.callback()
def _global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if debug:
        os.environ["BULKGEN_DEBUG"] = "1"


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Say so when a command is interrupted; Click on its own ends silently or with another exit code."""

    @wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except KeyboardInterrupt as interrupt:
            _fail(f"interrupted; {str(interrupt) or 'no partial output was left'}", code=130)

    return run


for _name in COMMANDS:
    app.command(_name, cls=Command)(_interruptible(getattr(import_module(f"bulkgen.cli.{_name}"), _name)))
app.add_typer(study, name="study")


def main() -> None:
    """Run the command line.

    Exit code 2 is a wrong usage, 1 a failure, 130 an interrupt (Ctrl-C), 143 that SIGTERM asked to stop and what was
    in flight is done.
    """
    from bulkgen.errors import BulkgenError, StoppedError

    # torch's threads else wait in loops for what others still compute: on processors that are shared, twice the time
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    warnings.showwarning = _show_warning
    sys.unraisablehook = _show_unraisable
    to_terminal = logging.StreamHandler()
    to_terminal.setFormatter(logging.Formatter("bulkgen: %(message)s"))
    logging.getLogger("bulkgen").addHandler(to_terminal)
    try:
        app(prog_name="bulkgen")
    except StoppedError as stopped:
        _fail(f"{stopped}; go on with: {_command_to_go_on()}", code=143)
    except (BulkgenError, ValueError, TypeError, ImportError, OSError, MemoryError) as error:
        if os.environ.get("BULKGEN_DEBUG"):
            raise
        _fail(_said(error), code=1)


def _said(error: Exception) -> str:
    """Return what an error says, without the number that Python puts before what the system says."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _command_to_go_on() -> str:
    """Return the command that was given, with --resume."""
    given = sys.argv[1:]
    return shlex.join(["bulkgen", *given, *(() if "--resume" in given else ("--resume",))])


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning in one line, without the source that gave it."""
    print(f"bulkgen: warning: {message}", file=sys.stderr)  # noqa: T201


def _show_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Leave out interrupts: `bulkgen.io.atomic` raises them again."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)


def _fail(message: str, *, code: int) -> None:
    print(f"bulkgen: error: {message}", file=sys.stderr)  # noqa: T201 - the one place that reports errors
    sys.exit(code)
