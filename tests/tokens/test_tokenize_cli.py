"""``bulkgen tokenize`` as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import datasets
from bulkgen.tokens import TokenDataset, Vocabulary, tokenize
from json_schemas import check_json


def run(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "bulkgen", "tokenize", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
        check=False,
    )
    check_json(("tokenize", *arguments), done.stdout)
    return done


@pytest.fixture
def file(make_cells, tmp_path):
    X = np.random.default_rng(0).poisson(0.9, size=(50, 12))
    X[3] = 0
    obs = {"kind": [f"k{i % 3}" for i in range(50)], "well": [f"w{i}" for i in range(50)]}
    make_cells(sp.csr_matrix(X), obs=obs).write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.mark.json_of("tokenize")
def test_tokens_are_those_of_the_library_and_the_result_is_json(file, tmp_path, plain_vocabulary):
    vocabulary = plain_vocabulary.save(tmp_path / "vocabulary.json")
    out = tmp_path / "cells.dataset"
    done = run(
        *(file, "--vocabulary", vocabulary, "--label", "kind", "--columns", "well", "--counts"),
        *("-o", out, "--threads", 2, "--json"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["cells_in"] == 50
    assert result["cells_dropped_empty"] == 50 - result["cells_out"] >= 1
    assert "c3" in result["empty_cells"]
    assert result["label_names"] == ["k0", "k1", "k2"]
    assert result["vocabulary_fingerprint"] == plain_vocabulary.fingerprint
    loaded = TokenDataset.load(out)
    expected = tokenize(file, vocabulary=plain_vocabulary, label="kind", columns=["well"], counts=True)
    assert loaded.table.equals(expected.table)
    assert datasets.load_from_disk(str(out)).num_rows == result["cells_out"]


def test_a_vocabulary_can_be_fitted_and_used_again(file, tmp_path):
    (tmp_path / "train").mkdir()
    first = run(file, "--vocabulary", "fit", "--context", 7, "-o", tmp_path / "train", "--label", "kind", "--overwrite")
    assert first.returncode == 0, first.stderr
    assert "genes mapped" in first.stdout
    assert "12 of 12 columns (100.0%)" in first.stdout
    assert "fill the context of 7" in first.stdout
    assert "kind: k0, k1, k2" in first.stdout
    assert str(tmp_path / "train") in first.stdout
    again = run(file, "--vocabulary", tmp_path / "train", "-o", tmp_path / "test", "--keep-empty", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["cells_kept_empty"] >= 1
    assert TokenDataset.load(tmp_path / "test").vocabulary == Vocabulary.load(tmp_path / "train")
    assert Vocabulary.load(tmp_path / "train").context == 7


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [(["--label", "absent"], 1, "obs has no column 'absent'"), (["--context", "9"], 2, "--context")],
)
def test_failures_are_one_clear_line_and_leave_nothing(arguments, code, message, file, tmp_path, plain_vocabulary):
    vocabulary = plain_vocabulary.save(tmp_path / "vocabulary.json")
    before = sorted(tmp_path.iterdir())
    done = run(file, "--vocabulary", vocabulary, "-o", tmp_path / "out", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_that_exists_is_refused_without_overwrite(file, tmp_path):
    (tmp_path / "out").mkdir()
    done = run(file, "--vocabulary", "fit", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "--overwrite" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_pickle_that_calls_os_system_is_refused(file, tmp_path):
    folder = tmp_path / "dictionaries"
    folder.mkdir()
    witness = tmp_path / "ran"
    call = f"cposix\nsystem\n(Vtouch {witness}\ntR.".encode()
    for name in ("token_dictionary_gc30M", "gene_median_dictionary_gc30M"):
        (folder / f"{name}.pkl").write_bytes(call)
    done = run(file, "--vocabulary", "V1", "--vocabulary-path", folder, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "asks to call posix.system" in done.stderr
    assert not witness.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.real_data
def test_real_cells_with_v1_found_through_the_environment(shared_data, tmp_path):
    done = run(
        *(shared_data / "scmix_5cl_mini.h5ad", "--vocabulary", "V1", "--label", "cell_line"),
        *("-o", tmp_path / "out", "--json"),
        BULKGEN_VOCABULARY_PATH=str(shared_data / "geneformer"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["cells_out"], result["cells_saturated"], result["tokens_total"]) == (100, 100, 204_800)
    assert result["label_names"] == ["A549", "H1975", "H2228", "H838", "HCC827"]
