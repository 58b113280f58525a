"""split, pseudobulk and synthesize as a user runs them: real processes, real files."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bulkgen
import bulkgen.generators
from bulkgen.io import read, write
from command_line import run
from count_cases import labelled_cells, matrix_bytes

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def run_all(*commands: tuple[object, ...], cwd: Path) -> list[subprocess.CompletedProcess[str]]:
    """Run commands that do not touch each other's files, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda arguments: run(*arguments, cwd=cwd), commands))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with cells.h5ad: counts in X and in the layer ``raw``, one cell without a label in ``partial``."""
    folder = tmp_path_factory.mktemp("work")
    cells = labelled_cells(21, {"BMS": 60, "Dex": 50, "Untreated": 40}, n_genes=25, mean=2.0)
    cells.layers["raw"] = cells.X.copy()
    cells.obs["partial"] = cells.obs["label"].where(np.arange(150) != 7, np.nan)
    write(cells, folder / "cells.h5ad")
    return folder


@pytest.fixture(scope="module")
def split_run(work) -> subprocess.CompletedProcess[str]:
    result = run(
        "split", "cells.h5ad", "--label", "label", "--stratify-by", "dose", "--out", "deep/work", "--rng", 3, cwd=work
    )
    assert result.returncode == 0, result.stderr
    return result


def test_split_prints_a_table_and_writes_the_parts_and_their_record(work, split_run):
    out = work / "deep" / "work"
    assert names(out) == ["split.json", "test.h5ad", "train.h5ad", "val.h5ad"]
    assert split_run.stderr == ""
    lines = split_run.stdout.splitlines()
    assert lines[0].split() == ["label", "train", "validation", "test"]
    assert [line.split() for line in lines[1:5]] == [
        ["BMS", "48", "6", "6"],
        ["Dex", "40", "5", "5"],
        ["Untreated", "32", "4", "4"],
        ["all", "120", "15", "15"],
    ]
    expected = bulkgen.split_benchmark(read(work / "cells.h5ad"), label="label", stratify_by="dose", rng=3)
    record = json.loads((out / "split.json").read_text())
    for part, file in (("train", "train.h5ad"), ("validation", "val.h5ad"), ("test", "test.h5ad")):
        cells = read(out / file)
        assert matrix_bytes(cells.X) == matrix_bytes(getattr(expected, part).X)
        assert cells.uns["bulkgen_split"]["part"] == part
        assert record["indices"][part] == expected.indices[part].tolist()
    assert record["labels"]["Dex"] == {"train": 40, "validation": 5, "test": 5}
    assert "part" not in record["provenance"]
    assert int(record["provenance"]["key"], 16) == np.random.SeedSequence(3).generate_state(1, np.uint64)[0]


@pytest.mark.json_of("pseudobulk")
@pytest.mark.json_of("synthesize")
def test_pseudobulk_and_synthesize_follow_a_split(work, split_run):
    train = work / "deep" / "work" / "train.h5ad"
    pseudo = run("pseudobulk", train, "--by", "label", "-k", 5, "--rng", 2, "-o", "pb.h5ad", "--json", cwd=work)
    assert pseudo.returncode == 0, pseudo.stderr
    result = read(work / "pb.h5ad")
    expected = bulkgen.pseudobulk(read(train), by="label", k=5, rng=2)
    assert matrix_bytes(result.X) == matrix_bytes(expected.X)
    assert list(result.obs_names) == list(expected.obs_names)
    assert "sum, mean_k and mean give a rank-based model the same tokens" in pseudo.stderr
    sizes = expected.obs["n_obs_aggregated"]
    assert json.loads(pseudo.stdout) == {
        "cells": 120,
        "groups": expected.n_obs,
        "genes": 25,
        "smallest_group": sizes.min(),
        "largest_group": sizes.max(),
        "out": "pb.h5ad",
    }

    dense = run("pseudobulk", train, "--by", "label", "-k", 5, "--rng", 2, "--dense", "-o", "dense.h5ad", cwd=work)
    assert dense.returncode == 0, dense.stderr
    assert np.array_equal(read(work / "dense.h5ad").X, result.X.toarray())

    options = ("--set", "variance_from=control", "--set", "control=Untreated", "--set", "round=true")
    cells = run("synthesize", train, "--by", "label", "-n", 40, *options, "-o", "tg.h5ad", "--json", cwd=work)
    assert cells.returncode == 0, cells.stderr
    assert cells.stderr == ""
    assert json.loads(cells.stdout) == {
        "method": "truncated_gaussian",
        "strata": 3,
        "cells": 120,
        "genes": 25,
        "out": "tg.h5ad",
    }
    expected = bulkgen.synthesize(
        read(train), by="label", n_cells=40, variance_from="control", control="Untreated", round=True
    )
    assert matrix_bytes(read(work / "tg.h5ad").X) == matrix_bytes(expected.X)


