"""The demo, as a user runs it: one process, one folder, the same numbers each time."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from bulkgen.errors import OutputExistsError
from bulkgen.study import run_demo

N_CELLS = 300


def _run(*arguments, cwd):

    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "bulkgen", "demo", *arguments]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cwd, check=False, timeout=300)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(place):
    return _run("--n-cells", str(N_CELLS), "--out", "first", cwd=place)


@pytest.fixture(scope="module")
def results(place, first):
    assert first.returncode == 0, first.stderr
    return json.loads((place / "first" / "results.json").read_text(encoding="utf-8"))


def test_demo_prints_a_table_of_80_columns_and_where_the_report_is(place, first, results):
    lines = first.stdout.rstrip().splitlines()
    assert "SIMULATED" in lines[0]
    assert max(map(len, lines[:-1])) <= 80
    assert "…" not in first.stdout
    assert lines[-1].endswith(str(place / "first" / "report.html"))
    assert "Traceback" not in first.stderr


def test_demo_folder_is_complete(place, results):
    folder = place / "first"
    assert "SIMULATED DATA" in (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / "simulated_cells.h5ad").is_file()
    assert (folder / "figures" / "k_curve.png").is_file()
    assert len(list((folder / "runs").iterdir())) == 7
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


def test_results_say_that_they_are_simulated_and_how_many_samples_each_set_has(results):
    assert results["simulated"] is True
    samples = {entry["name"]: entry["samples"] for entry in results["sets"]}
    assert samples["test cells"] == pytest.approx(0.2 * N_CELLS, abs=3)
    assert samples["real cells"] == samples["pseudo-bulk k = 1"] == samples["truncated Gaussian"]
    assert samples["pseudo-bulk k = 10"] == pytest.approx(samples["real cells"] / 10, abs=4)
    assert samples["pseudo-bulk k = 100"] >= 5
    for entry in results["sets"]:
        assert sum(entry["label_counts"].values()) == entry["samples"]
        assert len(entry["label_counts"]) == 5


def test_every_model_is_scored_on_the_same_test_cells(results):
    runs = [(run["training_set"], run["model"]) for run in results["runs"]]
    assert len(set(runs)) == 7
    assert [model for _, model in runs].count("tiny") == 2
    supports = {tuple(sum(row) for row in run["scores"]["confusion"]) for run in results["runs"]}
    assert len(supports) == 1


def test_pseudobulk_of_one_cell_scores_as_the_real_cells(results):
    scores = {run["training_set"]: run["scores"] for run in results["runs"] if run["model"] == "linear"}
    assert scores["pseudo-bulk k = 1"] == scores["real cells"]


@pytest.mark.slow
def test_command_of_the_report_gives_the_same_scores(place, results):
    words = shlex.split(results["command"])
    assert words[:2] == ["bulkgen", "demo"]
    again = _run(*words[2:], "--overwrite", "--json", cwd=place)
    assert again.returncode == 0, again.stderr
    repeated = json.loads(again.stdout)
    assert [run["scores"] for run in repeated["runs"]] == [run["scores"] for run in results["runs"]]
    assert repeated["report"] == str(place / "first" / "report.html")


def test_folder_that_exists_is_refused_before_any_work(tmp_path):
    (tmp_path / "demo").mkdir()
    steps = []
    with pytest.raises(OutputExistsError, match="demo exists"):
        run_demo(tmp_path / "demo", on_step=steps.append)
    assert steps == []


def test_too_few_cells_are_refused(tmp_path):
    with pytest.raises(ValueError, match="n_cells must be at least 200"):
        run_demo(tmp_path / "demo", n_cells=50)


def test_failure_leaves_no_partial_folder(tmp_path, monkeypatch):
    import bulkgen.training

    def fail(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(bulkgen.training, "finetune", fail)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "demo", n_cells=200, threads=1)
    assert list(tmp_path.iterdir()) == []
