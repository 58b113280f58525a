"""What goes still works, and says in one warning, at the caller's line, since when and what to use."""

from __future__ import annotations

import inspect
import warnings

import pytest

from bulkgen.arguments import checked
from bulkgen.deprecation import deprecated, renamed_parameter


@deprecated(since="0.2", removal="0.3", instead="bulkgen.draw(n_cells)")
def sample(n_cells: int) -> int:
    """Draw cells."""
    return n_cells


@renamed_parameter("n", "n_cells", since="0.2", removal="0.3")
@checked
def draw(name: str, *, n_cells: int = 1) -> tuple[str, int]:
    """Draw cells."""
    return name, n_cells


def test_a_deprecated_function_works_and_names_what_takes_its_place():
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(FutureWarning) as caught:
        assert sample(3) == 3
    (warning,) = caught
    assert str(warning.message) == (
        "sample() is deprecated since bulkgen 0.2 and goes in 0.3; use bulkgen.draw(n_cells)"
    )
    assert (warning.filename, warning.lineno) == (__file__, line)
    assert sample.__deprecated__ == str(warning.message)
    assert (sample.__name__, sample.__doc__) == ("sample", "Draw cells.")


def test_a_parameter_is_taken_under_its_old_name_and_the_new_one_is_named():
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(FutureWarning) as caught:
        assert draw("a", n=3) == ("a", 3)
    (warning,) = caught
    assert str(warning.message) == "draw(n=) is deprecated since bulkgen 0.2 and goes in 0.3; use n_cells="
    assert (warning.filename, warning.lineno) == (__file__, line)


def test_the_new_name_is_silent_and_the_only_one_in_the_signature():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw("a", n_cells=3) == ("a", 3)
    assert list(inspect.signature(draw).parameters) == ["name", "n_cells"]


def test_both_names_at_once_are_refused():
    with pytest.raises(TypeError, match="got 'n_cells' and its old name 'n'; leave 'n' out"):
        draw("a", n=3, n_cells=3)


def test_what_is_given_under_the_old_name_is_checked():
    with pytest.warns(FutureWarning), pytest.raises(TypeError, match="n_cells must be a whole number, got 'all'"):
        draw("a", n="all")
