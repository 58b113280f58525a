"""One pool of Python threads for both backends; kernels release the interpreter lock.

There is no OpenMP (it collides with torch's) and no ``numba(parallel=True)`` (it kills forked data-loader workers).
"""

from __future__ import annotations

import math
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bulkgen.control_groups import cpu_quota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from bulkgen.kernels.protocol import Int64Array

__all__ = ["available_threads", "ordered_map", "parallel_ranges", "resolve_threads"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _granted_cpus() -> float | None:
    """Return the quota of CPU time, looked up once: reading it takes as long as a small kernel."""
    return cpu_quota()


def available_threads() -> int:
    """CPUs this process may use: its affinity mask, and its quota rounded up; 1 in a PyTorch data-loader worker."""
    torch_data = sys.modules.get("torch.utils.data")
    if torch_data is not None and torch_data.get_worker_info() is not None:
        return 1
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # threads beyond the quota would use it up in a part of each period, and all wait for the rest
    quota = _granted_cpus()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def resolve_threads(threads: int | None) -> int:
    """Validate the public `threads` argument; ``None`` is the CPUs available (or ``BULKGEN_THREADS``)."""
    if threads is None:
        named = os.environ.get("BULKGEN_THREADS")
        if named is None:
            return available_threads()
        if not named.isdigit() or int(named) < 1:
            raise ValueError(f"BULKGEN_THREADS must be a positive integer, got {named!r}")
        return int(named)
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def parallel_ranges(
    function: Callable[[int, int], None],
    size: int,
    *,
    threads: int | None,
    weights: Int64Array | None = None,
    pieces: int = 1,
) -> None:
    """Call ``function(first, last)`` on consecutive ranges that cover ``[0, size)``, in threads.

    Parameters
    ----------
    function
        Must give the same result for any division of the work.
    size
        Number of items.
    threads
        As :func:`resolve_threads`; the caller's is one of them.
    weights
        Cumulative cost, shape (size + 1,): the ranges get equal shares of it (default: equal numbers of items).
    pieces
        Ranges per thread, taken as threads become free: more even out a thread that starts late, where a range costs
        little to begin.
    """
    threads = min(resolve_threads(threads), size)
    if threads <= 1:
        if size > 0:
            function(0, size)
        return
    n = min(threads * pieces, size)
    if weights is None:
        cuts = [size * i // n for i in range(n + 1)]
    else:
        shares = weights[0] + (weights[-1] - weights[0]) * np.arange(1, n) / n
        cuts = [0, *(int(cut) for cut in np.searchsorted(weights, shares)), size]
    ranges = deque((a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if a < b)

    def work() -> None:
        while True:
            try:
                first, last = ranges.popleft()
            except IndexError:
                return
            try:
                function(first, last)
            except BaseException:
                # the others need not go on
                ranges.clear()
                raise

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            # an exception of any range is raised here
            other.result()


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None) -> Iterator[Result]:
    """Yield ``function(item)`` of each item in order, while threads work on the next.

    At most one result per thread, and one more, waits to be used, so memory does not grow with the items.

    Parameters
    ----------
    function
        Called in threads; an exception is raised when its turn comes.
    items
        Read as they are needed.
    threads
        As :func:`resolve_threads`; with one, `function` is called in the caller's thread.
    """
    n = resolve_threads(threads)
    if n == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > n + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # after an error or an interrupt, what has not begun need not
            for future in waiting:
                future.cancel()
