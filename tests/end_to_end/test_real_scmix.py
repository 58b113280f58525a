"""The whole way on real cells: five lung-cancer cell lines, clean singlets (sc_mixology, CEL-seq2)."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import bulkgen as bg

pytestmark = pytest.mark.real_data
LABEL = "cell_line"


@pytest.fixture(scope="module")
def vocabulary(shared_data):
    return bg.Vocabulary.load("V1", path=shared_data / "geneformer")


@pytest.fixture(scope="module")
def split(shared_data):
    cells = bg.read(shared_data / "scmix_5cl_celseq2.h5ad")
    cells = cells[cells.obs["clean_singlet"].to_numpy()].copy()
    assert cells.n_obs == 542
    return bg.split_benchmark(cells, label=LABEL, test_fraction=0.2, stratify_by=["plate"], rng=0)


@pytest.fixture(scope="module")
def tokens(split, vocabulary):
    sets = {
        "real": split.train,
        "validation": split.validation,
        "test": split.test,
        "pseudobulk": bg.pseudobulk(split.train, by=LABEL, k=10),
        "truncated_gaussian": bg.synthesize(split.train, by=LABEL, n_cells=60),
    }
    return {name: bg.tokenize(cells, vocabulary=vocabulary, label=LABEL) for name, cells in sets.items()}


def test_linear_on_real_cells_reaches_97_percent(tokens):
    scores = bg.finetune(tokens["real"], validation=tokens["validation"], model="linear").evaluate(tokens["test"])
    assert scores.balanced_accuracy >= 0.97
    assert scores.majority["balanced_accuracy"] == pytest.approx(0.2)


@pytest.mark.parametrize("made", ["pseudobulk", "truncated_gaussian"])
def test_a_model_trained_on_made_cells_is_scored_on_real_ones(tokens, made):
    scores = bg.finetune(tokens[made], validation=tokens["validation"], model="linear").evaluate(tokens["test"])
    assert scores.n == len(tokens["test"])
    # the lines are far apart: anything below this is a fault in the way, not a finding about the method
    assert scores.balanced_accuracy > 0.6


def test_shuffled_labels_give_chance(tokens, split, vocabulary):
    shuffled = split.train.copy()
    shuffled.obs[LABEL] = np.random.default_rng(0).permutation(shuffled.obs[LABEL].to_numpy())
    trained = bg.finetune(bg.tokenize(shuffled, vocabulary=vocabulary, label=LABEL), model="linear")
    assert trained.evaluate(tokens["test"]).balanced_accuracy < 0.45


def test_tiny_learns_and_beats_the_majority(tokens):
    result = bg.finetune(
        tokens["real"], validation=tokens["validation"], model="tiny", epochs=4, batch_size=8, context=256
    )
    losses = [epoch["training_loss"] for epoch in result.history]
    assert losses[-1] < losses[0]
    scores = result.evaluate(tokens["test"])
    assert scores.balanced_accuracy > scores.majority["balanced_accuracy"] + 0.2


def test_truncated_gaussian_cells_saturate_where_real_cells_do_not(tokens, split):
    """No zeros: nearly every gene with a mean above zero is expressed in every synthetic cell."""
    synthetic = bg.synthesize(split.train, by=LABEL, n_cells=5)
    expressed = float((synthetic.X > 0).sum(axis=1).mean())
    real = float(np.diff(split.train.X.indptr).mean())
    assert expressed > 1.5 * real
    assert np.all(tokens["truncated_gaussian"].lengths == 2048)


def test_the_commands_of_the_readme_run_on_real_cells(shared_data, tmp_path):
    import anndata as ad

    cells = ad.read_h5ad(shared_data / "scmix_5cl_mini.h5ad")
    cells.write_h5ad(tmp_path / "cells.h5ad")

    def bulkgen(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "bulkgen", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = ("--vocabulary-path", shared_data / "geneformer")
    bulkgen("split", "cells.h5ad", "--label", LABEL, "--test-fraction", 0.2, "--out", "work/")
    bulkgen("pseudobulk", "work/train.h5ad", "--by", LABEL, "-k", 5, "--strategy", "mean", "-o", "work/pb.h5ad")
    bulkgen(
        "synthesize", "work/train.h5ad", "--by", LABEL, "--method", "truncated_gaussian", "-n", 30, "-o", "work/tg.h5ad"
    )
    for name in ("pb", "tg", "val", "test"):
        bulkgen(
            "tokenize",
            f"work/{name}.h5ad",
            "--vocabulary",
            "V1",
            *place,
            "--label",
            LABEL,
            "-o",
            f"work/{name}.dataset",
        )
    for name in ("pb", "tg"):
        bulkgen(
            "finetune",
            f"work/{name}.dataset",
            "--validation",
            "work/val.dataset",
            "--model",
            "linear",
            "-o",
            f"work/{name}",
        )
        scores = json.loads(bulkgen("evaluate", f"work/{name}", "work/test.dataset", "--json"))
        assert scores["n"] == 20
        assert scores["balanced_accuracy"] > 0.6
