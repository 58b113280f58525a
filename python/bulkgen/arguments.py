"""Arguments of another type than a public function takes, refused in plain words.

Annotations already say what an argument is, to type checkers; :func:`checked` says it to everyone else, alike for all
functions and before any work starts. What values an argument may have is for its function to say.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import wraps
from inspect import getattr_static
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["checked"]

Function = TypeVar("Function", bound=Callable[..., Any])

_MISSING = object()


@dataclass(frozen=True)
class _Kind:
    """What an argument may be, in words, and whether a value is; of a single value, its type."""

    words: str
    holds: Callable[[object], bool]
    one_of: type | None = None


def checked(function: Function) -> Function:
    """Refuse arguments that are not what their annotations say.

    Annotations are read as they stand, without importing what they name; an argument whose annotation names something
    that is not known here (an alias, ``object``) is left to the function.

    Parameters
    ----------
    function
        Of a module whose annotations are not evaluated (``from __future__ import annotations``).

    Returns
    -------
    callable
        The function, which raises :class:`TypeError` that names the argument, what it must be, what was given, and
        what makes the one of the other where there is such a thing; :class:`ValueError` where it must be one of some
        values, and is another of their type.
    """
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    kinds = {name: _kinds(ast.parse(text, mode="eval").body) for name, text in function.__annotations__.items()}

    @wraps(function)
    def call(*args: object, **options: object) -> object:
        for name, value in (*zip(names, args, strict=False), *options.items()):
            known = kinds.get(name)
            if known is not None and not any(kind.holds(value) for kind in known):
                # another value of the right type, where only some are allowed
                of_values = any(kind.one_of is not None and isinstance(value, kind.one_of) for kind in known)
                raise (ValueError if of_values else TypeError)(_refusal(name, known, value))
        return function(*args, **options)

    return cast("Function", call)


def _kinds(annotation: ast.expr) -> tuple[_Kind, ...] | None:
    """Return what an annotation allows; ``None`` for anything."""
    if isinstance(annotation, ast.BinOp):
        parts = [_kinds(annotation.left), _kinds(annotation.right)]
        return None if None in parts else tuple(kind for part in parts for kind in part or ())
    if isinstance(annotation, ast.Subscript):
        of = ast.unparse(annotation.value)
        if of == "Literal":
            values = ast.literal_eval(annotation.slice)
            return tuple(map(_literal, values if isinstance(values, tuple) else (values,)))
        if of in ("Sequence", "Collection"):
            return (_several(_kinds(annotation.slice), ordered=of == "Sequence"),)
        return _KINDS.get(of)
    # ad.AnnData is AnnData
    return _KINDS.get(ast.unparse(annotation).rpartition(".")[2])


def _literal(value: object) -> _Kind:
    return _Kind(repr(value), lambda given: isinstance(given, type(value)) and given == value, type(value))


def _several(items: tuple[_Kind, ...] | None, *, ordered: bool) -> _Kind:
    """Kind of a collection: a string is none of strings, nor a table one of the names of its columns."""

    def holds(value: object) -> bool:
        if not isinstance(value, Collection) or isinstance(value, str | bytes | Mapping) or _is_a("DataFrame")(value):
            return False
        if ordered and isinstance(value, AbstractSet):
            return False
        return items is None or all(any(kind.holds(item) for kind in items) for item in value)

    return _Kind("a list" if items is None else f"a list (each {_listed(items)})", holds)


def _is_a(name: str) -> Callable[[object], bool]:
    """Whether a value is of a class, which need not be imported: then nothing is."""
    return lambda value: any(base.__name__ == name for base in type(value).__mro__)


def _in_memory(value: object) -> bool:
    """Whether an AnnData has its annotation in memory; a lazy one has tables of another class."""
    return _is_a("AnnData")(value) and _is_a("DataFrame")(cast("Any", value).obs)


def _has_cells(value: object) -> bool:
    """Whether a value is an AnnData or like one: it may be read by rows. The matrix of a view would be made to ask."""
    return hasattr(value, "obs_names") and getattr_static(value, "X", _MISSING) is not _MISSING


_PATH = (_Kind("a string", lambda value: isinstance(value, str)), _Kind("a path", lambda v: isinstance(v, os.PathLike)))
_KINDS: dict[str, tuple[_Kind, ...]] = {
    "None": (_Kind("None", lambda value: value is None),),
    "bool": (_Kind("True or False", lambda value: isinstance(value, bool | np.bool_)),),
    "int": (_Kind("a whole number", lambda value: isinstance(value, Integral) and not isinstance(value, bool)),),
    "float": (_Kind("a number", lambda value: isinstance(value, Real) and not isinstance(value, bool)),),
    "str": _PATH[:1],
    "Path": _PATH[1:],
    "VocabularyPath": _PATH,
    "ndarray": (_Kind("an array", lambda value: isinstance(value, np.ndarray)),),
    "Mapping": (_Kind("a mapping", lambda value: isinstance(value, Mapping)),),
    "Callable": (_Kind("a function", callable),),
    "AnnData": (_Kind("an AnnData", _in_memory),),
    "Cells": (_Kind("an AnnData", _has_cells), _Kind("bulkgen.open_cells(...)", _is_a("CellStore")), *_PATH),
    "DataFrame": (_Kind("a DataFrame", lambda value: _is_a("DataFrame")(value) and not hasattr(value, "to_pandas")),),
    # strings of which only their functions know which
    **dict.fromkeys(("Axis", "Device", "MetricGroup", "Remainder", "Strategy", "Unit"), _PATH[:1]),
    **{
        name: (_Kind(f"a {name}", _is_a(name)),)
        for name in (
            "BenchmarkResults",
            "Fit",
            "Run",
            "StudyConfig",
            "StudyResults",
            "SyntheticTokens",
            "Task",
            "TokenDataset",
            "Vocabulary",
        )
    },
}

#: What makes what is wanted of what was given.
_REMEDIES = (
    ("an AnnData", _PATH, "bulkgen.read({value!r}) reads it"),
    ("an AnnData", (_Kind("", _is_a("CellStore")), _Kind("", _is_a("AnnData"))), ".to_memory() reads it"),
    ("an AnnData", _KINDS["DataFrame"], "anndata.AnnData(table) makes one of a table, cells in rows"),
    ("a TokenDataset", (_Kind("", _is_a("AnnData")),), "bulkgen.tokenize makes tokens of cells"),
    ("a DataFrame", (_Kind("", lambda value: hasattr(value, "to_pandas")),), ".to_pandas() makes one of pandas"),
    ("a mapping", (_Kind("", _is_a("Series")),), ".to_dict() makes one"),
    (
        "a whole number",
        (_Kind("", lambda value: isinstance(value, float) and value.is_integer()),),
        "int({value}) makes one",
    ),
)


def _refusal(name: str, kinds: tuple[_Kind, ...], value: object) -> str:
    """Say what is wrong with an argument."""
    words = [kind.words for kind in kinds]
    remedies = [
        text for wanted, given, text in _REMEDIES if wanted in words and any(kind.holds(value) for kind in given)
    ]
    if isinstance(value, str) and any(kind.holds([value]) for kind in kinds):
        remedies.append("write [{value!r}]")
    remedy = f"; {remedies[0].format(value=str(value))}" if remedies else ""
    return f"{name} must be {_listed(kinds)}, got {_shown(value)}{remedy}"


def _listed(kinds: Iterable[_Kind]) -> str:
    *others, last = dict.fromkeys(kind.words for kind in kinds)
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: object) -> str:
    """Show a value where it is short, else say of what type it is."""
    text = repr(value) if isinstance(value, str | os.PathLike | Real | list | tuple | dict | None) else ""
    return text if 0 < len(text) <= 60 else f"a value of type {type(value).__name__}"
