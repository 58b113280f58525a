"""The package as installed: one version, light to import, no file without a home."""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

import bulkgen
from bulkgen import errors
from bulkgen.kernels import backend_names
from conftest import ROOT


def test_version_is_the_same_everywhere():
    assert bulkgen.__version__ == version("bulkgen")
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == bulkgen.__version__
    declared = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert declared[1] == bulkgen.__version__


@pytest.mark.skipif("native" not in backend_names(), reason="this installation has no compiled core")
def test_version_of_the_compiled_core_is_the_packages():
    from bulkgen.kernels.native import NativeKernels

    assert NativeKernels().version == bulkgen.__version__


def test_import_is_light():
    code = "import sys, bulkgen; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "numba", "anndata", "datasets", "pandas", "scipy", "sklearn", "matplotlib"}
    assert not heavy & set(loaded)


def test_type_checkers_see_every_public_name():
    """`make types` checks what the file says of them."""
    tree = ast.parse((ROOT / "tests" / "type_checkers" / "public_names.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "bulkgen"]
    assert sorted(alias.name for node in imports for alias in node.names) == sorted(bulkgen.__all__)
    assert "tests/type_checkers" in (ROOT / "pyproject.toml").read_text()
    # what is imported when it is first used is what type checkers are told
    told = ast.parse((ROOT / "python" / "bulkgen" / "__init__.py").read_text())
    homes = {
        alias.name: node.module for node in ast.walk(told) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {name: homes[name] for name in bulkgen.__all__ if name in homes} == bulkgen._HOME


@pytest.mark.parametrize("name", bulkgen.__all__)
def test_every_public_name_resolves(name):
    assert getattr(bulkgen, name) is not None


def test_public_names_stay_callable_after_submodules_are_imported():
    import bulkgen.aggregate
    import bulkgen.cli  # every sub-command module has the name of a public function

    for name in ("pseudobulk", "synthesize", "tokenize", "finetune", "evaluate", "read"):
        assert callable(getattr(bulkgen, name)), name


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = bulkgen.no_such_thing


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_comes_back_from_another_process(name):
    several = {"StudyConfigError": ("path", ["wrong", "too"]), "StoppedError": (1, 2), "MissingExtraError": ("a", "b")}
    error = getattr(errors, name)(*several.get(name, ("text",)))
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)
