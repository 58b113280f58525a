"""Processes that work on tasks; one that dies loses its task and nothing else.

The pool of the standard library gives up all tasks when one process dies, as it does when the system runs out of
memory, and does not say which task it was.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext
    from multiprocessing.process import BaseProcess

__all__ = ["WorkerDied", "map_in_processes"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class WorkerDied:
    """What became of a task whose process ended.

    Attributes
    ----------
    exit_code
        Of the process; the negative number of the signal that killed it.
    seconds
        That it was at the task.
    """

    exit_code: int | None
    seconds: float

    def __str__(self) -> str:
        if self.exit_code is None or self.exit_code >= 0:
            return f"its process ended by itself, with exit code {self.exit_code}"
        name = signal.Signals(-self.exit_code).name
        hint = "; the system does that when it runs out of memory: use fewer --jobs" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"


def map_in_processes(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], *, jobs: int
) -> Generator[tuple[int, _Result | WorkerDied]]:
    """Apply a function to tasks in several processes.

    Parameters
    ----------
    function
        Must be importable by name, or otherwise picklable.
    tasks
        Picklable; started in their order.
    jobs
        Number of processes at most. They are started afresh (``spawn``), ignore Ctrl-C, and end with this one.

    Yields
    ------
    number, result
        The task's place in `tasks` and its result, as they are done.

    Raises
    ------
    Exception
        What the function raised; the other tasks are given up.
    """
    context = multiprocessing.get_context("spawn")
    waiting = deque(enumerate(tasks))
    workers: dict[Connection, _Worker[_Task]] = {}
    try:
        for _ in range(min(jobs, len(tasks))):
            worker = _Worker[_Task](function, context)
            workers[worker.connection] = worker
        while workers:
            ready = set(wait(list(workers)))
            for worker in [worker for connection, worker in workers.items() if connection in ready]:
                number = worker.task
                try:
                    outcome = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    del workers[worker.connection]
                    outcome = WorkerDied(worker.end(), worker.seconds)
                    if number is None:
                        raise RuntimeError(f"a process for --jobs could not start: {outcome}; {_GUARD}") from None
                    if waiting:
                        worker = _Worker(function, context)
                        workers[worker.connection] = worker
                else:
                    if isinstance(outcome, _Raised):
                        raise outcome.error
                    if waiting:
                        worker.start(*waiting.popleft())
                    else:
                        del workers[worker.connection]
                        worker.end()
                if number is not None:
                    yield number, outcome
    finally:
        for worker in workers.values():
            worker.end(patience=0.0)


_GUARD = 'a script has to call it under: if __name__ == "__main__":'


@dataclass(frozen=True)
class _Raised:
    """What the function raised."""

    error: Exception


class _Worker(Generic[_Task]):
    """A process with its connection and the task that it is at; it first says that it is there."""

    def __init__(self, function: Callable[[_Task], object], context: SpawnContext) -> None:
        self.connection, theirs = context.Pipe()
        self.task: int | None = None
        self.started = time.perf_counter()
        # it may want processes of its own, so it is no daemon
        self.process: BaseProcess = context.Process(target=_serve, args=(function, theirs))
        self.process.start()
        # with the only other end in the process, its death closes the connection
        theirs.close()

    def start(self, number: int, task: _Task) -> None:
        self.task, self.started = number, time.perf_counter()
        self.connection.send(task)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.started, 3)

    def end(self, *, patience: float = 2.0) -> int | None:
        """End the process, by force if it does not within so many seconds, and return its exit code."""
        self.connection.close()
        self.process.join(timeout=patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


def _serve(function: Callable[[_Task], object], connection: Connection) -> None:
    """Work on tasks until the connection closes."""
    # the terminal sends Ctrl-C to all processes; the runner decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(None)
    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            answer: object = function(task)
        except Exception as error:
            answer = _Raised(error)
        connection.send(answer)


def _end_with_parent() -> None:
    """Leave when the runner is gone: a long run would keep memory or a GPU for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
