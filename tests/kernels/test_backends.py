"""A backend is chosen by name and fails loudly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.threads import ordered_map, parallel_ranges, resolve_threads

DRAW = "from bulkgen.kernels import get_kernels; print(get_kernels().name)"


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize("name", backend_names())
def test_the_environment_chooses_the_backend(name):
    assert run(DRAW, BULKGEN_BACKEND=name).stdout.strip() == name


def test_an_unknown_backend_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="numba"):
        get_kernels("cuda")


def test_the_default_is_the_compiled_core_where_there_is_one():
    assert run(DRAW, BULKGEN_BACKEND="").stdout.strip() == backend_names()[0]


@pytest.mark.skipif("native" not in backend_names(), reason="this installation has no compiled core")
def test_a_core_that_does_not_load_is_an_error_not_a_switch_to_numba():
    broken = (
        "import sys, importlib.abc\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'bulkgen._core' and sys._getframe(1).f_code.co_name != 'find_spec':\n"
        "            raise ImportError('undefined symbol')\n"
        "sys.meta_path.insert(0, Broken())\n" + DRAW
    )
    done = run(broken, BULKGEN_BACKEND="")
    assert done.returncode != 0
    assert "undefined symbol" in done.stderr


@pytest.mark.skipif("native" not in backend_names(), reason="this installation has no compiled core")
def test_the_environment_chooses_the_instruction_set():
    level = "from bulkgen.kernels import get_kernels; print(get_kernels('native').level)"
    for name in get_kernels("native").levels:
        assert run(level, BULKGEN_ISA=name).stdout.strip() == name
    wrong = run(level, BULKGEN_ISA="avx9")
    assert wrong.returncode != 0
    assert "BULKGEN_ISA must be one of" in wrong.stderr


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_ranges_cover_everything_once(size, threads):
    seen = []
    parallel_ranges(lambda a, b: seen.extend(range(a, b)), size, threads=threads)
    assert sorted(seen) == list(range(size))


def test_an_error_in_a_thread_is_raised():
    def fail(first, last):
        if last == 10:
            raise RuntimeError("in the last range")

    with pytest.raises(RuntimeError, match="last range"):
        parallel_ranges(fail, 10, threads=3)


def test_threads_must_be_positive(monkeypatch):
    with pytest.raises(ValueError, match="at least 1"):
        resolve_threads(0)
    monkeypatch.setenv("BULKGEN_THREADS", "many")
    with pytest.raises(ValueError, match="BULKGEN_THREADS"):
        resolve_threads(None)
    monkeypatch.setenv("BULKGEN_THREADS", "3")
    assert resolve_threads(None) == 3


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_an_ordered_map_keeps_the_order_and_runs_only_a_little_ahead(threads):
    started, used = [], []

    def work(item):
        started.append(item)
        return item * item

    for result in ordered_map(work, range(40), threads=threads):
        used.append(result)
        # at most one waiting result per thread, and two at hand
        assert len(started) <= len(used) + threads + 2
    assert used == [i * i for i in range(40)]


def test_an_ordered_map_raises_when_the_turn_comes_and_stops_when_it_is_left():
    def work(item):
        if item == 3:
            raise RuntimeError("three")
        return item

    results = ordered_map(work, range(10), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="three"):
        next(results)
    some = ordered_map(lambda item: item, iter(int, 1), threads=2)  # without end
    assert next(some) == 0
    some.close()


@pytest.mark.parametrize(("quota", "threads"), [(None, 8), (0.5, 1), (1.5, 2), (4.0, 4), (64.0, 8)])
def test_the_threads_are_the_cpus_of_the_affinity_mask_within_the_quota(monkeypatch, quota, threads):
    monkeypatch.delenv("BULKGEN_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr("bulkgen.kernels.threads._granted_cpus", lambda: quota)
    assert resolve_threads(None) == threads
