"""Progress on standard error: a bar in a terminal, a line of text in a notebook, else nothing."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Task

__all__ = ["progress_bar"]

_LINE_WIDTH = 79
_SECONDS_BETWEEN_LINES = 0.2


@contextmanager
def progress_bar(description: str, total: int, *, enabled: bool = True) -> Iterator[Callable[[int], None]]:
    """Show how far the body is, with rate and time left; yields ``advance(n)``."""
    if enabled and sys.stderr.isatty():
        show = _bar
    elif enabled and _in_notebook():
        show = _line
    else:
        yield lambda _: None
        return
    with show(description, total) as advance:
        yield advance


@contextmanager
def _bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else _rate(speed))

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    # the speed is that of the last minutes: a shard may take one
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=300) as progress:
        task = progress.add_task(description, total=total)
        yield lambda n: progress.update(task, advance=n)


@contextmanager
def _line(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Write one line over and over: notebooks follow a carriage return, and need no widgets for it."""
    start = shown = time.monotonic()
    done = 0

    def write() -> None:
        seconds = max(shown - start, 1e-9)
        left = f", {seconds * (total - done) / done:,.0f} s left" if 0 < done < total else ""
        text = f"{description} {done:,}/{total:,}, {_rate(done / seconds)}{left}"
        sys.stderr.write("\r" + text.ljust(_LINE_WIDTH))
        sys.stderr.flush()

    def advance(n: int) -> None:
        nonlocal done, shown
        done += n
        now = time.monotonic()
        if now - shown >= _SECONDS_BETWEEN_LINES:
            shown = now
            write()

    try:
        yield advance
    finally:
        # what took less than a line's time left no line to end
        if shown > start:
            shown = time.monotonic()
            write()
            sys.stderr.write("\n")


def _rate(speed: float) -> str:
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s"


def _in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, whose standard error is a page."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # that of Google Colab is derived from it
    return any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)
