"""The work on a folder of shards: shared out to whoever does it, stopped and gone on with, whatever the shards hold."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from bulkgen.errors import ShardError, StoppedError
from bulkgen.io.executors import map_units, stop_asked
from bulkgen.io.resources import available_memory, free_space, require_memory, require_space, size_text
from bulkgen.io.shards import MANIFEST_FILE, ShardFolder, check_share, is_whole, size_of
from bulkgen.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bulkgen.io.executors import Executor
    from bulkgen.io.shards import ShardRecord

__all__ = ["JobOpener", "ShardJob", "Shards", "check_shard_arguments", "make_shards"]

_LOG = logging.getLogger("bulkgen")

Opened = TypeVar("Opened", covariant=True)

#: Rows that are made to see what a row takes: of a shard with the fewer, and one with the more.
_FEW, _MORE = 64, 320


@dataclass(frozen=True)
class Shards(Generic[Opened]):
    """A folder of shards.

    Attributes
    ----------
    path
        The folder.
    kind
        ``tokens`` or ``cells``.
    done, total
        Shards that are done, and all of them.
    """

    path: Path
    kind: Literal["tokens", "cells"]
    done: int
    total: int
    _open: Callable[[Path], Opened] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether all shards are done, and the folder is one data set."""
        return (self.path / MANIFEST_FILE).is_file()

    def open(self) -> Opened:
        """Open all shards as one.

        Returns
        -------
        TokenDataset
            Of tokens, as :meth:`bulkgen.TokenDataset.load` opens them.
        anndata.AnnData
            Of cells, as :func:`bulkgen.open_shards` opens them.

        Raises
        ------
        ValueError
            If they are not complete.
        """
        return self._open(self.path)


class ShardJob(Protocol):
    """What a process that makes shards keeps of their folder."""

    def write(self, path: Path, first: int, last: int, *, threads: int | None) -> tuple[int, Mapping[str, object]]:
        """Write the rows ``[first, last)`` to a file or folder; return the rows that are in it, and facts."""

    def try_out(self, path: Path, rows: int) -> int:
        """Write about so many rows that stand for all; return their number."""

    def memory(self, rows: int) -> float:
        """Return the bytes of memory that a shard of so many rows takes; 0 where that does not grow with them."""

    def texts(self, records: Sequence[ShardRecord]) -> dict[str, str]:
        """Return the files that make the shards one data set, the manifest last."""


class JobOpener(Protocol):
    """Opens the job of a folder, in any process: small and picklable."""

    def __hash__(self) -> int:
        """Return a hash: a process opens a job once."""

    def __call__(self, folder: ShardFolder, /) -> ShardJob:
        """Open it."""


@dataclass(frozen=True)
class _Unit:
    """One shard to make, for whichever process."""

    open_job: JobOpener
    folder: str
    fingerprint: str
    number: int
    threads: int | None


def check_shard_arguments(
    shard_size: int | None,
    *,
    out: str | Path | None,
    overwrite: bool,
    shard: tuple[int, int],
    of_shards: Mapping[str, object],
) -> int | None:
    """Refuse arguments that do not go together; `of_shards` are those that need a `shard_size`, by name.

    Returns
    -------
    int or None
        The `shard_size`, a plain integer whatever kind of integer was passed.

    Raises
    ------
    TypeError, ValueError
        If they do not.
    """
    if shard_size is None:
        named = [name for name, value in of_shards.items() if value]
        if named or shard != (1, 1):
            raise ValueError(f"{(*named, 'shard')[0]!r} is an argument of shards: pass shard_size= (--shard-size) too")
        return None
    if out is None or overwrite:
        raise ValueError("shards are written to a new folder: pass out=, without overwrite")
    if not is_whole(shard_size):
        raise TypeError(f"shard_size must be an integer, got {shard_size!r}")
    if shard_size < 1:
        raise ValueError(f"shard_size must be at least 1, got {shard_size}")
    check_share(shard)
    return int(shard_size)


