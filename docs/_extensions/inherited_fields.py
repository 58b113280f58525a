"""Settings that a class inherits, on its own page: who reads of ``DonorShift`` looks for ``control`` there."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_FIELDS = re.compile(r"^Attributes\n-{10}\n(.*?)(?=^\w[\w ]*\n-{3,}\n|\Z)", re.MULTILINE | re.DOTALL)


def fields_of(thing: type) -> str:
    """Return the lines of a class's docstring that describe its fields."""
    found = _FIELDS.search(inspect.cleandoc(vars(thing).get("__doc__") or ""))
    return found[1].rstrip() if found else ""


def add_inherited(_: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Put the fields of the bases before those of a class; they are the parameters that it is made with."""
    if what != "class" or not (isinstance(thing, type) and issubclass(thing, BaseModel)):
        return
    fields = [described for kind in reversed(thing.__mro__) if (described := fields_of(kind))]
    text = _FIELDS.sub("", "\n".join(lines)).rstrip()
    if fields:
        text = "\n".join([text, "", "Parameters", "----------", *fields])
    lines[:] = [*text.splitlines(), ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the build, before numpydoc reads the docstring."""
    app.connect("autodoc-process-docstring", add_inherited, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
