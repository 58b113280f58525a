"""The example plugin as a user installs it: built by pip, found by its entry point, in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bulkgen
from bulkgen.io import read, write
from count_cases import labelled_cells, matrix_bytes

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "numpy_generator"


def run(*command: object, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(path), *(str(Path(place).resolve()) for place in os.environ.get("PYTHONPATH", "").split(":") if place)]
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which pip installed the example, without network."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("plugin")
    # setuptools builds beside the sources
    shutil.copytree(EXAMPLE, folder / "sources")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", folder / "site")
    result = run("-m", "pip", "install", *options, folder / "sources", path=folder, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write(labelled_cells(8, {"A": 40, "B": 50}, n_genes=30, mean=3.0), folder / "cells.h5ad")
    return folder


def test_the_plugin_is_a_method_of_synthesize(installed, work):
    code = """
import bulkgen
from bulkgen.generators import generator_names
assert "numpy_poisson" in generator_names()
cells = bulkgen.read("cells.h5ad")
made = bulkgen.synthesize(cells, by="label", method="numpy_poisson", n_cells=400, rng=5)
again = bulkgen.synthesize(cells, by="label", method="numpy_poisson", n_cells=7, rng=5, threads=1)
bulkgen.write(made, "made.h5ad"); bulkgen.write(again, "again.h5ad")
"""
    result = run("-c", code, path=installed, cwd=work)
    assert result.returncode == 0, result.stderr
    made, again = read(work / "made.h5ad"), read(work / "again.h5ad")
    profiles = bulkgen.bulk_profiles(read(work / "cells.h5ad"), by="label")
    for stratum, name in enumerate(profiles.obs_names):
        here = np.asarray(made[made.obs["label"] == name].X)
        mean = profiles[name].layers["mean"].ravel()
        assert np.all(np.abs(here.mean(axis=0) - mean) <= 5 * np.sqrt(mean / 400))
        # a cell does not depend on how many there are
        assert np.array_equal(here[:7], np.asarray(again.X)[7 * stratum : 7 * stratum + 7])


def test_the_command_line_stores_fits_and_draws_from_them(installed, work):
    def bulkgen_command(*arguments: object) -> None:
        result = run("-m", "bulkgen", *arguments, path=installed, cwd=work)
        assert result.returncode == 0, result.stderr

    how = ("cells.h5ad", "--by", "label", "--method", "numpy_poisson", "--set", "scale=0.5")
    bulkgen_command("fit", *how, "-o", "fit.h5ad")
    bulkgen_command("synthesize", "--fitted", "fit.h5ad", "-n", 20, "-o", "from_fit.h5ad")
    bulkgen_command("synthesize", *how, "-n", 20, "-o", "direct.h5ad")
    assert matrix_bytes(read(work / "from_fit.h5ad").X) == matrix_bytes(read(work / "direct.h5ad").X)


def test_a_wrong_parameter_of_the_plugin_is_named(installed, work):
    how = ("cells.h5ad", "--by", "label", "--method", "numpy_poisson", "--set", "scales=2", "-o", "x.h5ad")
    result = run("-m", "bulkgen", "synthesize", *how, path=installed, cwd=work)
    assert result.returncode == 1
    assert "'scales' of method 'numpy_poisson'" in result.stderr
    assert "(parameters: scale)" in result.stderr


def test_without_the_plugin_its_name_is_unknown(work):
    with pytest.raises(ValueError, match=r"method must be one of 'truncated_gaussian'.*got 'numpy_poisson'"):
        bulkgen.synthesize(read(work / "cells.h5ad"), by="label", method="numpy_poisson")
