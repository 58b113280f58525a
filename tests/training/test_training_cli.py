"""``bulkgen finetune`` and ``bulkgen evaluate`` as real processes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import bulkgen
from bulkgen.cli.evaluate import print_scores
from bulkgen.training import evaluate
from bulkgen.training.metrics import score
from count_cases import labelled_cells
from json_schemas import check_json

SMALL = ["--epochs", "2", "--batch-size", "16", "--learning-rate", "0.005", "--threads", "1"]


def command(*arguments):
    return [sys.executable, "-m", "bulkgen", *map(str, arguments)]


def run(*arguments):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False)
    check_json(arguments, done.stdout)
    return done


@pytest.fixture(scope="module")
def folders(training_cells, validation_cells, test_cells, tmp_path_factory):
    """Folder of three token data sets: train, val, test."""
    folder = tmp_path_factory.mktemp("tokens")
    for name, data in (("train", training_cells), ("val", validation_cells), ("test", test_cells)):
        data.save(folder / name)
    return folder


@pytest.mark.json_of("finetune")
@pytest.mark.json_of("evaluate")
def test_tiny_is_trained_and_evaluated(folders, tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "run"
    done = run("finetune", folders / "train", "--validation", folders / "val", *SMALL, "--rng", 3, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["kind"] == "tiny"
    assert result["config"]["epochs"] == 2
    assert result["config"]["hidden_size"] == 64
    assert [epoch["epoch"] for epoch in result["history"]] == [1, 2]
    assert result["validation"]["n"] == 60
    done = run("evaluate", out, folders / "test", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == evaluate(out, folders / "test").to_dict()


def test_every_option_of_a_training_has_a_flag(folders, tmp_path):
    pytest.importorskip("torch")
    weights = {"alpha": 1.0, "beta": 2.5, "gamma": 2.0}
    options = {
        "accumulation": 2,
        "precision": "bf16",
        "attention": "eager",
        "freeze_layers": 0,
        "sampling": "balanced",
        "patience": 1,
        "class_weights": ",".join(f"{label}={weight}" for label, weight in weights.items()),
    }
    flags = [str(part) for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    flags += ["--gradient-checkpointing", "--device", "cpu"]
    arguments = ["finetune", folders / "train", "--validation", folders / "val", *SMALL, *flags]
    done = run(*arguments, "-o", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    config = json.loads(done.stdout)["config"]
    assert {name: config[name] for name in options} == {**options, "class_weights": weights}
    assert config["gradient_checkpointing"] is True


@pytest.fixture(scope="module")
def stored_fit(tmp_path_factory):
    """Folder with a stored fit of two conditions, and a token data set of cells with another name for them."""
    folder = tmp_path_factory.mktemp("fit")
    cells = labelled_cells(3, {"ctrl": 40, "stim": 40}, n_genes=80, mean=2.0)
    cells.obs = cells.obs.rename(columns={"label": "kind"})
    bulkgen.fit_generator(cells, by="kind", method="negative_binomial").save(folder / "fit.h5ad")
    cells.obs["condition"] = cells.obs["kind"]
    vocabulary = bulkgen.Vocabulary.fit(cells, context=40)
    bulkgen.tokenize(cells, vocabulary=vocabulary, label="condition", columns=["kind"], out=folder / "real")
    return folder


@pytest.mark.parametrize("model", ["tiny", "linear"])
def test_fresh_cells_of_a_stored_fit_are_trained_on_beside_real_ones_and_alone(stored_fit, tmp_path, model):
    pytest.importorskip("torch")
    real = bulkgen.TokenDataset.load(stored_fit / "real")
    options = {} if model == "linear" else {"epochs": 2, "batch_size": 16, "learning_rate": 0.005}
    small = [] if model == "linear" else SMALL[:-2]
    fresh = ["--fitted", stored_fit / "fit.h5ad", "--n-cells", 30, "--model", model, *small, "--threads", 1, "--rng", 3]
    alone = run("finetune", *fresh, "--validation", stored_fit / "real", "-o", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    shown = "60, other ones in every epoch" if model == "tiny" else "60"
    assert next(line.split(maxsplit=1) for line in alone.stdout.splitlines() if line.startswith("cells")) == [
        "cells",
        shown,
    ]
    beside = run("finetune", stored_fit / "real", *fresh, "--label", "kind", "-o", tmp_path / "beside", "--json")
    assert beside.returncode == 0, beside.stderr
    expected = bulkgen.finetune(
        bulkgen.SyntheticTokens(
            stored_fit / "fit.h5ad", 30, vocabulary=real.vocabulary, real=replace(real, label="kind"), rng=3
        ),
        model=model,
        rng=3,
        threads=1,
        **options,
    )
    assert json.loads(beside.stdout)["history"] == list(expected.history)
    facts = json.loads((tmp_path / "beside" / "run.json").read_text())["training"]
    labels, counts = np.unique(real.column("kind"), return_counts=True)
    assert facts["cells_per_label"] == {
        label: 30 + n for label, n in zip(labels.tolist(), counts.tolist(), strict=True)
    }
    assert facts["synthetic"]["fit"] == bulkgen.load_fit(stored_fit / "fit.h5ad").fingerprint
    predictions = [evaluate(folder, stored_fit / "real").to_dict() for folder in (tmp_path / "beside", expected.run)]
    assert predictions[0] == predictions[1]


def test_linear_is_trained_and_evaluated_for_people_in_80_columns(folders, tmp_path):
    out = tmp_path / "run"
    done = run("finetune", folders / "train", "--validation", folders / "val", "--model", "linear", "-o", out)
    assert done.returncode == 0, done.stderr
    assert "alpha 75, beta 38, gamma 37" in done.stdout
    assert "balanced accuracy" in done.stdout
    scores, predictions = tmp_path / "scores.json", tmp_path / "p.csv"
    done = run("evaluate", out, folders / "test", "-o", scores, "--predictions", predictions)
    assert done.returncode == 0, done.stderr
    expected = evaluate(out, folders / "test")
    assert f"{expected.balanced_accuracy:.3f}  0.333" in " ".join(done.stdout.split()).replace(" ", "  ")
    assert "all 'alpha'" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-2])) <= 80
    assert json.loads(scores.read_text()) == expected.to_dict()
    rows = list(csv.DictReader(predictions.read_text().splitlines()))
    assert len(rows) == 80
    assert set(rows[0]) == {
        *("cell_id", "label", "predicted"),
        *("probability_alpha", "probability_beta", "probability_gamma"),
    }
    assert sum(row["label"] == row["predicted"] for row in rows) == np.diag(expected.confusion).sum()


def test_what_is_of_fresh_cells_needs_them(folders, tmp_path):
    done = run("finetune", folders / "train", "--n-cells", 5, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "is for fresh cells: add --fitted" in " ".join(done.stderr.split())
    done = run("finetune", "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "name the token data set to train on, or --fitted" in " ".join(done.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "linear", "--epochs", "3"], "model 'linear' has no option epochs"),
        (["--label", "sort"], "no column 'sort'"),
        (["--model", "linear", "--class-weights", "alpha=x"], "has LABEL=WEIGHT separated by commas, got 'alpha=x'"),
        (["--model", "linear", "--class-weights", "alpha=2"], "class_weights must name the labels"),
        (["--patience", "2"], "patience needs validation cells"),
        (["--model", "linear", "--validation", "nothing"], "there is no token data set at nothing"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(folders, tmp_path, arguments, message):
    done = run("finetune", folders / "train", *arguments, "-o", tmp_path / "run")
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_exist_are_refused_unless_overwritten(folders, linear_run, tmp_path):
    (tmp_path / "run").mkdir()
    done = run("finetune", folders / "train", "--model", "linear", "-o", tmp_path / "run")
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    scores = tmp_path / "scores.json"
    scores.write_text("mine")
    assert run("evaluate", linear_run.path, folders / "test", "-o", scores).returncode == 1
    assert scores.read_text() == "mine"
    done = run("evaluate", linear_run.path, folders / "test", "-o", scores, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert json.loads(scores.read_text())["n"] == 80


def test_an_interrupted_training_leaves_no_run_folder(folders, tmp_path):
    pytest.importorskip("torch")
    arguments = ["finetune", folders / "train", "--validation", folders / "val", *SMALL, "--epochs", "100000"]
    process = subprocess.Popen(
        command(*arguments, "-o", tmp_path / "run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell that runs these tests in the background ignores the signal, and so would all that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".run.*/checkpoints-*/checkpoint-*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no epoch was finished in time"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.strip().endswith("interrupted; no partial output was left")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [2, 9, 40])
def test_tables_fit_80_columns_whatever_the_labels(classes, capsys):
    labels = [f"a label with a very long name, number {i:02}" for i in range(classes)]
    generator = np.random.default_rng(0)
    scores = score(*generator.integers(0, classes, size=(2, 900)), labels=labels, majority=labels[1])
    print_scores(scores)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert ("too wide for this table" in shown) == (classes == 40)
    if classes < 40:
        assert str(scores.confusion[1, 1]) in shown.splitlines()[-classes + 1].split()[-classes + 1]
