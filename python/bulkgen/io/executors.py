"""Where the units of a long piece of work are done: here, in a pool, or on a cluster.

A unit is a picklable value (a path and a number), its function is importable; what is large is opened by whoever does
the unit.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from bulkgen.errors import MissingExtraError
from bulkgen.io import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from types import FrameType

__all__ = ["Executor", "Future", "active_executor", "dask_scheduler", "finish_on_sigterm", "map_units", "stop_asked"]

Unit = TypeVar("Unit")
Result = TypeVar("Result")
_Result = TypeVar("_Result", covariant=True)

#: Seconds that a scheduler has to answer.
_PATIENCE = 30


class Future(Protocol[_Result]):
    """What is needed of a call that was submitted, as :class:`concurrent.futures.Future` has it."""

    def result(self) -> _Result:
        """Return what the call returned, or raise what it raised."""

    def add_done_callback(self, function: Callable[[Any], object], /) -> object:
        """Call a function with the future when the call has ended."""

    def cancel(self) -> object:
        """Give the call up, unless it has begun."""


class Executor(Protocol):
    """What is needed of an executor, as :class:`concurrent.futures.Executor` has it."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:  # noqa: ANN401
        """Start a call, and return its future."""


def active_executor(executor: object | None) -> Executor | None:
    """Return the executor to use: that which was passed, else the active ``distributed.Client``, else ``None``.

    A ``distributed.Client`` is taken for one too. The package is not imported for this: without it nobody has a client.
    In a task of Dask there is none.

    Raises
    ------
    TypeError
        If what was passed is no executor.
    """
    distributed = sys.modules.get("distributed")
    if executor is None and distributed is not None:
        try:
            executor = distributed.default_client()
        except ValueError:
            return None
        with suppress(ValueError):
            distributed.get_worker()
            # who works for the client must not wait for others to: they may all wait
            return None
        if getattr(executor, "status", None) != "running":
            # it never found its scheduler, or lost it
            return None
    if distributed is not None and isinstance(executor, distributed.Client):
        executor = _OnDask(executor)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must have a method submit, as concurrent.futures has it, got {executor!r}")
    return cast("Executor | None", executor)


class _OnDask:
    """A ``distributed.Client`` as an executor.

    The one that Dask makes of it waits for ever for a result that cannot be fetched, such as one that was lost with its
    worker and cannot be made again.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - the package has no types
        self._client = client

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> _DaskFuture:  # noqa: ANN401
        # impure: what is asked for is done again, if a cluster that lives longer did it before
        return _DaskFuture(self._client.submit(function, *arguments, pure=False))

    def has_workers(self) -> bool:
        """Tell whether anyone can begin; a scheduler that does not answer is taken to have workers."""
        try:
            return self._client.status != "running" or bool(self._client.nthreads())
        except OSError:
            return True

    def __str__(self) -> str:
        return f"the Dask scheduler at {self._client.scheduler.address}"


class _DaskFuture:
    """A ``distributed.Future``, which does not tell whether its call has begun."""

    def __init__(self, future: Any) -> None:  # noqa: ANN401
        self._future = future

    def result(self) -> Any:  # noqa: ANN401
        return self._future.result()

    def add_done_callback(self, function: Callable[[Any], object], /) -> None:
        self._future.add_done_callback(function)

    def cancel(self) -> bool:
        if self._future.done():
            return False
        # without its scheduler, it is given up too
        with suppress(Exception):
            self._future.cancel()
        return True


@contextmanager
def dask_scheduler(address: str | None) -> Iterator[None]:
    """While the body runs, have an active ``distributed.Client`` of the scheduler at an address, if one is given.

    Raises
    ------
    MissingExtraError
        Without the extra ``dask``.
    OSError
        If no scheduler answers there.
    """
    if address is None:
        yield
        return
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("distributed", "dask") from error
    try:
        # one that fails must not stay behind as the default
        client: Any = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise OSError(f"no Dask scheduler answers at {address}: {error}") from error
    with client, client.as_current():
        yield


def map_units(
    function: Callable[[Unit], Result], units: Sequence[Unit], *, executor: Executor | None
) -> Generator[tuple[int, Result | Exception]]:
    """Apply a function to units and yield each unit's place and result as they are done.

    When no more results are wanted (the generator is closed) or :func:`stop_asked`, units that have not begun are
    given up; those that have are waited for, and their results yielded if a stop was asked for. Dask does not tell
    which have begun: its workers end them, and nobody waits.

    Parameters
    ----------
    function
        Importable by name where the executor has other processes.
    units
        Picklable.
    executor
        Of :func:`active_executor`; ``None``: this thread, one unit after the other.

    Yields
    ------
    number, result
        The unit's place in `units`, and what the function returned, or the exception that it raised.
    """
    if executor is None:
        for number, unit in enumerate(units):
            if stop_asked():
                return
            try:
                outcome: Result | Exception = function(unit)
            except Exception as error:
                outcome = error
            yield number, outcome
        return
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    submitted: dict[int, Future[Result]] = {}
    try:
        for number, unit in enumerate(units):
            submitted[number] = executor.submit(function, unit)
            submitted[number].add_done_callback(partial(_put, ended, number))
        stopping = told = False
        ended_last = time.monotonic()
        while submitted:
            if stop_asked() and not stopping:
                stopping = True
                for number in [number for number, future in submitted.items() if future.cancel()]:
                    del submitted[number]
                continue
            try:
                # a signal's handler runs between two waits
                number = ended.get(timeout=0.5)
            except queue.Empty:
                if not told and time.monotonic() > ended_last + waiting.PATIENCE:
                    ended_last = time.monotonic()
                    told = _said_without_workers(executor)
                continue
            ended_last = time.monotonic()
            future = submitted.pop(number, None)
            if future is None:
                continue
            try:
                outcome = future.result()
            except Exception as error:
                outcome = error
            yield number, outcome
    finally:
        begun = [future for future in submitted.values() if not future.cancel()]
        for future in begun:
            try:
                future.result()
            except Exception:  # noqa: S112 - nobody wants to know any more
                continue


def _said_without_workers(executor: Executor) -> bool:
    """Say that nobody can begin, if that is so; tell whether it is."""
    if not isinstance(executor, _OnDask) or executor.has_workers():
        return False
    waiting.say_waiting(f"{executor} has no workers yet; start some with: dask worker")
    return True


def _put(ended: queue.SimpleQueue[int], number: int, future: object) -> None:
    ended.put(number)


_STOP = threading.Event()


def stop_asked() -> bool:
    """Tell whether the process was asked to stop after the units in flight."""
    return _STOP.is_set()


@contextmanager
def finish_on_sigterm() -> Iterator[None]:
    """While the body runs, let SIGTERM ask to stop after the units in flight (:func:`stop_asked`)."""

    def ask(number: int, frame: FrameType | None) -> None:
        _STOP.set()

    earlier = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
        _STOP.clear()
