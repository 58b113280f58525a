"""Public functions and parameters that go: they work for one more minor version, and say what takes their place."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["deprecated", "renamed_parameter"]

Function = TypeVar("Function", bound="Callable[..., Any]")


def deprecated(*, since: str, removal: str, instead: str) -> Callable[[Function], Function]:
    """Warn whoever calls a function that goes.

    :pep:`702` asks for a literal message, so that type checkers say it too; this one is made of its parts, so that all
    read alike, and stands in ``__deprecated__`` as there.

    Parameters
    ----------
    since, removal
        The version that deprecated it, and the one that will be without it.
    instead
        What to use: a call, such as ``bulkgen.read(path)``.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: Function) -> Function:
        message = _message(f"{function.__name__}()", since=since, removal=removal, instead=instead)

        @wraps(function)
        def call(*args: object, **options: object) -> object:
            warn(message, FutureWarning)
            return function(*args, **options)

        call.__deprecated__ = message  # type: ignore[attr-defined]
        return cast("Function", call)

    return decorate


def renamed_parameter(old: str, new: str, *, since: str, removal: str) -> Callable[[Function], Function]:
    """Take an argument under its old name too, and warn.

    Parameters
    ----------
    old, new
        The names; the function has the new one. Both at once are refused, as a name given twice is.
    since, removal
        The version that renamed it, and the one that will be without the old name.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: Function) -> Function:
        message = _message(f"{function.__name__}({old}=)", since=since, removal=removal, instead=f"{new}=")

        @wraps(function)
        def call(*args: object, **options: object) -> object:
            if old in options:
                if new in options:
                    raise TypeError(f"{function.__name__}() got {new!r} and its old name {old!r}; leave {old!r} out")
                warn(message, FutureWarning)
                options[new] = options.pop(old)
            return function(*args, **options)

        return cast("Function", call)

    return decorate


def _message(what: str, *, since: str, removal: str, instead: str) -> str:
    return f"{what} is deprecated since bulkgen {since} and goes in {removal}; use {instead}"
