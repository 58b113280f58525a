"""``BULKGEN_PURE=1`` builds a wheel for every platform, which runs on Numba alone."""

from __future__ import annotations

import email
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from bulkgen.rng import STREAM_VERSION
from conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    for needed in ("scikit_build_core", "hatch_fancy_pypi_readme"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"building a wheel needs {needed.replace('_', '-')} (pip install --group dev)")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "CMakeLists.txt"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "python", source / "python", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BULKGEN_PURE": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.iterdir()
    return path


def test_the_pure_wheel_fits_every_platform_and_holds_no_binary(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert "Root-Is-Purelib: true" in archive.read(next(n for n in names if n.endswith("/WHEEL"))).decode()
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc", ".nbc", ".cpp"))]
    assert "bulkgen/py.typed" in names


def test_the_pure_wheel_holds_every_python_file(wheel):
    package = ROOT / "python"
    with zipfile.ZipFile(wheel) as archive:
        for path in package.glob("bulkgen/**/*.py"):
            assert archive.read(path.relative_to(package).as_posix()) == path.read_bytes()


def test_the_description_names_the_files_of_the_release_in_full(wheel):
    """PyPI shows the README without the files beside it."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(
            archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA")))
        )
    readme, description = (ROOT / "README.md").read_text(encoding="utf-8"), metadata.get_payload(decode=True).decode()
    of_the_release = f"bulkgen/bulkgen/blob/v{metadata['Version']}/"
    targets = re.findall(r"\]\(([^)]+)\)", description)
    assert len(targets) == len(re.findall(r"\]\(", readme)) > 20
    assert all(target.startswith("https://") for target in targets)
    files = [target.partition(of_the_release)[2] for target in targets if of_the_release in target]
    assert all((ROOT / file).exists() for file in files)
    (figure,) = re.findall(r"!\[[^\]]*\]\((.+?)\)", description)
    assert figure.startswith("https://raw.githubusercontent.com/")


def test_the_pure_wheel_draws_the_golden_words(wheel, tmp_path):
    """One stream, since all of them are golden with Numba in tests/kernels and the files are the same."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import json, bulkgen.kernels as k; from golden.make import golden_words\n"
        "assert k.backend_names() == ('numba',), k.backend_names()\n"
        "print(json.dumps(golden_words(k.get_kernels())))"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "BULKGEN_BACKEND": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    golden = json.loads((ROOT / "tests" / "golden" / f"streams_v{STREAM_VERSION}.json").read_text())
    words = json.loads(done.stdout)
    assert words == {name: golden[name] for name in words}
