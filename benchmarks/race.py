"""Timing of several ways to do one thing, in turn, within one run."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

#: side -> seconds, one for each round it took part in (the first rounds)
Seconds = dict[str, list[float]]


def race(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    check: Callable[[str, object], None],
    once: Sequence[str] = (),
) -> Seconds:
    """Run A B C, C B A, A B C, …: both sides of a pair meet the same machine, and neither always goes first.

    Every timed run follows an untimed one of the same side, which leaves caches and the memory that the side will ask
    for as it likes them: the first touch of fresh memory can cost more than the work, and that is not a side's doing.

    Parameters
    ----------
    sides
        Name -> what to time.
    rounds
        Timed rounds, after an untimed one whose results are checked.
    check
        Called with a side and its result; raises if it is wrong. Called once per side.
    once
        Sides too slow to repeat: the first round only, without an untimed run before it.
    """
    seconds: Seconds = {name: [] for name in sides}
    # what is alive now is not searched again, so that collecting between two sides costs nothing
    gc.collect()
    gc.freeze()
    for name, run in sides.items():
        if name not in once:
            check(name, run())
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            if number > 0 and name in once:
                continue
            if name not in once:
                sides[name]()
            gc.collect()
            start = time.perf_counter()
            result = sides[name]()
            seconds[name].append(time.perf_counter() - start)
            if name in once:
                check(name, result)
            # the next side must not find its memory taken
            del result
    gc.unfreeze()
    return seconds


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """How many times as long one side took as the other, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=False)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "n": len(values)}
