"""The workflows: what they call is there, what they may do is little, what they build is what is declared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: Folders and files that a workflow makes or is handed, and does not find in the repository.
MADE = {"dist", "wheelhouse", "docs/_build/html"}


def read(name: str) -> dict[str, dict[str, object]]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_calls_is_there(path):
    workflow = read(path.stem)
    assert workflow["name"] == path.stem
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), "not pinned"
        command = step.get("run", "")
        assert set(re.findall(r"\bmake ([\w-]+)", command)) <= targets
        named = re.findall(r"(?:(?<=\s)|^)(?:tests|tools|docs|benchmarks)/[\w./-]+", command)
        settings = [str(value) for value in step.get("with", {}).values()]
        named += [value for value in settings if re.fullmatch(r"[\w./-]+", value) and ("/" in value or ".txt" in value)]
        for name in set(named) - MADE:
            assert (ROOT / name).exists(), name


def test_one_action_has_one_version():
    lines = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses: " in line]
    pins = {re.search(r"uses: (\S+)@([0-9a-f]{40}) # v(\d+\.\d+\.\d+)$", line).groups() for line in lines}
    assert len(pins) == len({action for action, _, _ in pins})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_jobs_may_only_read_but_for_those_that_publish(path):
    workflow = read(path.stem)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120
        if "permissions" in job:
            assert name in ("publish", "deploy")
            # nobody publishes from a pull request
            assert "github.ref" in job["if"]


def test_a_release_is_what_the_source_distribution_gave_and_what_was_tested():
    jobs = read("wheels")["jobs"]
    assert jobs["wheels"]["needs"] == "sdist"
    assert jobs["test"]["needs"] == "wheels"
    assert jobs["publish"]["needs"] == ["sdist", "wheels", "test"]
    (build,) = (step for step in jobs["wheels"]["steps"] if "-m cibuildwheel" in step.get("run", ""))
    assert "bulkgen-*.tar.gz" in build["run"]
    assert not [step for step in jobs["wheels"]["steps"] if "checkout" in step.get("uses", "")]
    built = {entry["platform"]: entry["runner"] for entry in jobs["wheels"]["strategy"]["matrix"]["include"]}
    assert set(built) == {"manylinux_x86_64", "manylinux_aarch64", "macosx_arm64", "macosx_x86_64", "win_amd64"}
    assert set(jobs["test"]["strategy"]["matrix"]["runner"]) == set(built.values())
    # trusted publishing: no token is handed over
    (publish,) = (step for step in jobs["publish"]["steps"] if "gh-action-pypi-publish" in step.get("uses", ""))
    assert "with" not in publish
    assert jobs["publish"]["permissions"] == {"id-token": "write"}


def test_wheels_are_built_for_the_versions_that_are_declared():
    declared = {
        name.rpartition(" ")[2].replace(".", "")
        for name in PROJECT["project"]["classifiers"]
        if re.search(r":: 3\.\d+$", name)
    }
    built = set(re.findall(r"cp(\d+)-", PROJECT["tool"]["cibuildwheel"]["build"]))
    assert built == declared
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=").replace(".", "")
    assert oldest == min(built)


def test_tools_of_every_group_are_pinned():
    pinned = {
        line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()
    }
    for group in PROJECT["dependency-groups"].values():
        for requirement in group:
            name = re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")
            assert name in pinned, f"{name} has no known-good version in constraints.txt"


@pytest.mark.skipif(
    not (Path(sys.prefix) / "dependencies").exists() or not (ROOT / ".git").exists(),
    reason="runs in a clone, with the environment that `make` made",
)
def test_the_hook_before_a_commit_runs(tmp_path):
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    environment |= {"VENV": sys.prefix, "PRE_COMMIT_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files", "--verbose"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "zizmor" in done.stdout


def results(name: str) -> dict[str, dict[str, object]]:
    path = max((ROOT / "benchmarks" / "results" / "wheels").glob(name))
    return json.loads(path.read_text(encoding="utf-8"))["results"]


def test_the_page_of_wheels_says_which_dependencies_have_none():
    found = results("*-dependencies.json")
    page = (ROOT / "docs" / "design" / "wheels.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"## Wheels of the dependencies\n(.*?)\n## ", page, re.DOTALL)
    assert f"for each of the {len(found)} wheels" in table
    for wheel, dependencies in found.items():
        assert f"Numba {dependencies['numba']}" in table
        assert dependencies["without a wheel"] == (["google-crc32c"] if wheel.startswith("cp314t-") else [])
