"""Settings as TOML text, which the standard library reads but does not write."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["to_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(settings: Mapping[str, object], *, inline: frozenset[str] = frozenset()) -> str:
    """Write nested settings as TOML.

    Parameters
    ----------
    settings
        Strings, booleans, integers, finite or infinite floats, lists and tables of them. ``None``, which TOML does not
        have, is written as a comment.
    inline
        Tables of these names are written in one line, as ``{ name = value }``.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If a value has no form in TOML.
    """
    return "\n".join(_lines(settings, (), inline)).strip() + "\n"


def _lines(table: Mapping[str, object], path: tuple[str, ...], inline: frozenset[str]) -> Iterator[str]:
    below = {name: value for name, value in table.items() if isinstance(value, dict) and name not in inline}
    here = {name: value for name, value in table.items() if name not in below}
    if path and (here or not below):
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    for name, value in here.items():
        yield f"# {_key(name)} is not set" if value is None else f"{_key(name)} = {_value(value)}"
    for name, value in below.items():
        yield from _lines(value, (*path, name), inline)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # TOML's floats have a point or an exponent, as Python's do, and write inf and nan alike
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        pairs = [f"{_key(name)} = {_value(below)}" for name, below in value.items() if below is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    raise TypeError(f"a {type(value).__name__} has no form in TOML, got {value!r}")


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
