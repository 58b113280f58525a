"""What is wrong with parameters, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["wrong_parameters"]

#: What a value must be, by the kind of error that pydantic found.
_WANTED = {
    "bool": "true or false",
    "float": "a number",
    "finite": "a finite number",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int": "a whole number",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal": "{expected}",
    "none": "none",
    "string": "text",
    "tuple": "a list",
}


def wrong_parameters(error: ValidationError) -> dict[str, str]:
    """Return what is wrong with each parameter: ``{"renoise": "must be below 1, got 2"}``.

    What concerns several parameters, and names them, stands under the empty name.

    Parameters
    ----------
    error
        What pydantic raised.
    """
    wanted: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for problem in error.errors():
        name = _name(problem)
        if not problem["loc"] and "error" in problem.get("ctx", {}):
            found[""] = str(problem["ctx"]["error"])
        elif problem["type"] == "missing":
            found[name] = "must be given"
        elif problem["type"] == "extra_forbidden":
            found[name] = "is unknown"
        elif problem["type"] in ("value_error", "assertion_error"):
            # the words of a validator of the generator's own
            found[name] = f"is wrong: {problem['ctx']['error']}, got {problem['input']!r}"
        else:
            # one problem for each kind of value that the parameter may be
            wanted.setdefault(name, []).append(_wanted(problem))
            found[name] = f"must be {' or '.join(dict.fromkeys(wanted[name]))}, got {problem['input']!r}"
    return found


def _name(problem: ErrorDetails) -> str:
    """Name of the parameter; ``control_by[1]`` for an item of one."""
    name, *inside = problem["loc"] or ("parameters",)
    return str(name) + "".join(f"[{step}]" for step in inside if isinstance(step, int))


def _wanted(problem: ErrorDetails) -> str:
    kind, limits = problem["type"], problem.get("ctx", {})
    # int_type, int_parsing and int_from_float all want a whole number
    words = _WANTED.get(kind) or _WANTED.get(kind.split("_")[0])
    return words.format(**limits) if words else f"another value ({problem['msg'].lower()})"
