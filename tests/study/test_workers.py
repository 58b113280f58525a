"""Processes that work on tasks, and what becomes of those that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bulkgen.study.workers import WorkerDied, map_in_processes


def work(task: int) -> tuple[int, int]:
    if task == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 14:
        os._exit(3)
    if task == 15:
        raise LookupError("fifteen")
    return task * task, os.getpid()


def test_every_task_is_done_once_in_a_process_of_its_own():
    found = dict(map_in_processes(work, range(8), jobs=2))
    assert {number: result[0] for number, result in found.items()} == {n: n * n for n in range(8)}
    pids = {result[1] for result in found.values()}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def test_a_process_that_dies_loses_its_own_task_alone():
    found = dict(map_in_processes(work, [1, 13, 14, 2, 3], jobs=1))
    died = {number: result for number, result in found.items() if isinstance(result, WorkerDied)}
    assert {number: result.exit_code for number, result in died.items()} == {1: -signal.SIGKILL, 2: 3}
    assert [found[number][0] for number in (0, 3, 4)] == [1, 4, 9]
    assert "SIGKILL; the system does that when it runs out of memory" in str(died[1])
    assert "exit code 3" in str(died[2])


def test_what_the_function_raises_arrives():
    with pytest.raises(LookupError, match="fifteen"):
        list(map_in_processes(work, [1, 15, 2], jobs=1))


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_processes_end_when_no_more_results_are_wanted():
    outcomes = map_in_processes(work, range(1000), jobs=1)
    _, (_, pid) = next(outcomes)
    outcomes.close()
    assert not running(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\n"
        "from bulkgen.study.workers import map_in_processes\n"
        "def work(task):\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(100)\n"
        "if __name__ == '__main__':\n"
        "    list(map_in_processes(work, [0], jobs=1))\n",
        encoding="utf-8",
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        process.kill()
    wait_until_gone(pid)


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from bulkgen.study.workers import map_in_processes\nlist(map_in_processes(abs, [1, 2], jobs=1))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert 'under: if __name__ == "__main__":' in done.stderr
