"""A full disk is said plainly, leaves earlier output intact, and nothing beside it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest

import disk_full
from bulkgen.io import atomic_file, write
from bulkgen.io.full_disk import full_disk_named
from count_cases import labelled_cells

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files")


def test_every_stage_keeps_its_earlier_output_and_says_why_it_failed():
    said = []
    stages = tuple(name for name in disk_full.STAGES if name != "transformer")
    rows = disk_full.campaign(stages, (0.0, 0.5), say=said.append)
    assert said == []
    assert sum(row.tried for row in rows) == 2 * len(stages)
    assert sum(row.failures for row in rows) == 0


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


def test_the_command_line_ends_with_one_line_and_code_1(tmp_path):
    write(labelled_cells(1, {"A": 200, "B": 200}), tmp_path / "cells.h5ad")
    (tmp_path / "means.h5ad").write_text("earlier")
    arguments = ["pseudobulk", "cells.h5ad", "--by", "label", "-k", "2", "-o", "means.h5ad", "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "bulkgen", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=limit_files,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("bulkgen: error: ")
    assert "the disk is full" in line
    assert "means.h5ad" in line
    assert (tmp_path / "means.h5ad").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad", "means.h5ad"]


def test_what_hides_the_number_of_the_error_in_its_text_is_recognised(tmp_path):
    told = f"PytorchStreamWriter failed: {os.strerror(errno.ENOSPC)}"
    with pytest.raises(OSError, match="the disk is full") as raised, full_disk_named(tmp_path / "model"):
        raise RuntimeError(told)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "model")


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "file"):
        _ = 1 / 0
    with pytest.raises(PermissionError), full_disk_named(tmp_path):
        raise PermissionError(errno.EACCES, "no")
