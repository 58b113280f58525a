"""A kernel compiled with fused multiply-add must fail the parity test: else that test could not fail."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from conftest import ROOT
from kernel_cases import draw, same_bits, sampled_paths_agree, truncated_gaussian_parameters, variates, variates_agree


def cpu_has_fma() -> bool:
    try:
        with Path("/proc/cpuinfo").open() as file:
            return any(" fma " in line for line in file if line.startswith("flags"))
    except OSError:
        return False


@pytest.fixture(scope="module")
def contracted(tmp_path_factory):
    """Sampled kernels of the installed core, but with contraction on."""
    if "native" not in backend_names():
        pytest.skip("this installation has no compiled core")
    if not cpu_has_fma():
        pytest.skip("this processor has no fused multiply-add")
    if shutil.which("cmake") is None or importlib.util.find_spec("pybind11") is None:
        pytest.skip("building the control needs cmake and pybind11 (pip install --group dev)")
    import pybind11

    build = tmp_path_factory.mktemp("contracted")
    configure = [
        "cmake",
        *("-S", str(ROOT), "-B", str(build), "-DBULKGEN_CONTRACTED=ON"),
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    for command in (configure, ["cmake", "--build", str(build), "--target", "_contracted"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (library,) = build.glob("_contracted*.so")
    spec = importlib.util.spec_from_file_location("_contracted", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_contraction_breaks_parity(contracted):
    assert not sampled_paths_agree(contracted, get_kernels("numba"))
    assert not sampled_paths_agree(contracted, get_kernels("native"))


def test_contraction_breaks_the_parity_of_variates(contracted):
    assert variates_agree(get_kernels("native"), get_kernels("numba"))
    assert not variates_agree(contracted, get_kernels("numba"))


def test_contraction_leaves_the_law_of_variates(contracted):
    plain, fused = (variates(kernels, ("gamma", 7.3)) for kernels in (get_kernels("native"), contracted))
    assert not same_bits(plain, fused)
    np.testing.assert_allclose(plain, fused, rtol=1e-9)


def test_contraction_changes_little_else(contracted):
    """The control is the same program: its cells differ in the last digits, not in law."""
    plain, fused = draw(get_kernels("native"), "inverse"), draw(contracted, "inverse")
    assert not same_bits(plain, fused)
    deviation = truncated_gaussian_parameters()[1]
    assert np.all(np.abs(plain - fused) <= 1e-6 * np.abs(plain) + 1e-5 * deviation)