def test_the_note_on_the_three_strategies_appears_where_it_matters(work):
    note = "sum, mean_k and mean give a rank-based model the same tokens"
    cases = {("mean_k",): True, ("sum",): False, ("mean", "--round"): False}
    command = ("pseudobulk", "cells.h5ad", "--by", "label", "--strategy")
    results = run_all(*((*command, *options, "-o", f"{'-'.join(options)}.h5ad") for options in cases), cwd=work)
    for result, expected in zip(results, cases.values(), strict=True):
        assert result.returncode == 0, result.stderr
        # on standard error, so that the results alone are on standard output
        assert (note in result.stderr) == expected
        assert "tokens" not in result.stdout
        assert max(map(len, result.stderr.splitlines()), default=0) <= 80
        assert re.search(r"^smallest group  +\d+$", result.stdout, re.MULTILINE)


def test_synthesize_writes_tokens_as_synthesize_and_tokenize_do(work, split_run):
    train = work / "deep" / "work" / "train.h5ad"
    bulkgen.Vocabulary.fit(read(train), context=12).save(work / "vocabulary.json")
    how = ("--by", "label", "-n", 30, "--rng", 4)
    words = ("--vocabulary", "vocabulary.json", "--label", "label", "--columns", "synthetic", "--json")
    straight = run("synthesize", train, *how, "--tokens", *words, "-o", "straight.dataset", cwd=work)
    assert straight.returncode == 0, straight.stderr
    assert straight.stderr == ""
    first = run("synthesize", train, *how, "-o", "first.h5ad", cwd=work)
    second = run("tokenize", "first.h5ad", *words, "-o", "second.dataset", cwd=work)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert names(work / "straight.dataset") == names(work / "second.dataset")
    for name in names(work / "straight.dataset"):
        assert (work / "straight.dataset" / name).read_bytes() == (work / "second.dataset" / name).read_bytes(), name
    printed, expected = json.loads(straight.stdout), json.loads(second.stdout)
    assert printed == expected | {"out": "straight.dataset"}
    assert printed["cells_out"] == 90


@pytest.mark.json_of("fit")
def test_synthesize_draws_from_what_fit_stored(work, split_run):
    train = Path("deep", "work", "train.h5ad")
    how = ("--by", "label", "--set", "zero_mask=true")
    fit = run("fit", train, *how, "-o", "fit.h5ad", "--json", cwd=work)
    assert fit.returncode == 0, fit.stderr
    about = json.loads(fit.stdout)
    assert about == {"method": "truncated_gaussian", "strata": 3, "genes": 25, "out": "fit.h5ad"}
    direct, fitted = run_all(
        ("synthesize", train, *how, "-n", 12, "--rng", 4, "-o", "direct.h5ad", "--json"),
        ("synthesize", "--fitted", "fit.h5ad", "-n", 12, "--rng", 4, "-o", "fitted.h5ad", "--json"),
        cwd=work,
    )
    assert fitted.returncode == 0, fitted.stderr
    assert json.loads(fitted.stdout) == {**json.loads(direct.stdout), "out": "fitted.h5ad"}
    assert matrix_bytes(read(work / "fitted.h5ad").X) == matrix_bytes(read(work / "direct.h5ad").X)
    many = run("synthesize", "--fitted", "fit.h5ad", "-n", 400, "-o", "many.h5ad", cwd=work)
    assert "cells    1,200\n" in many.stdout
    assert "next     bulkgen tokenize many.h5ad --label label -o many.dataset\n" in many.stdout
    both = run("synthesize", train, "--fitted", "fit.h5ad", "-o", "x.h5ad", cwd=work)
    assert "'bulk' is settled in a fitted generator" in error_line(both)


