"""Shards on the command line, through real processes that are stopped and killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import bulkgen
from bulkgen.io.shards import sha256_of
from command_line import run
from count_cases import labelled_cells

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sends signals")

#: Enough shards that a process is still at work when it gets its signal.
N_SHARDS = 60


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a fit, a vocabulary, and the shards that nothing interrupted."""
    folder = tmp_path_factory.mktemp("shards")
    cells = labelled_cells(3, {"A": 60, "B": 50}, n_genes=120, mean=1.0)
    bulkgen.fit_generator(cells, by="label", method="thin").save(folder / "fit.h5ad")
    bulkgen.Vocabulary.fit(cells, context=80).save(folder / "vocabulary.json")
    bulkgen.synthesize(
        fitted=folder / "fit.h5ad", to="tokens", vocabulary=folder / "vocabulary.json", label="label",
        n_cells=N_SHARDS * 5, shard_size=10, out=folder / "whole",
    )  # fmt: skip
    return folder


def arguments(work: Path, *more: object) -> list[str]:
    """The command that makes the same shards in the folder ``out``."""
    how = ["synthesize", "--fitted", work / "fit.h5ad", "--tokens", "--vocabulary", work / "vocabulary.json"]
    how += ["--label", "label", "--n-cells", f"{N_SHARDS * 5:_}", "--shard-size", "1_0", "--out", "out"]
    return [str(word) for word in [*how, *more]]


def start(work: Path, folder: Path, *more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bulkgen", *arguments(work, *more)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def n_done(folder: Path) -> int:
    return len(list((folder / "out" / "records").glob("*.json")))


def wait_for(process: subprocess.Popen[str], folder: Path, done: int) -> None:
    """Wait until so many shards are done."""
    deadline = time.monotonic() + 60
    while n_done(folder) < done and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_two_jobs_at_once_give_the_bytes_of_one(work, tmp_path):
    jobs = [start(work, tmp_path, "--shard", f"{i}/2", "--resume", "--json") for i in (1, 2)]
    results = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], results
    # whichever ends last sees all shards
    assert max(json.loads(out)["done"] for out, _ in results) == N_SHARDS
    assert sha256_of(tmp_path / "out") == sha256_of(work / "whole")


def test_a_process_that_is_killed_again_and_again_gives_the_bytes_of_one_that_is_not(work, tmp_path):
    random = np.random.default_rng(0)
    for _ in range(6):
        process = start(work, tmp_path, "--resume")
        wait_for(process, tmp_path, n_done(tmp_path) + int(random.integers(2)))
        time.sleep(random.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert not (tmp_path / "out" / "bulkgen.json").exists()
    again = run(*arguments(work, "--resume"), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert sha256_of(tmp_path / "out") == sha256_of(work / "whole")
    assert not list((tmp_path / "out").glob(".work-*"))


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGTERM, 143, f"of {N_SHARDS} shards; go on with: bulkgen synthesize"),
        (signal.SIGINT, 130, "interrupted; shards that are done stay, go on with --resume"),
    ],
)
def test_a_signal_stops_the_job_cleanly_and_the_message_says_how_to_go_on(work, tmp_path, number, code, says):
    process = start(work, tmp_path)
    wait_for(process, tmp_path, 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    estimate, message = err.splitlines()
    assert "600 cells in 60 shards to make: about" in estimate
    assert says in message
    shards = {path.stem for path in (tmp_path / "out").glob("data-*")}
    records = {path.stem for path in (tmp_path / "out" / "records").iterdir()}
    # an interrupt may come between the two
    assert records <= shards
    assert len(shards - records) <= (number == signal.SIGINT)
    assert 3 <= len(shards) < N_SHARDS
    if number == signal.SIGTERM:
        assert not list((tmp_path / "out").glob(".work-*"))
        assert f"stopped after {len(shards)} of" in message
        assert message.endswith("--out out --resume")
        again = run(*arguments(work, "--resume", "--json"), cwd=tmp_path)
        assert json.loads(again.stdout) == {"holds": "tokens", "shards": N_SHARDS, "done": N_SHARDS, "out": "out"}
        assert sha256_of(tmp_path / "out") == sha256_of(work / "whole")


def test_cells_in_zarr_shards_and_wrong_usage(work, tmp_path):
    cells = ["synthesize", "--fitted", work / "fit.h5ad", "-n", 7, "-o", "cells"]
    done = run(*cells, "--shard-size", 9, "--format", "zarr", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert bulkgen.open_shards(tmp_path / "cells").shape == (14, 120)
    for more, code, says in [
        (["--resume"], 2, "--shard-size"),
        (["--shard-size", 9, "--shard", "2/1"], 2, "I/N"),
        (["--shard-size", 9, "--format", "csv", "--out", "new"], 1, "format must be 'h5ad', 'zarr' or None, got 'csv'"),
        (["--shard-size", 9], 1, "--resume"),
        (["--shard-size", 8, "--resume"], 1, "shard_size is 9 there, and 8 here"),
    ]:
        refused = run(*cells, *more, cwd=tmp_path)
        assert refused.returncode == code
        assert says in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


def test_who_waits_for_another_process_says_so(work, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".lock"):
        process = start(work, tmp_path)
        said = process.stderr.readline()
    process.communicate(timeout=120)
    assert said == f"bulkgen: waiting: another process is at work in {out}\n"
    assert process.returncode == 0
    assert sha256_of(out) == sha256_of(work / "whole")
