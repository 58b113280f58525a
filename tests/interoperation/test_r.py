"""R reads the h5ad files that bulkgen writes, with the packages that its readers of h5ad stand on."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import bulkgen as bg

SCRIPT = Path(__file__).parent / "read_h5ad.R"


@cache
def missing(package: str) -> str | None:
    """What is not installed, if anything."""
    if shutil.which("Rscript") is None:
        return "R is not installed: apt-get install r-base-core r-bioc-rhdf5 r-cran-hdf5r"
    asked = f"quit(status = !all(sapply(c('Matrix', '{package}'), requireNamespace, quietly = TRUE)))"
    done = subprocess.run(["Rscript", "-e", asked], capture_output=True, check=False)
    return f"the R package {package} or Matrix is not installed" if done.returncode else None


# zellkonverter and anndataR read with rhdf5, Seurat's readers with hdf5r, which has no filter but HDF5's own
@pytest.mark.slow
@pytest.mark.parametrize("package", ["rhdf5", "hdf5r"])
@pytest.mark.parametrize("kind", ["synthetic", "gaussian", "pseudobulk", "means", "pseudobulk_by_rows", "profiles"])
def test_r_reads_counts_annotation_layers_and_provenance(package, kind, files):
    if (reason := missing(package)) is not None:
        pytest.skip(reason)
    done = subprocess.run(
        ["Rscript", SCRIPT, package, files[kind]], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [line.split() for line in done.stdout.splitlines()]
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
