"""Files damaged by accident or made to do harm are refused or read; the campaigns try more of the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import corrupted_files
import hostile_files
import stored_things
from bulkgen.errors import StudyConfigError
from bulkgen.study import StudyConfig, StudyResults
from command_line import run
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
    ("function", "kind"),
    [("crash", "crash"), ("hang", "hang"), ("hoard", "memory"), ("bare", "escaped"), ("fine", "read")],
)
def test_the_campaign_sees_crashes_hangs_bombs_and_bare_messages(tmp_path, monkeypatch, function, kind):
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


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("external_link", ["pseudobulk", "FILE", "--by", "label", "-o", "out.h5ad"]),
        ("zarr_that_lost_counts", ["pseudobulk", "FILE", "--by", "label", "-o", "out.h5ad"]),
        ("vocabulary_nested_without_end", ["tokenize", "cells.h5ad", "--vocabulary", "FILE", "-o", "out.dataset"]),
        ("fit_with_parameters_that_are_no_table", ["synthesize", "--fitted", "FILE", "-o", "out.h5ad"]),
        ("table_that_is_binary_junk", ["bulk", "FILE", "-o", "out.h5ad"]),
    ],
)
def test_the_command_line_says_it_in_one_line_and_leaves_nothing(tmp_path, name, arguments):
    folder = tmp_path / "hostile"
    folder.mkdir()
    path = hostile_files.CASES[name][3](folder)
    if "cells.h5ad" in arguments:
        stored_things.make("h5ad", tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = run(*(path if part == "FILE" else part for part in arguments), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("bulkgen: error: ")]) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert path.name in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_settings_of_a_study_nested_without_end_are_refused(tmp_path):
    (tmp_path / "study.toml").write_text("x = " + "[" * 100_000)
    with pytest.raises(StudyConfigError, match="it is no TOML"):
        StudyConfig.from_toml(tmp_path / "study.toml")


@pytest.mark.parametrize(
    "damage", ["", "{", "[" * 100_000, "{}", '{"format": "bulkgen-study-run", "version": 1}', "\0"]
)
def test_a_damaged_record_of_a_study_is_none_and_damaged_facts_are_refused(tmp_path, damage):
    folder = tmp_path / "study"
    shutil.copytree(Path(__file__).parents[1] / "golden" / "stored_1" / "study", folder)
    record = next(folder.glob("runs/*.json"))
    record.write_text(damage)
    assert record.stem in StudyResults.load(folder).missing
    (folder / "data.json").write_text(damage)
    with pytest.raises(ValueError, match=r"data\.json is damaged"):
        StudyResults.load(folder)
