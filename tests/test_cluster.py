"""A real cluster of two worker processes, of which one is killed meanwhile: the bits of one process."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import bulkgen
from bulkgen import gathering
from bulkgen.io import cell_ranges, waiting
from bulkgen.io.executors import active_executor, dask_scheduler, map_units
from bulkgen.io.shards import sha256_of
from command_line import run
from count_cases import labelled_cells

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills workers")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def fit():
    cells = labelled_cells(3, {"A": 60, "B": 50}, n_genes=120, mean=1.0)
    return bulkgen.fit_generator(cells, by="label", method="thin")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Cells of twenty pieces of the content hash, the least that a range has."""
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    bulkgen.write(labelled_cells(4, {"A": 11_000, "B": 9_000}, n_genes=30), path)
    return path


@contextmanager
def one_killed(cluster, folder, results, *, after):
    """Kill a worker when there are so many of the results; yields the number that there were."""
    there = []

    def kill():
        deadline, seen = time.monotonic() + 60, set()
        while len(seen) < after and time.monotonic() < deadline:
            # they are removed when they have been taken
            seen.update(folder.glob(results))
            time.sleep(0.002)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        there.append(len(seen))

    with distributed.Client(cluster) as client:
        # the one that was killed last is begun again
        client.wait_for_workers(2, timeout=120)
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield there
        finally:
            killer.join()


def test_shards_of_tokens_of_drawn_cells(cluster, fit, tmp_path):
    how = {"fitted": fit, "n_cells": 250, "shard_size": 10}
    bulkgen.synthesize(out=tmp_path / "one", threads=1, **how)
    with one_killed(cluster, tmp_path / "two", "records/*", after=4) as there:
        # the client is found without being passed
        assert bulkgen.synthesize(out=tmp_path / "two", **how).complete
    assert 4 <= there[0] < 50
    assert sha256_of(tmp_path / "two") == sha256_of(tmp_path / "one")


def test_shards_of_tokens_of_cells_in_a_file(cluster, file, tmp_path):
    how = {"vocabulary": bulkgen.Vocabulary.fit(file, context=20), "label": "label", "shard_size": 400}
    bulkgen.tokenize(file, out=tmp_path / "one", threads=1, **how)
    with one_killed(cluster, tmp_path / "two", "records/*", after=4) as there:
        assert bulkgen.tokenize(file, out=tmp_path / "two", **how).complete
    assert 4 <= there[0] < 50
    assert sha256_of(tmp_path / "two") == sha256_of(tmp_path / "one")


@pytest.mark.parametrize("results", ["part-*", "bucket-*.totals.npy"])
def test_pseudobulk(cluster, file, tmp_path, monkeypatch, results):
    monkeypatch.setattr(cell_ranges, "BLOCK_ENTRIES", 10_000)
    monkeypatch.setattr(gathering, "BUCKET_ENTRIES", 10_000)
    how = {"by": ["label", "dose"], "k": 3, "thin": True}
    bulkgen.pseudobulk(file, out=tmp_path / "one.h5ad", **how)
    (tmp_path / "work").mkdir()
    with one_killed(cluster, tmp_path / "work", f".bulkgen-*/{results}", after=2) as there:
        bulkgen.pseudobulk(file, out=tmp_path / "work" / "two.h5ad", **how)
    assert there[0] >= 2
    assert (tmp_path / "work" / "two.h5ad").read_bytes() == (tmp_path / "one.h5ad").read_bytes()
    assert [entry.name for entry in (tmp_path / "work").iterdir()] == ["two.h5ad"]


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def test_a_result_that_cannot_be_fetched_is_an_error_of_its_unit(cluster):
    with distributed.Client(cluster) as client:
        make = {0: int, 1: Unreadable}.__getitem__
        outcomes = dict(map_units(lambda number: make(number)(), [0, 1], executor=active_executor(client)))
    assert outcomes[0] == 0
    assert isinstance(outcomes[1], ValueError)


def test_a_task_of_a_cluster_of_threads_does_its_work_itself(file):
    """Units of its own would wait for the one thread, which waits for them."""
    how = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**how) as threads, distributed.Client(threads) as client:
        assert active_executor(None) is not None
        found = client.submit(bulkgen.bulk_profiles, file, by="label").result(timeout=60)
    assert found.n_obs == 2


def test_the_command_line_takes_the_address_of_a_scheduler(cluster, fit, file, tmp_path):
    fit.save(tmp_path / "fit.h5ad")
    vocabulary = bulkgen.Vocabulary.fit(file, context=20)
    vocabulary.save(tmp_path / "vocabulary.json")
    bulkgen.synthesize(fitted=tmp_path / "fit.h5ad", n_cells=20, shard_size=15, out=tmp_path / "here-cells")
    bulkgen.tokenize(file, vocabulary=vocabulary, shard_size=9000, out=tmp_path / "here-tokens")
    bulkgen.pseudobulk(file, by="label", k=10.0, out=tmp_path / "here-pseudo.h5ad")
    commands = {
        "cells": ["synthesize", "--fitted", "fit.h5ad", "-n", 20, "--shard-size", 15],
        "tokens": ["tokenize", file, "--vocabulary", "vocabulary.json", "--shard-size", 9000],
        "pseudo.h5ad": ["pseudobulk", file, "--by", "label"],
    }
    cluster.wait_for_workers(2, timeout=120)
    for name, command in commands.items():
        done = run(*command, "-o", f"there-{name}", "--dask", cluster.scheduler_address, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["out"] == f"there-{name}"
        assert sha256_of(tmp_path / f"there-{name}") == sha256_of(tmp_path / f"here-{name}")


def test_a_scheduler_that_does_not_answer_is_an_error_in_one_line(file, monkeypatch):
    monkeypatch.setattr("bulkgen.io.executors._PATIENCE", 0.2)
    for address in ("tcp://127.0.0.1:1", "no-protocol://x"):
        with pytest.raises(OSError, match=f"no Dask scheduler answers at {address}"), dask_scheduler(address):
            pass
    # and stays behind as nobody's default
    assert active_executor(None) is None


def test_a_cluster_without_workers_is_waited_for_and_that_is_said(monkeypatch, caplog):
    monkeypatch.setattr(waiting, "PATIENCE", 0.1)
    how = {"n_workers": 0, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**how) as empty, distributed.Client(empty) as client:
        # what is said ends the wait
        handler = logging.Handler()
        handler.emit = lambda record: empty.scale(1)
        monkeypatch.setattr(logging.getLogger("bulkgen"), "handlers", [handler])
        found = dict(map_units(str, range(3), executor=active_executor(client)))
        said = f"the Dask scheduler at {empty.scheduler_address} has no workers yet; start some with: dask worker"
    assert found == {0: "0", 1: "1", 2: "2"}
    assert [record.message for record in caplog.records if record.name == "bulkgen"] == [f"waiting: {said}"]
