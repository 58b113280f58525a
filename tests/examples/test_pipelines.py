"""The pipelines call commands as they are, and Snakemake runs its one to the end where it is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from bulkgen.cli.app import app
from conftest import ROOT
from documented_data import write_small_data

PIPELINES = ROOT / "examples" / "pipelines"
STEPS = ["split", "synthesize", "tokenize", "finetune", "evaluate"]


def commands(text: str) -> list[list[str]]:
    """Words of every command line of bulkgen in a pipeline; strings that stand on lines of their own are joined."""
    joined = re.sub(r'"\n\s*"', "", text)
    return [line.split() for line in re.findall(r"^\s*\"?(?:bulkgen) (.+?)\"?$", joined, re.MULTILINE)]


@pytest.mark.parametrize("name", ["Snakefile", "main.nf"])
def test_every_command_of_the_pipeline_has_the_options_it_is_given(name):
    known = typer.main.get_command(app).commands
    found = commands((PIPELINES / name).read_text(encoding="utf-8"))
    assert [words[0] for words in found] == STEPS
    for command, *words in found:
        options = {flag for parameter in known[command].params for flag in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, command
        required = {
            flag for p in known[command].params if p.required and p.param_type_name == "option" for flag in p.opts
        }
        assert required & set(words) or not required, command


def snakemake() -> str:
    program = os.environ.get("BULKGEN_SNAKEMAKE") or shutil.which("snakemake")
    if program is None:
        pytest.skip("Snakemake is not installed: pip install snakemake, or set BULKGEN_SNAKEMAKE to the program")
    return program


PROCESS = re.compile(
    r"^process (\w+) \{.*?^    input:\n(.*?)^    output:\n(.*?)^    script:\n    \"{3}\n(.*?)^    \"{3}\n\}",
    re.MULTILINE | re.DOTALL,
)


def filled_in(text: str, values: dict[str, object]) -> str:
    """Put values for ``$name``, ``$params.name`` and ``${name}``, as Nextflow does."""
    return re.sub(r"\$\{?(\w+(?:\.\w+)?)\}?", lambda found: str(values[found[1]]), text)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:not the files that Geneformer published")
def test_processes_of_nextflow_make_the_files_that_they_declare(tmp_path, monkeypatch):
    """Nextflow is on no package index: its processes are run here, each on what those before made."""
    write_small_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BULKGEN_VOCABULARY_PATH", str(tmp_path / "dictionaries"))
    config = yaml.safe_load((PIPELINES / "config.yaml").read_text(encoding="utf-8")) | {"cells_per_label": 40}
    given = {f"params.{name}": value for name, value in config.items()} | {"task.cpus": 1}
    text = (PIPELINES / "main.nf").read_text(encoding="utf-8")
    processes = {name: rest for name, *rest in PROCESS.findall(text)}
    assert list(processes) == STEPS
    workflow = text[text.index("workflow {") :]
    assert all(re.search(rf"\b{step}\(", workflow) for step in STEPS)

    def run(step: str, *arguments: object) -> list[str]:
        inputs, outputs, script = processes[step]
        names = re.findall(r"(?:val|path)[( ](\w+)", inputs)
        values = given | dict(zip(names, arguments, strict=True))
        (words,) = commands(filled_in(script, values))
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (step, done.output, done.exception)
        declared = [filled_in(name, values) for name in re.findall(r"path[( ]['\"](.+?)['\"]", outputs)]
        assert all((tmp_path / name).exists() for name in declared), step
        return declared

    train, validation, test = run("split", "cells.h5ad")
    method = "donor_shift"
    (made,) = run("synthesize", method, config["methods"][method], train)
    of_validation, of_test, of_made = (
        run("tokenize", name, cells)[0] for name, cells in (("val", validation), ("test", test), (method, made))
    )
    (trained,) = run("finetune", method, of_made, of_validation)
    (scores,) = run("evaluate", method, trained, of_test)
    found = json.loads((tmp_path / scores).read_text(encoding="utf-8"))
    assert found["balanced_accuracy"] > found["majority"]["balanced_accuracy"]


@pytest.mark.slow
def test_snakemake_runs_the_pipeline(tmp_path):
    program = snakemake()
    write_small_data(tmp_path)
    bulkgen = tmp_path / "programs" / "bulkgen"
    bulkgen.parent.mkdir()
    # Snakemake may have a Python of its own, which must not see the modules of this one
    sources = [str(Path(place).resolve()) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    lines = ["#!/bin/sh", f'PYTHONPATH="{os.pathsep.join(sources)}" exec "{sys.executable}" -m bulkgen "$@"', ""]
    bulkgen.write_text("\n".join(lines), encoding="utf-8")
    bulkgen.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "PATH": os.pathsep.join([str(bulkgen.parent), os.environ["PATH"]]),
        "BULKGEN_VOCABULARY_PATH": str(tmp_path / "dictionaries"),
        "HOME": str(tmp_path),
    }
    arguments = ["--snakefile", PIPELINES / "Snakefile", "--configfile", PIPELINES / "config.yaml", "--cores", "1"]
    command = [program, *map(str, arguments), "--config", "cells_per_label=40"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert list(scores["trained_on"]) == ["train", "donor_shift", "multinomial"]
    assert (scores["balanced_accuracy"] > scores["majority"]).all()
