"""bulkgen bulk as a user runs it: real processes, real files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import bulkgen
from bulkgen.tokens import Vocabulary
from command_line import run

GENES = [f"ENSG{i:011d}" for i in range(1, 7)]
SYMBOLS = ["ISG15", "ACTB", "TP53", "GAPDH", "CD3E", "MYC"]


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with counts.csv.gz (symbols x samples), meta.tsv, vocabulary.json and tpm.csv."""
    folder = tmp_path_factory.mktemp("bulk")
    counts = np.random.default_rng(2).poisson(400.0, (7, 4))
    table = pd.DataFrame(counts, index=[*SYMBOLS, "ERCC-1"], columns=["S1", "S2", "S3", "S4"])
    table.to_csv(folder / "counts.csv.gz")
    (table / table.sum() * 1e6).to_csv(folder / "tpm.csv")
    (folder / "meta.tsv").write_text("id\tdrug\nS1\tnone\nS2\tDex\nS3\tnone\nS4\tDex\n")
    Vocabulary(
        name="small",
        tokens={gene: i + 2 for i, gene in enumerate(GENES)},
        medians=dict.fromkeys(GENES, 1.0),
        pad=0,
        mask=1,
        cls=None,
        eos=None,
        context=6,
        mapping=dict(zip(SYMBOLS, GENES, strict=True)),
    ).save(folder / "vocabulary.json")
    return folder


def test_a_table_becomes_profiles(work):
    how = ("--samples", "meta.tsv", "--unit", "counts", "--by", "drug", "--vocabulary", "vocabulary.json")
    result = run("bulk", "counts.csv.gz", *how, "-o", "bulk.h5ad", cwd=work)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(work / "counts.csv.gz", index_col=0)
    share = table.loc["ERCC-1"].sum() / table.to_numpy().sum()
    assert result.stderr == (
        f"bulkgen: warning: 1 of 7 gene ids, with {share:.2%} of the counts, are not in vocabulary 'small' and left "
        "out: 'ERCC-1'\n"
    )
    assert [line.split(maxsplit=1) for line in result.stdout.splitlines()] == [
        ["samples", "4"],
        ["strata", "Dex, none"],
        ["genes", "6 of 7 ids"],
        ["left", f"out  1 ids with {share:.2%} of the counts"],
        ["unit", "counts"],
        ["written", "bulk.h5ad"],
        ["next", "bulkgen synthesize bulk.h5ad --reference CELLS -o bulk_cells.h5ad"],
    ]
    profiles = bulkgen.read(work / "bulk.h5ad")
    assert list(profiles.var_names) == GENES
    np.testing.assert_array_equal(profiles.X, [(table["S2"] + table["S4"])[:6], (table["S1"] + table["S3"])[:6]])


@pytest.mark.json_of("bulk")
def test_without_by_the_samples_stay_and_json_reports_everything(work):
    how = ("--samples", "meta.tsv", "--vocabulary", "vocabulary.json", "--json")
    result = run("bulk", "counts.csv.gz", *how, "-o", "samples.h5ad", cwd=work)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(work / "counts.csv.gz", index_col=0)
    assert json.loads(result.stdout) == {
        "out": "samples.h5ad",
        "unit": "counts",
        "samples": 4,
        "genes": 6,
        "ids": 7,
        "versions_stripped": 0,
        "ids_summed": 0,
        "unmapped": 1,
        "unmapped_examples": ["ERCC-1"],
        "unmapped_share": pytest.approx(table.loc["ERCC-1"].sum() / table.to_numpy().sum()),
        "annotation": [],
        "summary_rows": [],
        "samples_left_out": [],
    }
    samples = bulkgen.read(work / "samples.h5ad")
    assert list(samples.obs["drug"]) == ["none", "Dex", "none", "Dex"]


def test_tpm_keep_their_unit(work):
    result = run("bulk", "tpm.csv", "--genes", "rows", "--unit", "tpm", "-o", "tpm.h5ad", "--json", cwd=work)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["unit"] == "tpm"
    read = bulkgen.read(work / "tpm.h5ad")
    np.testing.assert_allclose(read.X.sum(axis=1), 1e6)
    assert json.loads(read.uns["bulkgen"]["parameters"])["unit"] == "tpm"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gone.csv", "-o", "x.h5ad"), "there is no file gone.csv"),
        # refused before the input is read
        (("gone.csv", "-o", "x.csv"), "x.csv must end in .h5ad or .zarr"),
        (("tpm.csv", "--genes", "rows", "-o", "x.h5ad"), "as TPM do: pass unit='tpm' (--unit tpm)"),
        (("counts.csv.gz", "-o", "x.h5ad"), "cannot tell which axis of the table holds the genes"),
        (("counts.csv.gz", "--genes", "rows", "--by", "drug", "-o", "x.h5ad"), "obs has no column 'drug'"),
    ],
)
def test_a_failure_is_one_line_that_exits_with_1_and_leaves_nothing(work, arguments, words):
    result = run("bulk", *arguments, cwd=work)
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("bulkgen: error: ")
    assert words in result.stderr
    assert not (work / arguments[-1]).exists()


def test_a_wrong_unit_is_a_wrong_usage_and_help_is_whole_at_80_columns(work):
    assert run("bulk", "tpm.csv", "--unit", "cpm", "-o", "x.h5ad", cwd=work).returncode == 2
    result = run("bulk", "--help", cwd=work)
    assert result.returncode == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for option in ("--samples", "--unit", "--by", "--vocabulary", "--gene-ids", "--genes", "--round", "--json"):
        assert option in text


def test_profiles_of_measured_bulk_make_cells(work):
    """The whole way: table, profiles, synthetic cells that follow the bulk's shares."""
    rng = np.random.default_rng(4)
    obs = pd.DataFrame({"drug": ["none", "Dex"] * 30}, index=[f"c{i}" for i in range(60)])
    cells = ad.AnnData(rng.poisson(30.0, (60, 6)).astype(np.float32), obs=obs, var=pd.DataFrame(index=GENES))
    bulkgen.write(cells, work / "cells.h5ad", overwrite=True)
    how = ("--samples", "meta.tsv", "--by", "drug", "--vocabulary", "vocabulary.json")
    assert run("bulk", "counts.csv.gz", *how, "-o", "profiles.h5ad", cwd=work).returncode == 0
    result = run("synthesize", "profiles.h5ad", "--reference", "cells.h5ad", "-n", 400, "-o", "made.h5ad", cwd=work)
    assert result.returncode == 0, result.stderr
    made = bulkgen.read(work / "made.h5ad")
    profiles = bulkgen.read(work / "profiles.h5ad")
    for name in ("Dex", "none"):
        mean = np.asarray(made[made.obs["drug"] == name].X).mean(axis=0)
        expected = profiles[name].X.ravel() / profiles[name].X.sum() * cells.X.sum(axis=1).mean()
        # truncated normals with a standard deviation near 5.5, cut at the largest count: 6 standard errors
        np.testing.assert_allclose(mean, expected, atol=6 * 5.5 / 20)
