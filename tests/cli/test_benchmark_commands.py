"""benchmark and score as a user runs them: real processes, real files, 80 columns."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bulkgen.io import write
from command_line import run
from fidelity.drug_cells import made_up_cells

QUICK = ("--metrics", "tokens,cells", "--seeds", 1, "--threads", 1)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with cells.h5ad, half of which are marked as good."""
    folder = tmp_path_factory.mktemp("work")
    cells = made_up_cells(1, per_label=100)
    cells.obs["good"] = [i % 2 == 0 for i in range(cells.n_obs)]
    write(cells, folder / "cells.h5ad")
    return folder


@pytest.fixture(scope="module")
def ran(work) -> subprocess.CompletedProcess[str]:
    return run(
        "benchmark",
        "cells.h5ad",
        "--label",
        "drug",
        "--control",
        "none",
        "--where",
        "good",
        "-m",
        "masked=truncated_gaussian:round=true,zero_mask=true",
        "-m",
        "broken=truncated_gaussian:variance_from=stratum",
        "--n-cells",
        30,
        *QUICK,
        "--out",
        "out",
        cwd=work,
    )


def test_benchmark_prints_a_table_of_80_columns_with_ceiling_floor_and_failures(ran):
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert "…" not in ran.stdout
    names = [line.split()[0] for line in lines if line.strip()]
    order = [names.index(name) for name in ("real", "masked", "broken", "poisson_floor", "majority")]
    assert order == sorted(order)
    assert "failed: broken (generate): LabelError" in ran.stdout
    assert lines[-1].endswith("report.html")
    assert "Traceback" not in ran.stderr


def test_benchmark_writes_tables_settings_and_report(work, ran):
    out = work / "out"
    names = {path.name for path in out.iterdir()}
    assert {"results.parquet", "results.csv", "summary.csv", "settings.json", "report.html", "figures"} <= names
    settings = json.loads((out / "settings.json").read_text())
    assert settings["command"].startswith("bulkgen benchmark cells.h5ad --label drug")
    assert settings["input"]["cells"] == 150
    assert settings["trials"][0]["generated"] == {"high": 30, "low": 30, "none": 30}
    assert "failed" in (out / "report.html").read_text()
    assert [path.name for path in work.iterdir() if path.name.startswith(".")] == []


@pytest.mark.json_of("benchmark")
def test_benchmark_as_json_is_its_summary(work):
    arguments = ("cells.h5ad", "--label", "drug", "-m", "poisson", "--metrics", "cells", "--seeds", 1, "--threads", 1)
    result = run("benchmark", *arguments, "--out", "summary", "--json", cwd=work)
    assert result.returncode == 0, result.stderr
    assert {"real", "poisson", "poisson_floor"} <= {row["method"] for row in json.loads(result.stdout)["summary"]}


@pytest.mark.json_of("score")
def test_score_of_real_cells_is_that_of_the_ceiling(work):
    cells = made_up_cells(1, per_label=100)
    write(cells[:150].copy(), work / "held_out.h5ad")
    write(cells[150:].copy(), work / "candidate.h5ad")
    arguments = ("score", "candidate.h5ad", "--real", "held_out.h5ad", "--label", "drug", *QUICK, "--out", "scored")
    result = run(*arguments, "--json", cwd=work)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["failures"] == []
    means = {
        (row["method"], row["metric"]): row["mean"]
        for row in found["summary"]
        if row["label"] == "" and row["model"] == ""
    }
    assert means["candidate", "gene_mean_concordance"] > 0.9
    assert means["candidate", "library_size_ks"] == pytest.approx(means["real", "library_size_ks"], abs=0.25)
    assert (work / "scored" / "report.html").is_file()


@pytest.mark.parametrize(
    "arguments, message, code",
    [
        (("--label", "drug", "-m", "nothing"), "method must be one of", 1),
        (("--label", "drug", "--task", "label_control"), "needs control=", 1),
        (("--label", "drug", "--metrics", "cells,nonsense"), "metrics must be among 'tokens', 'cells'", 1),
        (("--label", "drug", "--few-cells", "5,some"), "neither a number of cells nor 'all'", 2),
        (("--label", "drug", "--where", "nowhere"), "obs has no column 'nowhere'", 2),
        (
            (
                "--label",
                "nothing",
            ),
            "obs has no column 'nothing'",
            1,
        ),
    ],
)
def test_wrong_usage_is_one_clear_line(work, arguments, message, code):
    result = run("benchmark", "cells.h5ad", "--out", "wrong", *arguments, cwd=work)
    assert result.returncode == code
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
    assert not (work / "wrong").exists()
