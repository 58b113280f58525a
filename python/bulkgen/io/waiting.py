"""Waiting for others, and saying so when it lasts."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PATIENCE", "held", "say_waiting"]

#: Seconds of waiting before it is told.
PATIENCE = 3.0


def say_waiting(what: str) -> None:
    """Say through the logger ``bulkgen`` what is waited for; the command line shows it on standard error."""
    logging.getLogger("bulkgen").warning("waiting: %s", what)


@contextmanager
def held(lock: Path, *, by_others: str) -> Iterator[None]:
    """Wait for, and hold, the lock of a file; `by_others` says what others do while they hold it."""
    own = FileLock(lock)
    try:
        own.acquire(timeout=PATIENCE)
    except Timeout:
        say_waiting(by_others)
        own.acquire()
    try:
        yield
    finally:
        own.release()