def make_shards(
    folder: ShardFolder,
    open_job: JobOpener,
    *,
    title: str,
    shard: tuple[int, int],
    executor: Executor | None,
    threads: int | None,
    force: bool,
) -> tuple[int, int]:
    """Make what is missing of a share of the shards, and of all of them one data set if none is missing then.

    Parameters
    ----------
    folder
        That was begun.
    open_job
        Says how its shards are made.
    title
        Of the progress bar.
    shard
        ``(i, n)``: the i-th of n equal shares, from 1.
    executor
        Of :func:`bulkgen.io.executors.active_executor`.
    threads
        Of a shard; default: 1 with an executor, else the CPUs available.
    force
        Begin even if space or memory will not suffice.

    Returns
    -------
    done, total
        Shards of the folder.

    Raises
    ------
    ShardError
        If a shard could not be made; the others that are done stay.
    StoppedError
        If the process was asked to stop.
    ResourcesError
        If there is not enough space or memory, unless `force`.
    """
    plan = folder.plan
    mine = plan.share(shard)
    job = _job(open_job, str(folder.path), folder.fingerprint)
    missing = [number for number in mine if folder.record(number) is None]
    if missing:
        _check_resources(folder, job, missing, executor is not None, force=force)
    if executor is not None and threads is None:
        threads = 1
    # verified by whoever does the unit: hashing a shard takes a while too
    units = [_Unit(open_job, str(folder.path), folder.fingerprint, number, threads) for number in mine]
    done = 0
    with progress_bar(title, sum(last - first for first, last in map(plan.span, mine))) as advance:
        for place, outcome in map_units(_do, units, executor=executor):
            if isinstance(outcome, Exception):
                raise _failed(folder, mine[place], outcome) from outcome
            done += 1
            first, last = plan.span(mine[place])
            advance(last - first)
    if done < len(mine) and stop_asked():
        raise StoppedError(done, len(mine))
    records = folder.records()
    finished = [record for record in records if record is not None]
    if len(finished) == len(records):
        folder.finish(job.texts(finished))
    return len(finished), len(records)


@lru_cache(maxsize=1)
def _job(open_job: JobOpener, path: str, fingerprint: str) -> ShardJob:
    """Open a folder, once in a process; the fingerprint tells apart folders that had the same name."""
    folder = ShardFolder.open(path)
    if folder.fingerprint != fingerprint:
        raise ValueError(f"{path} holds shards of another request than when the work began")
    return open_job(folder)


def _do(unit: _Unit) -> None:
    """Make a shard, unless it is there."""
    job = _job(unit.open_job, unit.folder, unit.fingerprint)
    folder = ShardFolder.open(unit.folder)
    if folder.verified(unit.number) is None:
        first, last = folder.plan.span(unit.number)
        folder.make(unit.number, lambda path: job.write(path, first, last, threads=unit.threads))


def _failed(folder: ShardFolder, number: int, error: Exception) -> ShardError:
    """Say which shard could not be made; of an error of the system, its number stays."""
    text = (
        f"shard {folder.plan.name(number)} could not be made: {str(error) or type(error).__name__}; what is done "
        f"stays, go on with resume=True (--resume)"
    )
    failed = ShardError(text)
    if isinstance(error, OSError):
        failed.errno = error.errno
    return failed


def _check_resources(
    folder: ShardFolder,
    job: ShardJob,
    missing: Sequence[int],
    elsewhere: bool,  # noqa: FBT001
    *,
    force: bool,
) -> None:
    """Say what the missing shards will take, and refuse what there is no room for."""
    plan = folder.plan
    rows = [last - first for first, last in map(plan.span, missing)]
    tried: list[tuple[int, int]] = []
    with folder.scratch() as scratch:
        for n in (_FEW, _MORE):
            path = scratch / f"{n}{plan.suffix}"
            tried.append((job.try_out(path, min(n, plan.rows)), size_of(path)))
    (few, small), (more, large) = tried
    # what a shard takes beside its rows, such as the annotation of the genes
    per_row = (large - small) / (more - few) if more > few else small / few
    fixed = max(0.0, small - per_row * few)
    needed = int(per_row * sum(rows) + fixed * len(rows))
    text = (
        f"{sum(rows):,} cells in {len(rows):,} shards to make: about {size_text(needed)} on disk "
        f"({size_text(per_row)} a cell), {size_text(free_space(folder.path))} free"
    )
    memory, available = job.memory(max(rows)), available_memory()
    if memory:
        text += f"; {size_text(memory)} of memory a shard"
        if available is not None:
            text += f", {size_text(available)} available"
    _LOG.info(text)
    require_space(needed, folder.path, what=f"{sum(rows):,} cells", force=force)
    if not elsewhere:
        remedy = "ask for smaller shards with shard_size= (--shard-size)"
        require_memory(int(memory), what=f"a shard of {max(rows):,} cells", remedy=remedy, force=force)
