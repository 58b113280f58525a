"""Units of work here, in pools and on a cluster: all results, errors beside their units, and a stop in between."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bulkgen.io.executors import active_executor, finish_on_sigterm, map_units, stop_asked


def third_fails(number: int) -> int:
    if number == 3:
        raise KeyError("three")
    return number**2


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_unit_has_its_result_or_its_error(workers):
    pool = ThreadPoolExecutor(workers) if workers else None
    outcomes = dict(map_units(third_fails, range(6), executor=active_executor(pool)))
    assert isinstance(outcomes.pop(3), KeyError)
    assert outcomes == {number: number**2 for number in (0, 1, 2, 4, 5)}


def test_what_nobody_waits_for_is_given_up_and_what_has_begun_is_waited_for():
    begun, ended = [], []
    go = threading.Event()

    def unit(number: int) -> None:
        begun.append(number)
        go.wait(10 if number else 0)
        ended.append(number)

    with ThreadPoolExecutor(1) as pool:
        outcomes = map_units(unit, range(50), executor=pool)
        next(outcomes)
        while len(begun) < 2:
            time.sleep(0.001)
        threading.Timer(0.05, go.set).start()
        outcomes.close()
        assert begun == ended == [0, 1]


@pytest.mark.parametrize("pooled", [False, True])
def test_sigterm_stops_after_the_units_in_flight(pooled):
    def unit(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.6 if pooled else 0)
        return number

    with finish_on_sigterm(), ThreadPoolExecutor(1) as pool:
        done = [number for number, _ in map_units(unit, range(100), executor=pool if pooled else None)]
        assert stop_asked()
    assert done[:3] == [0, 1, 2]
    assert len(done) < 10
    assert not stop_asked()


def test_something_else_is_no_executor():
    with pytest.raises(TypeError, match=r"method submit.*got 3"):
        active_executor(3)
