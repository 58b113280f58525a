"""The benchmarks as a whole: a run at toy size, the verdicts, the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import claims
import machine
import render
import run
import speed_table
from bulkgen.kernels import backend_names
from conftest import ROOT


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The folder and the results file of a run of every job at toy size."""
    out = tmp_path_factory.mktemp("benchmarks")
    environment = {
        # what pytest says to its own processes: pytest-benchmark measures nothing in a worker of a shared run
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "BULKGEN_BENCHMARK_CACHE": str(out / "cache"),
        # where this test found bulkgen, so that the run measures the same one
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--scale", "0.001", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.json")
    return out, path


@pytest.mark.slow
def test_a_toy_run_measures_every_figure_that_this_installation_can(toy):
    _, path = toy
    results = json.loads(path.read_text())["results"]
    measured = {json.dumps([row["job"], row["race"], row["what"], row.get("against")]) for row in results["figures"]}
    assert len(measured) == len(results["figures"])
    missing = [figure for figure in claims.FIGURES if figure.measure(results) is None]
    for figure in missing:
        sides = {getattr(figure, name, None) for name in ("slow", "fast", "side")} - {None}
        excused = (
            figure.job == "synthesize"
            or "without checks" in sides
            or any(side.split()[0] in ("scanpy", "decoupler") and not find_spec(side.split()[0]) for side in sides)
            or (
                figure.job == "kernels"
                and ("native" not in backend_names() or any(" x86-64" in side or " baseline" in side for side in sides))
            )
        )
        assert excused, figure
    assert set(results["curves"]) == {"groups", "genes", "nonzeros", "molecules"}


@pytest.mark.slow
def test_a_toy_run_judges_no_target_and_says_so(toy):
    out, path = toy
    results = json.loads(path.read_text())["results"]
    assert {row["met"] for row in results["figures"] if "met" in row} == {None}
    page = (out / "benchmarks.md").read_text()
    assert "No target is judged" in page
    assert "| met |" not in page
    assert "**not met**" not in page


@pytest.mark.slow
def test_the_page_can_be_made_again_from_the_results_file_and_has_its_plots(toy, tmp_path):
    out, path = toy
    page = (out / "benchmarks.md").read_text()
    assert render.page(json.loads(path.read_text()), source=path.name) == page
    for name in ("ratios", "scaling", "kernels"):
        assert f"(benchmarks/{name}.svg)" in page
        drawn = (out / "benchmarks" / f"{name}.svg").read_bytes()
        render.write(path, tmp_path)
        assert (tmp_path / "benchmarks" / f"{name}.svg").read_bytes() == drawn


def test_verdicts_compare_the_median_of_paired_ratios_with_the_target():
    tokens = {"work": 100, "seconds": {"bulkgen": [1.0, 2.0, 4.0], "plain tokenizer": [50.0, 130.0, 400.0]}}
    rows = claims.judge({"races": {"tokenize": tokens}, "memory": {}}, judged=True)
    ratio = next(row for row in rows if row.get("against") == "plain tokenizer")
    assert (ratio["least"], ratio["median"], ratio["most"], ratio["n"]) == (50.0, 65.0, 100.0, 3)
    assert ratio["target"] == {"at_least": 60}
    assert ratio["met"] is True
    rate = next(row for row in rows if row["unit"] == "cells/s")
    assert rate["median"] == 50.0
    assert rate["met"] is False
    assert all(
        row.get("met") is None for row in claims.judge({"races": {"tokenize": tokens}, "memory": {}}, judged=False)
    )


def test_memory_beyond_input_and_output_is_judged_in_mebibytes():
    probe = {"input": 5e9, "output": 2**30, "peak_beyond_input": 2**30 + 65 * 2**20, "peak": 1e10}
    (row,) = claims.judge({"races": {}, "memory": {"group_sums": probe}}, judged=True)
    assert row["median"] == 65.0
    assert row["met"] is False


def test_the_page_says_plainly_which_targets_were_not_met(tmp_path):
    tokens = {
        "work": 100,
        "seconds": {"bulkgen": [1.0], "plain tokenizer": [65.0]},
        "checked": "Same tokens.",
        "absent": {"another tokenizer": "not installed"},
    }
    found = {
        "scale": 1.0,
        "jobs": ["tokenize"],
        "build": {"threads": 2},
        "cores_busy_elsewhere": 0.1,
        "minutes": 1.0,
        "races": {"tokenize": tokens},
        "curves": {},
        "memory": {},
    }
    found["figures"] = claims.judge(found, judged=True)
    path = machine.write_results("here", found, folder=tmp_path, command="make bench")
    page = render.write(path, tmp_path)[0].read_text()
    assert "| bulkgen |  | 100 cells/s | one run | ≥ 40,000 cells/s | **not met** |" in page
    assert "| bulkgen | plain tokenizer | 65.0× | one run | ≥ 60× | met |" in page
    assert "absent: not installed" in page
    assert "Checked: Same tokens." in page
    assert "`make bench`" in page


@pytest.mark.parametrize(
    "arguments, committed",
    [([], True), (["--scale", "0.5"], False), (["--only", "tokenize"], False)],
)
def test_only_a_whole_run_at_full_size_writes_what_is_committed(arguments, committed, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(render, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    empty = {"jobs": [], "build": {}, "cores_busy_elsewhere": None, "minutes": 0.0, "races": {}, "curves": {}}
    monkeypatch.setattr(run, "measure", lambda jobs, scale: {**empty, "scale": scale, "memory": {}, "figures": []})
    run.main(arguments)
    assert (tmp_path / "docs" / "benchmarks.md").exists() == committed
    assert (tmp_path / "results").exists() == committed
    assert (tmp_path / "build" / "benchmarks" / "benchmarks.md").exists() != committed


def test_a_failed_benchmark_leaves_no_results(tmp_path, monkeypatch):
    monkeypatch.setattr(run.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(SystemExit, match="nothing is written"):
        run.main(["--only", "import", "--scale", "0.001", "--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_the_committed_page_is_what_the_newest_results_give():
    newest = render.newest()
    if newest is None:
        pytest.skip("no results of a whole run are committed")
    source = f"../benchmarks/results/{newest.name}"
    assert (render.DOCS / "benchmarks.md").read_text() == render.page(json.loads(newest.read_text()), source=source)


def test_the_readme_shows_the_newest_speeds():
    newest = render.newest()
    if newest is None:
        pytest.skip("no results of a whole run are committed")
    readme = (render.DOCS.parent / "README.md").read_text()
    assert speed_table.table(json.loads(newest.read_text())) in readme
    assert newest.name in readme
