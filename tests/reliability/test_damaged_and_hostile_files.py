"""Files damaged by accident or made to do harm are refused or read; the campaigns try more of the same."""

from __future__ import annotations

import corrupted_files
import hostile_files
import pytest
from outcomes import Isolated, judged, row


@pytest.fixture(scope="module")
def isolated():
    with Isolated() as process:
        yield process


@pytest.mark.parametrize("kind", corrupted_files.KINDS)
def test_a_damaged_file_is_refused_or_read_and_never_takes_the_interpreter_down(kind):
    said = []
    rows = corrupted_files.campaign(6, kinds=(kind,), say=said.append)
    assert sum(found.tried for found in rows) == 6 * len(corrupted_files.DAMAGES)
    assert said == []
    assert sum(found.failures for found in rows) == 0


@pytest.mark.parametrize("name", sorted(set(hostile_files.CASES) - hostile_files.HEAVY))
def test_a_hostile_file_is_refused_for_what_it_is_and_opens_nothing_else(tmp_path, isolated, name):
    outcome = hostile_files.attempted(name, tmp_path, isolated)
    assert outcome.kind == "refused", outcome


def crash(path):
    import os

    os.abort()


def hang(path):
    import time

    time.sleep(100)


def hoard(path):
    return str(len(b"x" * (3 << 29))), ""


def bare(path):
    raise ValueError("bad")


def fine(path):
    return "structure", path.name


@pytest.mark.parametrize(
    ("function", "kind"), [("crash", "crash"), ("hang", "hang"), ("hoard", "memory"), ("bare", "escaped"), ("fine", "read")]
)
def test_the_campaign_sees_crashes_hangs_bombs_and_bare_messages(tmp_path, monkeypatch, function, kind):
    from pathlib import Path

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    with Isolated() as process:
        outcome = process.attempt(Path(__file__).stem, function, tmp_path / "name", seconds=5 if kind == "hang" else 60)
    assert outcome.kind == kind
    assert row("case", {kind: 1}).failures == (kind != "read")


def test_a_file_read_with_another_shape_is_a_failure():
    from outcomes import Outcome

    intact = Outcome("read", "", "3 x 4", "a")
    assert judged(Outcome("read", "", "3 x 4", "a"), intact) == "read"
    assert judged(Outcome("read", "", "3 x 4", "b"), intact) == "changed"
    assert row("case", {judged(Outcome("read", "", "2 x 4", "b"), intact): 1}).failures == 1
