"""Ctrl-C in the middle of a long command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bulkgen.io import write
from count_cases import make_cells

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc to know when to interrupt")

N_GENES = 2000
N_CELLS = 10_000


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    counts = np.random.default_rng(0).poisson(1.0, (60, N_GENES)).astype(np.float32)
    write(make_cells(counts, label=["A", "B"] * 30), path)
    return path


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def drawing(process: subprocess.Popen[str], folder: Path) -> bool:
    """The cells (160 MB) are being filled in: more memory than the package itself takes."""
    return not any(folder.glob(".tg.*")) and resident_bytes(process.pid) > 270e6


def writing(process: subprocess.Popen[str], folder: Path) -> bool:
    """The temporary file is there and grows."""
    return any(path.stat().st_size > 1e6 for path in folder.glob(".tg.*"))


@pytest.mark.parametrize(("phase", "old"), [(drawing, False), (writing, True)])
def test_an_interrupt_leaves_no_partial_output_and_says_so(tmp_path, cells, phase, old):
    if old:
        (tmp_path / "tg.h5ad").write_text("old")
    arguments = ["synthesize", cells, "--by", "label", "-n", N_CELLS, "-o", "tg.h5ad", "--overwrite", "--threads", 1]
    process = subprocess.Popen(
        [sys.executable, "-m", "bulkgen", *map(str, arguments)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # as in a terminal: whoever started the tests may have told their children to ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not phase(process, tmp_path):
        assert process.poll() is None, "it was done before the interrupt"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == ["bulkgen: error: interrupted; no partial output was left"]
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == (["tg.h5ad"] if old else [])
    assert not old or (tmp_path / "tg.h5ad").read_text() == "old"


def test_an_interrupt_while_the_command_line_is_loaded_is_one_line():
    code = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "bulkgen.cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from bulkgen.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "bulkgen: error: interrupted; nothing was begun\n")
