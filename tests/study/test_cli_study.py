"""``bulkgen study`` on the command line."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from bulkgen.cli.study import progress_line
from bulkgen.study import StudyEvent
from small_study import SMALL, run_command, write_small_study

CHANGES = ["--set", "parts.bulkiness.k=[1, 2]", "--set", "parts.bulkiness.strategies=['mean']", "--seeds", "3"]
FAILING = SMALL + '[generators.mixture]\nparameters = { states = "nothing" }\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def first(place):
    """Part of the small study, with a setting and seeds of the command line's."""
    study = write_small_study(place)
    return run_command("run", study, "--out", place / "out", "--no-report", *CHANGES)


def test_a_run_says_what_it_does_and_how_far_it_is(first):
    assert first.returncode == 0, first.stderr
    lines = first.stderr.splitlines()
    assert lines[1].endswith("5 runs to do")
    assert "1/5 linear on real cells, seed 3" in lines[2]
    assert "5/5 linear on Poisson floor, seed 3" in lines[-1]
    assert "bulkiness" in first.stdout
    assert max(map(len, first.stdout.splitlines())) <= 80


@pytest.mark.parametrize(("columns", "longest"), [(None, 80), ("200", 200)])
def test_progress_fits_the_terminal_and_errors_are_whole(monkeypatch, columns, longest):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    text = "linear on sums at single-cell depth, as many as cells, each of them regrouped, k = 100, seed 2"
    line = progress_line(StudyEvent("done", text, 49, 168, "key", 9.14), 255.2)
    assert len(line) <= longest
    assert line.startswith("[ 255 s] 49/168 linear on sums")
    assert line.endswith(", k = 100, seed 2 (9.1 s)")
    assert ("…" in line) == (columns is None)
    failed = StudyEvent("failed", f"{text}: failed: ValueError: what is wrong", 49, 168, "key", 9.14)
    assert f"{text}: failed: ValueError: what is wrong (9.1 s)" in progress_line(failed, 255.2)


def test_the_source_of_the_data_is_said_first(place, first):
    assert first.stderr.splitlines()[0].endswith(f"opening {place / 'cells.h5ad'}"[-40:])


def test_reports_are_made_from_results_alone_one_by_one_or_as_one_page(place, first, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(place / "out", other)
    settings = (other / "study.toml").read_text(encoding="utf-8")
    (other / "study.toml").write_text(settings.replace('name = "small"', 'name = "again"'), encoding="utf-8")
    done = run_command("report", place / "out", other, "--markdown", tmp_path / "docs" / "results.md")
    assert done.returncode == 1
    assert "docs" in done.stderr
    (tmp_path / "docs").mkdir()
    for _ in range(2):  # it may be made again
        done = run_command("report", place / "out", other, "--markdown", tmp_path / "docs" / "results.md")
        assert done.returncode == 0, done.stderr
    text = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert text.index("## small: REAL DATA: cells") < text.index("## again: REAL DATA: cells")
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {link.split("/")[1] for link in links} == {"small", "again"}
    assert all((tmp_path / "docs" / link).is_file() for link in links)
    assert not (other / "report.html").exists()
    done = run_command("report", place / "out", other)
    assert done.stdout.splitlines() == [f"The report: {folder / 'report.html'}" for folder in (place / "out", other)]
    assert "REAL DATA: cells" in (other / "report.html").read_text(encoding="utf-8")


@pytest.mark.json_of("study-report")
def test_a_report_as_json_names_what_was_written(place, first):
    found = json.loads(run_command("report", place / "out", "--json").stdout)
    assert found == {"pages": [str(place / "out" / "report.html")]}


@pytest.mark.json_of("study-status")
def test_status_of_a_study(place, first):
    found = json.loads(run_command("status", place / "out", "--json").stdout)
    assert {part["part"]: (part["done"], part["failed"], part["missing"]) for part in found["parts"]} == {
        "bulkiness": (3, 0, 0),
        "ladder": (3, 0, 0),
    }
    assert found["missing"] == 0
    assert found["failures"] == []


@pytest.mark.json_of("study-run")
def test_a_run_as_json_says_what_its_status_does_and_where_the_report_is(place, first):
    done = run_command("run", place / "small.toml", "--out", place / "out", "--no-report", *CHANGES, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert "0 runs to do" in done.stderr
    assert found.items() >= json.loads(run_command("status", place / "out", "--json").stdout).items()


def test_a_failed_run_is_reported_and_is_a_failure_of_the_command(tmp_path):
    study = write_small_study(tmp_path, FAILING)
    done = run_command("run", study, "--out", tmp_path / "out", "--no-report", "--only", "ladder", "--seeds", "0")
    assert done.returncode == 1
    assert "linear on mixture, seed 0: failed:" in done.stderr
    assert "failed (1 runs" in done.stdout
    assert "--retry-failed" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--shard", "3/2"], 2, "'3/2' is not of the form I/N"),
        (["--set", "x"], 2, "'x' is not of the form KEY=VALUE"),
        (["--seeds", "a"], 2, "'a' is no list of numbers"),
        (["--set", "parts.bulkiness.kk=1"], 1, "[parts.bulkiness] kk: no such key"),
        (["--only", "bias"], 1, "only: the study has no part 'bias'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path, arguments, code, said):
    study = write_small_study(tmp_path)
    done = run_command("run", study, "--out", tmp_path / "out", "--no-report", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.json_of("study-presets")
def test_presets_are_listed_and_printed():
    listed = run_command("presets").stdout.splitlines()
    texts = json.loads(run_command("presets", "--json").stdout)
    assert list(texts) == ["beyond", "poster", "quick"]
    assert json.loads(run_command("presets", "poster", "--json").stdout) == {"poster": texts["poster"]}
    assert [line.split()[0] for line in listed] == ["beyond", "poster", "quick"]
    assert "[generators.truncated_gaussian]" in run_command("presets", "poster").stdout
