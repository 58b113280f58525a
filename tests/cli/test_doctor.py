"""bulkgen doctor: what it says of a sound installation, and of broken ones."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
from typer.testing import CliRunner

import bulkgen
from bulkgen import diagnosis
from bulkgen.cli.app import app
from bulkgen.kernels import backend_names, known_answer
from command_line import run


def problems(found: diagnosis.Diagnosis) -> str:
    assert all(problem.remedy for problem in found.problems)
    return "\n".join(f"{problem.what} -> {problem.remedy}" for problem in found.problems)


def test_a_sound_installation_is_described_in_80_columns(tmp_path):
    result = run("doctor", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout.startswith(f"bulkgen {bulkgen.__version__}")
    assert "Nothing is broken." in result.stdout
    for topic in ("kernels", "known answer", "threads", "extras", "CUDA", "vocabulary", "folders"):
        assert f"\n{topic} " in result.stdout
    for backend in backend_names():
        assert f"ok               {backend}" in result.stdout


@pytest.mark.json_of("doctor")
def test_what_is_wrong_is_named_with_its_remedy_and_exits_with_1(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for name, value in {
        "BULKGEN_BACKEND": "cuda",
        "BULKGEN_ISA": "avx",
        "BULKGEN_THREADS": "none",
        "BULKGEN_VOCABULARY_PATH": str(tmp_path / "gone"),
        "BULKGEN_CACHE": str(tmp_path / "file"),
    }.items():
        monkeypatch.setenv(name, value)
    result = run("doctor", "--json", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    found = {problem["remedy"]: problem["what"] for problem in json.loads(result.stdout)["problems"]}
    assert "BULKGEN_BACKEND=cuda is none of the backends" in found.pop("unset BULKGEN_BACKEND")
    assert "got 'none'" in found.pop("unset BULKGEN_THREADS")
    assert "cannot be written" in found.pop("set BULKGEN_CACHE to one that can")
    assert "gone does not exist" in found.pop("set BULKGEN_VOCABULARY_PATH to a folder that is there, or unset it")
    if "native" in backend_names():
        assert "got 'avx'" in found.pop("unset BULKGEN_ISA")
    assert found == {}


def test_problems_of_any_length_fit_80_columns(monkeypatch):
    what, remedy = "the folder for downloads, " + "/a/long/path" * 12 + ", cannot be written", "set [BULKGEN_CACHE]"
    found = diagnosis.Diagnosis(problems=[diagnosis.Problem(what, remedy)])
    monkeypatch.setattr(diagnosis, "diagnose", lambda: found)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert what.replace(" ", "") in "".join(result.stdout.split())
    assert f"To mend it: {remedy}" in result.stdout


def test_every_backend_at_every_level_gives_the_known_answer(monkeypatch):
    found = known_answer.answers()
    assert {answer.backend for answer in found} == set(backend_names())
    assert [answer.problem for answer in found] == [None] * len(found)
    monkeypatch.setattr(known_answer, "KNOWN", "0" * 32)
    for answer in known_answer.answers():
        assert answer.problem is not None
        assert "000000000000 is known" in answer.problem
    text = problems(diagnosis.diagnose())
    assert "the kernels of numba failed: drew" in text
    assert "pip install --force-reinstall" in text


def test_packages_that_do_not_serve_are_broken_and_those_of_extras_are_not(monkeypatch):
    version = metadata.version

    def older(name: str) -> str:
        if name == "pooch":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name in {"numpy", "torch"} else version(name)

    monkeypatch.setattr(metadata, "version", older)
    found = diagnosis.diagnose()
    assert [problem.what for problem in found.problems] == ["the package numpy 0.1 does not serve"]
    assert found.problems[0].remedy.startswith("pip install 'numpy>=")
    (torch,) = (package for package in found.extras["train"] if package.name == "torch")
    assert (torch.version, torch.serves) == ("0.1", False)


def test_a_dependency_of_some_platforms_is_no_part_of_an_extra(monkeypatch):
    needs = ["isal>=1.7; python_version > '3'", "winonly>=1; python_version < '3'", "pooch>=1.8; extra == 'fetch'"]
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    monkeypatch.setattr(diagnosis, "_extras", lambda: ["fetch", "report"])
    found = diagnosis.diagnose()
    assert [package.name for package in found.packages] == ["isal"]
    assert [(extra, [package.name for package in packages]) for extra, packages in found.extras.items()] == [
        ("fetch", ["pooch"])
    ]


@pytest.mark.parametrize("free, broken", [(10**6, True), (10**10, False)])
def test_a_full_disk_is_broken(monkeypatch, free, broken):
    monkeypatch.setattr(diagnosis, "free_space", lambda path: free)
    text = problems(diagnosis.diagnose())
    assert ("1.0 MB are free in the folder for temporary files" in text) == broken
