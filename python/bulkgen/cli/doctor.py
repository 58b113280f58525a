"""``bulkgen doctor``: what this installation is, and what is broken in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bulkgen.cli.options import Json, print_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.diagnosis import Diagnosis, Package

__all__ = ["doctor"]

_WIDTH = 80
_GOOD, _BAD, _ABSENT = "[green]ok[/green]", "[bold red]FAILED[/bold red]", "[dim]-[/dim]"


def doctor(json_: Json = False) -> None:
    """Say what this installation is, and what mends what is broken.

    Every backend is tried on a question with a known answer; the first time, Numba compiles for some seconds.
    """
    from bulkgen.diagnosis import diagnose

    found = diagnose()
    if json_:
        print_result(found.to_dict(), as_json=True)
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(1)


def _print(found: Diagnosis) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=_WIDTH, highlight=False)
    console.print(
        f"[bold]bulkgen {found.version or 'of no known version'}[/bold], streams of version {found.stream_version}"
    )
    console.print(f"Python {found.python}, {found.system}\n")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for topic, lines in _topics(found):
        for number, (name, value) in enumerate(lines):
            table.add_row("" if number else topic, name, value)
    console.print(table)
    console.print()
    problems = Table.grid(padding=(0, 1, 0, 0))
    problems.add_column(no_wrap=True)
    problems.add_column(overflow="fold")
    for problem in found.problems:
        problems.add_row(_BAD, escape(problem.what))
        problems.add_row("", f"To mend it: [bold]{escape(problem.remedy)}[/bold]")
    console.print(problems if found.problems else "Nothing is broken.")


def _topics(found: Diagnosis) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield what the table says: a topic, and its lines of a name and a text in Rich's markup."""
    from rich.markup import escape

    from bulkgen.io.resources import size_text

    kernels = found.backend
    used = []
    if kernels is not None:
        used.append((kernels.name, f"in use: {escape(kernels.reason)}"))
        if kernels.compiler is not None:
            used.append(("", f"compiled by {kernels.compiler}, runs at {kernels.level}"))
    yield "kernels", used
    answered = [
        (_BAD if answer.problem else _GOOD, f"{answer.backend} {answer.level or ''}".strip())
        for answer in found.answers
    ]
    yield "known answer", answered
    quota = "no quota" if found.cpu_quota is None else f"a quota of {found.cpu_quota:g}"
    yield "threads", [(f"{found.threads or '-'}", f"in use; {found.threads_available} CPUs to use, {quota}")]
    if found.memory is not None:
        yield "memory", [(size_text(found.memory), "available")]
    right = sum(package.serves for package in found.packages)
    yield "packages", [(f"{right} of {len(found.packages)}", "as needed")]
    yield "extras", [_extra(name, packages) for name, packages in found.extras.items()]
    yield "CUDA", [(name, "") for name in found.cuda] or [(_ABSENT, escape(found.no_cuda))]
    yield (
        "vocabulary",
        [
            (name, "fetched when it is first used" if folder is None else escape(folder))
            for name, folder in found.vocabularies.items()
        ],
    )
    yield (
        "folders",
        [(purpose, f"{escape(place.path)} ({size_text(place.free)} free)") for purpose, place in found.places.items()],
    )


def _extra(name: str, packages: list[Package]) -> tuple[str, str]:
    from rich.markup import escape

    wrong = [package for package in packages if not package.serves]
    if not wrong:
        return name, ", ".join(f"{package.name} {package.version}" for package in packages)
    said = ", ".join(f"{package.name} {package.version or 'is not installed'}" for package in wrong)
    return name, f"[dim]{escape(said)}: pip install 'bulkgen\\[{name}]'[/dim]"
