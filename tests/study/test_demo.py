"""The demo, as a user runs it: one command, one folder, findings and a report of simulated cells."""

from __future__ import annotations

import pytest

from bulkgen.io import read
from bulkgen.study import StudyResults
from command_line import run

N_CELLS = 300


def _demo(*arguments, cwd):
    return run("demo", *arguments, cwd=cwd, timeout=900)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(place):
    done = _demo("--n-cells", str(N_CELLS), "--out", "first", cwd=place)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def results(place, first):
    return StudyResults.load(place / "first")


def test_terminal_says_simulated_what_was_found_and_where_the_report_is(place, first):
    said, told = first.stdout.rstrip().splitlines(), first.stderr.rstrip().splitlines()
    assert "SIMULATED" in told[0]
    assert f"{N_CELLS} cells" in told[0]
    assert max(map(len, told)) <= 80
    assert said[-1] == f"The report: {place / 'first' / 'report.html'}"
    paths = [line for line in said if str(place) in line]
    assert max(len(line) for line in said if line not in paths) <= 80
    assert any(line.startswith("SIMULATED data") for line in said)
    assert {line[:3] for line in said if line[1:3] == ". "} == {"A. ", "B. ", "C. ", "D. ", "E. "}


def test_folder_holds_a_report_and_the_cells_of_the_study(place, results):
    html = (results.folder / "report.html").read_text(encoding="utf-8")
    assert "<strong>SIMULATED DATA</strong>" in html
    assert f"bulkgen demo --n-cells {N_CELLS} --out first" in html
    assert (results.folder / "figures" / "thinning_0_0_curve.png").is_file()
    cells = read(results.folder / "simulated_cells.h5ad")
    assert cells.n_obs == N_CELLS
    assert cells.obs["treated_label"].value_counts().to_dict() == results.data.labels


def test_every_run_is_done_and_tested_on_the_same_cells(results):
    table = results.table
    assert set(table["status"]) == {"done"}
    assert set(table["part"]) == {"bulkiness", "synthetic", "mixing", "thinning", "ladder"}
    supports = {tuple(sum(row) for row in record["result"]["test"]["confusion"]) for record in results.runs.values()}
    assert len(supports) == 1
    assert sum(next(iter(supports))) == pytest.approx(0.2 * N_CELLS, abs=3)
    # three seeds, but one for the transformer
    seeds = table.groupby("model")["seed"].nunique()
    assert seeds.to_dict() == {"linear": 3, "tiny": 1}


@pytest.mark.json_of("demo")
def test_the_same_command_does_nothing_twice_and_other_cells_need_another_folder(place, results):
    again = _demo("--n-cells", str(N_CELLS), "--out", "first", "--json", cwd=place)
    assert again.returncode == 0
    assert f"0 runs to do, {len(results.runs)} are there already" in again.stderr
    other = _demo("--n-cells", str(N_CELLS), "--rng", "1", "--out", "first", cwd=place)
    assert other.returncode == 1
    assert "its runs were made on other cells" in other.stderr


def test_a_folder_with_something_else_is_never_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = _demo("--out", "mine", "--overwrite", cwd=tmp_path)
    assert done.returncode == 1
    assert "exists and holds no study" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
