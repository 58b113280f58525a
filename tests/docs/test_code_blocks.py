"""Every block of code of the README and the documentation runs, in the order of its page, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from code_blocks import SHELLS, code_blocks
from conftest import ROOT
from documented_data import write_small_data

PAGES = sorted(
    page
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if not {"_build", "generated"} & set(page.parts) and code_blocks(page)
)
#: Blocks that cannot run here, by page: they need a network, a GPU, a cluster or another program.
NOT_RUN = {
    "automation.md": 1,
    "README.md": 1,
    "fine_tune.md": 1,
    "pipelines.md": 2,
    "score_a_model.md": 2,
    "ten_million.md": 1,
    "your_generator.md": 1,
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with small data, where ``bulkgen`` is this one and finds the dictionaries."""
    write_small_data(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "bulkgen"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bulkgen "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    sources = [str(Path(place).resolve()) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sources))
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    monkeypatch.setenv("BULKGEN_VOCABULARY_PATH", str(tmp_path / "dictionaries"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs(page, folder):
    names: dict[str, object] = {"__name__": "__main__"}
    for block in code_blocks(page):
        if block.not_run is not None or (block.needs is not None and find_spec(block.needs) is None):
            continue
        place = f"{page.relative_to(ROOT)}, line {block.line}"
        if block.language in SHELLS:
            command = ["bash", "-euo", "pipefail", "-c", block.code]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, f"{place}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the small dictionaries are not those that were published
                exec(compile(block.code, place, "exec"), names)


def test_what_is_not_run_says_why_and_is_not_more_than_it_was():
    skipped = {page.name: sum(block.not_run is not None for block in code_blocks(page)) for page in PAGES}
    assert {name: number for name, number in skipped.items() if number} == NOT_RUN


def test_notebooks_hold_no_code_that_is_not_a_cell():
    """The build runs cells; a plain block of Python in a notebook would be run by nobody."""
    for page in (ROOT / "docs" / "tutorials").glob("*.md"):
        blocks = code_blocks(page)
        assert not [block for block in blocks if block.language == "python" and block.not_run is None], page
