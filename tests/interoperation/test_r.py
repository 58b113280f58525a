"""R reads the h5ad files that bulkgen writes, with the packages that its readers of h5ad stand on."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import bulkgen as bg
from conftest import ROOT

SCRIPT = Path(__file__).parent / "read_h5ad.R"
KINDS = ("synthetic", "gaussian", "pseudobulk", "means", "pseudobulk_by_rows", "profiles")


@cache
def missing(package: str) -> str | None:
    """What is not installed, if anything."""
    if shutil.which("Rscript") is None:
        return "R is not installed: apt-get install r-base-core r-bioc-rhdf5 r-cran-hdf5r"
    asked = f"quit(status = !all(sapply(c('Matrix', '{package}'), requireNamespace, quietly = TRUE)))"
    done = subprocess.run(["Rscript", "-e", asked], capture_output=True, check=False)
    return f"the R package {package} or Matrix is not installed" if done.returncode else None


@pytest.fixture(scope="module", params=["rhdf5", "hdf5r"])
def read_in_r(request, files) -> dict[str, list[list[str]]]:
    """What R found in each file, as words of lines."""
    if (reason := missing(request.param)) is not None:
        pytest.skip(reason)
    command = ["Rscript", SCRIPT, request.param, *(files[kind] for kind in KINDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = re.split(r"^file .*\n", done.stdout, flags=re.MULTILINE)[1:]
    return {kind: [line.split() for line in part.splitlines()] for kind, part in zip(KINDS, parts, strict=True)}


# zellkonverter and anndataR read with rhdf5, Seurat's readers with hdf5r, which has no filter but HDF5's own
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_r_reads_counts_annotation_layers_and_provenance(kind, files, read_in_r):
    found = read_in_r[kind]
    facts = {words[0]: words[1:] for words in found if words[0] != "layer"}
    adata = bg.read(files[kind], counts="any")
    values = np.asarray(adata.to_df(), dtype=np.float64)
    assert facts["dim"] == [str(adata.n_vars), str(adata.n_obs)]
    np.testing.assert_allclose(float(facts["sum"][0]), values.sum(), rtol=1e-12)
    assert facts["gene"][0] == adata.var_names[6]
    np.testing.assert_allclose(float(facts["gene"][1]), values[:, 6].sum(), rtol=1e-12)
    np.testing.assert_allclose(float(facts["cell"][-1]), values[2].sum(), rtol=1e-12)
    assert " ".join(facts["cell"][:-1]) == adata.obs_names[2]
    numbers = adata.obs["drug"].value_counts().sort_index()
    assert facts["drug"] == [word for name, n in numbers.items() for word in (name, str(n))]
    for column in {"psbulk_counts", "n_obs_aggregated"} & set(adata.obs):
        np.testing.assert_allclose(float(facts[column][0]), adata.obs[column].sum())
    assert {words[1] for words in found if words[0] == "layer"} == set(adata.layers)
    for _, name, total in (words for words in found if words[0] == "layer"):
        np.testing.assert_allclose(float(total), np.asarray(adata.layers[name], dtype=np.float64).sum(), rtol=1e-6)
    assert facts["kind"] == [adata.uns["bulkgen"]["kind"]]


@pytest.mark.slow
def test_the_block_of_the_how_to_page_runs(files, tmp_path):
    if (reason := missing("rhdf5")) is not None:
        pytest.skip(reason)
    page = (ROOT / "docs" / "how_to" / "interoperation.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```r\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shutil.copy(files["pseudobulk"], tmp_path / "pb.h5ad")
    (tmp_path / "block.R").write_text(block + 'cat(dim(counts), length(drug), "\\n")\n', encoding="utf-8")
    done = subprocess.run(
        ["Rscript", "block.R"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    n, genes = bg.read(files["pseudobulk"]).shape
    assert done.stdout.split() == [str(genes), str(n), str(n)]
