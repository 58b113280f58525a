"""Progress is a bar in a terminal, a line of text in a notebook, and nothing in a log."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from bulkgen import progress
from bulkgen.progress import progress_bar


def pretend_notebook(monkeypatch, *shells: str) -> None:
    """Let IPython run here, in a shell of that name, derived from those before."""
    interpreter, kind = ModuleType("IPython"), object
    for shell in shells:
        kind = type(shell, (kind,), {})
    interpreter.get_ipython = kind
    monkeypatch.setitem(sys.modules, "IPython", interpreter)


def advance_through(steps: int) -> None:
    with progress_bar("cells", steps) as advance:
        for _ in range(steps):
            advance(1)


def test_a_log_stays_empty(capsys):
    advance_through(3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("shells", "lines"),
    [
        (["ZMQInteractiveShell"], 4),
        (["ZMQInteractiveShell", "Shell"], 4),
        (["TerminalInteractiveShell"], 0),
    ],
)
def test_a_notebook_gets_one_line_written_over(monkeypatch, capsys, shells, lines):
    pretend_notebook(monkeypatch, *shells)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0)
    advance_through(3)
    written = capsys.readouterr().err
    assert written.count("\r") == lines
    if lines:
        assert written.endswith("\n")
        last = written.rsplit("\r", 1)[1]
        assert last.startswith("cells 3/3, ")
        # so wide that it hides all of the line before
        assert {len(line.rstrip("\n")) for line in written.split("\r")[1:]} == {79}


def test_work_that_is_soon_done_leaves_no_line_in_a_notebook(monkeypatch, capsys):
    pretend_notebook(monkeypatch, "ZMQInteractiveShell")
    advance_through(3)
    assert capsys.readouterr().err == ""