@pytest.mark.json_of("thin")
def test_thin_says_how_many_counts_are_left(work):
    result = run("thin", "cells.h5ad", "--fraction", 0.5, "--rng", 3, "-o", "thinned.h5ad", "--json", cwd=work)
    assert result.returncode == 0, result.stderr
    before = read(work / "cells.h5ad")
    expected = bulkgen.thin(before, fraction=0.5, rng=3)
    assert matrix_bytes(read(work / "thinned.h5ad").X) == matrix_bytes(expected.X)
    assert json.loads(result.stdout) == {
        "rows": 150,
        "genes": 25,
        "counts_before": before.X.sum(),
        "counts_after": expected.X.sum(),
        "out": "thinned.h5ad",
    }


@pytest.mark.json_of("generators")
def test_generators_are_listed_with_their_parameters(work):
    listed, as_json = run_all(("generators",), ("generators", "--json"), cwd=work)
    assert all(len(line) <= 80 for line in listed.stdout.splitlines())
    found = json.loads(as_json.stdout)
    assert tuple(found) == bulkgen.generators.generator_names()
    for name, (summary, parameters) in found.items():
        assert name in listed.stdout
        assert summary
        assert all(f"{parameter}=" in listed.stdout for parameter in parameters)


@pytest.mark.parametrize("command", ["split", "pseudobulk", "fit", "synthesize"])
def test_help_is_whole_at_80_columns(work, command):
    result = run(command, "--help", cwd=work)
    assert result.returncode == 0
    text = ANSI.sub("", result.stdout)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text  # an option's name cut off
    assert "Usage:" in text
    for option in ("--overwrite", "--json", "--layer", "--out"):
        assert option in text
    # a fit draws nothing
    assert ("--rng" in text) == (command != "fit")


def test_a_wrong_usage_exits_with_2_and_names_what_is_wrong(work):
    cases = {
        ("pseudobulk", "cells.h5ad", "-o", "x.h5ad"): "--by",
        ("pseudobulk", "cells.h5ad", "--by", "label", "-k", "0", "-o", "x.h5ad"): "-k",
        ("synthesize", "cells.h5ad", "--by", "label", "--set", "round", "-o", "x.h5ad"): "NAME=VALUE",
        ("synthesize", "cells.h5ad", "--by", "label", "--set", "out=1", "-o", "x.h5ad"): "not a parameter of a",
        ("synthesize", "cells.h5ad", "--by", "label", "--label", "label", "-o", "x"): "is for tokens: add --tokens",
    }
    for result, words in zip(run_all(*cases, cwd=work), cases.values(), strict=True):
        assert result.returncode == 2
        assert words in result.stderr
        assert "Traceback" not in result.stderr
        assert not (work / "x.h5ad").exists()


