"""What all commands have in common: help, examples, exit codes, JSON schemas, completion."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from bulkgen.cli.app import app
from bulkgen.cli.examples import EXAMPLES
from command_line import run
from conftest import ROOT
from json_schemas import schemas, validator

MOST_LINES = 50


def commands(group=None, *names: str) -> dict[str, object]:
    """Every command by its name, such as ``study run``."""
    group = group or typer.main.get_command(app)
    found = {}
    for name, member in group.commands.items():
        if hasattr(member, "commands"):
            found |= commands(member, *names, name)
        else:
            found[" ".join((*names, name))] = member
    return found


COMMANDS = commands()


def shown(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_ends_with_an_example(command):
    lines = shown(*command.split(), "--help")
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert not re.search(r"<(int|float|str|path|list)\b", text), "a name of Python's for a kind of value"
    assert text.split("\nExample:\n")[1].splitlines() == [f"  {line}" for line in EXAMPLES[command]]


@pytest.mark.parametrize("command", [name for name in COMMANDS if "--help-all" in str(shown(*name.split(), "--help"))])
def test_help_all_shows_every_option(command):
    text = "\n".join(shown(*command.split(), "--help-all"))
    for parameter in COMMANDS[command].params:
        for name in parameter.opts if parameter.param_type_name == "option" else ():
            assert name in text
    assert text.count("--help-all") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_command_lines_that_are_understood(command):
    for line in "\n".join(EXAMPLES[command]).replace("\\\n", "").splitlines():
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == "bulkgen"
        name = command.split()
        assert words[1 : len(name) + 1] == name
        # parsed, not run
        COMMANDS[command].make_context(command, words[len(name) + 1 :])


def test_the_help_of_the_program_names_every_command_whole_and_the_exit_codes(tmp_path):
    result = run("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: bulkgen [OPTIONS] COMMAND")
    lines = result.stdout.splitlines()
    assert len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1 : lines.index("Exit codes:") - 1]]
    assert listed == list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    assert not [line for line in lines if line.endswith("...") and "Usage" not in line]
    page = (ROOT / "docs" / "reference" / "automation.md").read_text(encoding="utf-8")
    assert re.findall(r"^  (\d+) ", result.stdout, re.MULTILINE) == re.findall(r"^\| (\d+) \|", page, re.MULTILINE)


def test_every_command_with_json_has_a_schema_and_a_test_of_it():
    with_json = {
        name.replace(" ", "-")
        for name, command in COMMANDS.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert set(schemas()) == with_json
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert set(re.findall(r'^@pytest\.mark\.json_of\("([\w-]+)"\)$', tests, re.MULTILINE)) == with_json
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)
    # what a schema refers to is there, and something does not fit it
    assert not validator("demo").is_valid({"folder": "demo"})
    assert not validator("synthesize").is_valid({"cells": 3})


def complete(instruction: str, typed: str = "bulkgen") -> str:
    """What a shell is given: candidates for what is typed, or the script that asks for them."""
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_TYPER_COMPLETE_ARGS": typed}
    environment = {**os.environ, "_BULKGEN_COMPLETE": instruction, **words}
    command = [sys.executable, "-m", "bulkgen"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout


def test_the_shell_completes_commands_and_options():
    assert set(complete("complete_bash", "bulkgen s").split()) == {"sciplex2", "split", "synthesize", "score", "study"}
    offered = re.findall(r'"(--[\w-]+)"', complete("complete_zsh", "bulkgen tokenize --voc"))
    assert set(offered) == {"--vocabulary", "--vocabulary-path"}


def test_the_script_of_completion_is_for_the_program():
    script = complete("source_bash")
    assert "_BULKGEN_COMPLETE=complete_bash" in script
    assert re.search(r"complete .* bulkgen$", script.strip())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pseudobulk x.h5ad --by a -o y.h5ad -k many", "-k': must be a number, got 'many'"),
        ("synthesize x.h5ad --by a -o y.h5ad -n 0", "-n': must be at least 1, got '0'"),
        ("pseudobulk x.h5ad --by a -o y.h5ad --strategy most", "'most' is not one of 'sum', 'mean_k', 'mean'"),
        ("tokenise x.h5ad", "No such command 'tokenise'. Did you mean 'tokenize'?"),
    ],
)
def test_a_wrong_value_or_command_is_said_in_words_and_exits_with_2(words, said):
    result = CliRunner().invoke(app, shlex.split(words), env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(("before", "after"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_threads_wait_asleep_unless_the_user_said_otherwise(before, after):
    code = "from bulkgen.cli import app; app.app = lambda **_: print(app.os.environ['OMP_WAIT_POLICY']); app.main()"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | before
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [after]
