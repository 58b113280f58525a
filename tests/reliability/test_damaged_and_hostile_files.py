"""Files damaged by accident or made to do harm are refused or read; the campaigns try more of the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import pytest
import scipy.sparse as sp

import corrupted_files
import hostile_files
import shards_made
import stored_things
from bulkgen.errors import StudyConfigError
from bulkgen.io import count_rows, open_cells
from bulkgen.study import StudyConfig, StudyResults
from command_line import run
from hostile_cases import CASES
from outcomes import Isolated, judged, row


@pytest.fixture(scope="module")
def isolated():
    with Isolated() as process:
        yield process


def test_a_damaged_file_is_refused_or_read_and_never_takes_the_interpreter_down():
    said = []
    rows = corrupted_files.campaign(6, say=said.append)
    assert sum(found.tried for found in rows) == 6 * len(corrupted_files.DAMAGES) * len(corrupted_files.KINDS)
    assert said == []
    assert sum(found.failures for found in rows) == 0


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if not case.heavy))
def test_a_hostile_file_is_refused_for_what_it_is_and_opens_nothing_else(tmp_path, isolated, name):
    outcome = hostile_files.attempted(name, tmp_path, isolated)
    assert outcome.kind == "refused", outcome


def test_damaged_shards_that_are_gone_on_with_have_the_bytes_that_they_had():
    said = []
    rows = shards_made.mended(say=said.append)
    assert said == []
    assert sum(found.tried for found in rows) == 2 * len(shards_made.DAMAGES)


def counts_of(path):
    cells = open_cells(path)
    return sp.vstack([block for _, block in cells.blocks(require_integers=True)]).toarray()


def test_unsorted_and_repeated_indices_of_one_row_in_the_middle_are_sorted_and_summed(tmp_path, monkeypatch):
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 200)
    path = stored_things.make("h5ad", tmp_path)
    expected = counts_of(path)
    with h5py.File(path, "a") as file:
        X = file["X"]
        start, stop = X["indptr"][30:32]
        for name in ("data", "indices"):
            X[name][start:stop] = X[name][start:stop][::-1]
    assert (counts_of(path) == expected).all()
    with h5py.File(path, "a") as file:
        indices = file["X/indices"][start:stop]
        first, second = indices[:2]
        file["X/indices"][start] = second
    expected[30, second] += expected[30, first]
    expected[30, first] = 0
    assert (counts_of(path) == expected).all()
    assert (stored_things.read(path).X.toarray() == expected).all()


@pytest.mark.parametrize(
    ("function", "kind"),
    [("crash", "crash"), ("hang", "hang"), ("hoard", "memory"), ("bare", "escaped"), ("fine", "read")],
)
def test_the_campaign_sees_crashes_hangs_bombs_and_bare_messages(tmp_path, monkeypatch, function, kind):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with Isolated() as process:
        outcome = process.attempt("misbehaving", function, tmp_path / "name", seconds=5 if kind == "hang" else 60)
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
        ("vocabulary_nested_without_end", ["tokenize", "cells.h5ad", "--vocabulary", "FILE", "-o", "out.dataset"]),
        ("table_that_is_binary_junk", ["bulk", "FILE", "-o", "out.h5ad"]),
    ],
)
def test_the_command_line_says_it_in_one_line_and_leaves_nothing(tmp_path, name, arguments):
    folder = tmp_path / "hostile"
    folder.mkdir()
    path = CASES[name].make(folder)
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