def error_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error that exits with 1."""
    assert result.returncode == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("bulkgen: error: ")
    return lines[0]


def test_a_failure_is_one_line_that_exits_with_1_and_leaves_nothing(work, tmp_path):
    cells = work / "cells.h5ad"
    logged = read(cells)
    logged.X = np.log1p(logged.X)
    logged.write_h5ad(tmp_path / "logged.h5ad")
    before = names(tmp_path)
    cases = {
        ("pseudobulk", "gone.h5ad", "--by", "label", "-o", "x.h5ad"): r"no file gone\.h5ad",
        ("pseudobulk", "logged.h5ad", "--by", "label", "-o", "x.h5ad"): "log-normalised.*--layer counts",
        ("pseudobulk", cells, "--by", "drug", "-o", "x.h5ad"): "no column 'drug'; columns: 'label'",
        # an output that cannot be written is refused before the input is read
        ("pseudobulk", "gone.h5ad", "--by", "label", "-o", "x.csv"): r"x\.csv must end in \.h5ad",
        ("synthesize", cells, "--by", "label", "--set", "sigma=1", "-o", "x.h5ad"): "'sigma' of method",
        ("synthesize", cells, "--by", "label", "-n", 10**12, "-o", "x.h5ad"): "TB of memory.*--shard-size",
        ("split", cells, "--label", "partial", "--out", "p"): "1 of 150 cells have no value.*--drop-unlabelled",
    }
    for result, words in zip(run_all(*cases, cwd=tmp_path), cases.values(), strict=True):
        assert re.search(words, error_line(result))
    assert names(tmp_path) == before


def test_debug_shows_the_traceback(work):
    result = run("--debug", "pseudobulk", "gone.h5ad", "--by", "label", "-o", "x.h5ad", cwd=work)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "FileNotFoundError" in result.stderr


def test_a_layer_takes_the_place_of_the_matrix(work, tmp_path):
    cells = read(work / "cells.h5ad")
    cells.X = np.log1p(cells.X)
    cells.write_h5ad(tmp_path / "logged.h5ad")
    arguments = ("--by", "label", "--layer", "raw", "--strategy", "sum")
    result = run("pseudobulk", "logged.h5ad", *arguments, "-o", "pb.h5ad", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    expected = bulkgen.pseudobulk(read(work / "cells.h5ad"), by="label", strategy="sum")
    assert matrix_bytes(read(tmp_path / "pb.h5ad").X) == matrix_bytes(expected.X)


def test_an_output_that_exists_is_refused_and_kept_without_overwrite(work, split_run, tmp_path):
    (tmp_path / "old.h5ad").write_text("old")
    cells, out = work / "cells.h5ad", work / "deep" / "work"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    results = run_all(
        ("pseudobulk", cells, "--by", "label", "-o", "old.h5ad"),
        ("synthesize", cells, "--by", "label", "-o", "old.h5ad"),
        ("split", cells, "--label", "label", "--out", out),
        cwd=tmp_path,
    )
    assert all("exists; choose another output" in error_line(result) for result in results)
    assert names(tmp_path) == ["old.h5ad"]
    assert (tmp_path / "old.h5ad").read_text() == "old"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.json_of("split")
def test_a_split_is_replaced_as_a_whole(work, tmp_path):
    cells, out = work / "cells.h5ad", tmp_path / "parts"
    assert run("split", cells, "--label", "label", "--out", "parts", cwd=tmp_path).returncode == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert "val.h5ad" in first
    # a failure while the new parts are written keeps every old one: a mixture would leak test cells into training
    (out / "test.h5ad").unlink()
    (out / "test.h5ad").mkdir()
    again = partial(run, "split", cells, "--label", "label", "--out", "parts", "--rng", 1, "--overwrite", cwd=tmp_path)
    assert again().returncode == 1
    assert names(out) == sorted(first)
    assert all((out / name).read_bytes() == first[name] for name in ("train.h5ad", "val.h5ad", "split.json"))
    (out / "test.h5ad").rmdir()
    # and validation cells of an older split do not stay beside a split without any
    result = again("--validation-fraction", 0, "--json")
    assert result.returncode == 0, result.stderr
    assert names(out) == ["split.json", "test.h5ad", "train.h5ad"]
    summary = json.loads(result.stdout)
    assert summary["train_cells"] + summary["test_cells"] == 150
    assert summary["labels"]["BMS"] == {"train": 54, "validation": 0, "test": 6}
    assert not set(read(out / "train.h5ad").obs_names) & set(read(out / "test.h5ad").obs_names)


def test_cells_without_a_label_are_left_out_on_request_and_counted(work, tmp_path):
    result = run("split", work / "cells.h5ad", "--label", "partial", "--drop-unlabelled", "--out", "p", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 cells without a label were left out" in result.stdout
    assert json.loads((tmp_path / "p" / "split.json").read_text())["cells_dropped"] == 1
    parts = [read(tmp_path / "p" / f"{part}.h5ad") for part in ("train", "val", "test")]
    assert sum(part.n_obs for part in parts) == 149
    assert all("c7" not in part.obs_names for part in parts)


def test_warnings_are_one_line(work, tmp_path):
    cells = read(work / "cells.h5ad")
    bulkgen.write(bulkgen.bulk_profiles(cells, by="label"), tmp_path / "bulk.h5ad")
    write(cells[:, :20], tmp_path / "reference.h5ad")
    result = run(
        "synthesize", "bulk.h5ad", "--reference", "reference.h5ad", "-n", 2, "-o", "tg.h5ad", "--json", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == (
        "bulkgen: warning: 20 of the 25 genes of the bulk are among the 20 of the reference (80%); "
        "the others are left out\n"
    )
    assert json.loads(result.stdout)["genes"] == 20
