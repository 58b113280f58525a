"""bulkgen sciplex2 and bulkgen fetch: what a user sees."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from typer.testing import CliRunner

import bulkgen
from bulkgen import fetching
from bulkgen.cli.app import app
from bulkgen.io import qc_table, read_sciplex2
from json_schemas import check_json
from sciplex2_files import simulated_experiment, write_scperturb


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_scperturb(simulated_experiment(), tmp_path_factory.mktemp("files") / "sciplex2.h5ad")


@pytest.fixture
def cached(file, tmp_path, monkeypatch):
    """A cache that holds the file already."""
    content = file.read_bytes()
    wanted = dataclasses.replace(
        fetching.DOWNLOADS["sciplex2"], md5=hashlib.md5(content).hexdigest(), size=len(content)
    )
    monkeypatch.setitem(fetching.DOWNLOADS, "sciplex2", wanted)
    (tmp_path / wanted.file).write_bytes(content)
    monkeypatch.setenv("BULKGEN_CACHE", str(tmp_path))
    return tmp_path / wanted.file


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    check_json(arguments, result.stdout)
    return result


def test_sciplex2_prints_what_each_step_left(file, tmp_path):
    out = tmp_path / "clean.h5ad"
    shown = run("sciplex2", file, "--out", out, "--dose", 0, "--dose", 10).stdout
    clean = bulkgen.read(out)
    for row in qc_table(clean).itertuples():
        line = next(line for line in shown.splitlines() if line.startswith(f"{row.axis} {row.step}"))
        assert f" {row.left:,}" in line
        assert (f"({row.removed:,} fewer)" in line) == (row.removed > 0)
    for label, n in clean.obs["treated_label"].value_counts().items():
        assert f"{label} {n}" in shown
    assert set(clean.obs["dose"]) == {0.0, 10.0}


@pytest.mark.json_of("sciplex2")
def test_sciplex2_as_json(file, tmp_path):
    result = json.loads(run("sciplex2", file, "--out", tmp_path / "clean.h5ad", "--confident-hashes", "--json").stdout)
    clean = read_sciplex2(file, confident_hashes=True)
    assert result["labels"] == clean.obs["treated_label"].value_counts().to_dict()
    assert result["qc"] == qc_table(clean).to_dict("records")


@pytest.mark.json_of("fetch")
def test_fetch_says_where_the_file_is_its_licence_and_what_to_cite(cached):
    result = run("fetch", "sciplex2")
    assert result.stdout.split() == ["file", str(cached)]
    for text in ("CC BY 4.0", "zenodo.org/records/13350497", "Srivatsan", "Peidli"):
        assert text in result.stderr
    assert json.loads(run("fetch", "sciplex2", "--json").stdout) == {"file": str(cached)}


def test_fetch_cleans_what_it_fetched(cached, file, tmp_path):
    shown = run("fetch", "sciplex2", "--out", tmp_path / "clean.h5ad").stdout
    assert "cells drug and dose known" in shown
    assert bulkgen.read(tmp_path / "clean.h5ad").n_obs == read_sciplex2(file).n_obs
