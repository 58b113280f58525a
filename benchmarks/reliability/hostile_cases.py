"""What a hostile file is: its group, how it is opened, words of the refusal, and what makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: A file that no case may open or make.
WITNESS = "witness"

# groups of the page
CELLS, FIT, TOKENS, TABLE = "cells in .h5ad and .zarr", "fitted generators", "token data sets", "bulk tables"
WORDS, SHARDS = "vocabularies", "folders of shards"


@dataclass(frozen=True)
class Case:
    """A hostile file.

    Attributes
    ----------
    group
        Its group on the page.
    opened
        How it is opened: a function of ``hostile_opened``.
    said
        Words of the refusal; ``|`` between those of which one will do.
    heavy
        Whether it takes seconds, or hundreds of megabytes of disk.
    make
        Makes it in an empty folder, and returns what to open.
    """

    group: str
    opened: str
    said: str
    heavy: bool
    make: Callable[[Path], Path]


#: By the name of what makes it.
CASES: dict[str, Case] = {}


def case(
    group: str, opened: str, said: str, *, heavy: bool = False
) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Register what makes a hostile file."""

    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES[make.__name__] = Case(group, opened, said, heavy, make)
        return make

    return register


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call
