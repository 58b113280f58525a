"""Ranges of the cells in a file as units of work, whose results lie in a folder that all who do them see."""

from __future__ import annotations

import glob
import platform
import secrets
import shutil
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from bulkgen.errors import CountsError, InvalidCsrError
from bulkgen.io.cell_store import CellStore
from bulkgen.io.count_rows import BLOCK_ENTRIES
from bulkgen.io.executors import active_executor, map_units
from bulkgen.io.full_disk import full_disk_named
from bulkgen.io.provenance import PIECE, ContentDigest
from bulkgen.io.spill import place_with_room
from bulkgen.io.stored_rows import StoredRows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy.typing as npt
    import scipy.sparse as sp

    from bulkgen.io.executors import Executor

__all__ = ["CellRange", "SharedFolder", "executor_for", "map_ranges", "raise_of_worker"]

Result = TypeVar("Result")

_LOCK = "lock"

#: There are about so many ranges, unless they would have more stored entries: two gigabytes of them.
_RANGES, _MOST_ENTRIES = 64, 1 << 28


@dataclass(frozen=True)
class SharedFolder:
    """A folder in which arrays are left for others, and results by them; units name it, and hold no array."""

    path: str

    def save(self, name: str, **arrays: npt.NDArray[np.generic]) -> None:
        """Leave arrays under a name, whole or not at all; the same may be left twice."""
        for array_name, array in arrays.items():
            with self.file(f"{name}.{array_name}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, array)

    def load(self, name: str, array_name: str) -> npt.NDArray[Any]:
        """Return an array that was left, mapped into memory."""
        found: npt.NDArray[Any] = np.load(self.place(f"{name}.{array_name}.npy"), mmap_mode="r")
        return found

    def remove(self, name: str) -> None:
        """Remove the arrays of a name."""
        for place in Path(self.path).glob(f"{name}.*.npy"):
            place.unlink()

    def place(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return Path(self.path) / name

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Yield a temporary path, which becomes the file of that name."""
        temporary = self.place(f"{secrets.token_hex(8)}-{name}")
        try:
            with full_disk_named(self.place(name)):
                yield temporary
            temporary.replace(self.place(name))
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    @contextmanager
    def make(cls, within: Path | None, *, least: int = 0) -> Iterator[SharedFolder]:
        """Make a folder within another (default: that of temporary files), and remove it in the end.

        Those of processes that were killed are removed first; then there must be room for at least so many bytes.

        Raises
        ------
        ResourcesError
            If there is not so much room.
        """
        # the locks of some file systems are known to one machine alone
        prefix = f".bulkgen-{platform.node()}-"
        parent = place_with_room(within, 0).absolute()
        for left in parent.glob(f"{glob.escape(prefix)}*"):
            _remove_left(left)
        place_with_room(within, least)
        path = parent / f"{prefix}{secrets.token_hex(8)}"
        path.mkdir()
        with FileLock(path / _LOCK):
            try:
                yield cls(str(path))
            finally:
                _remove(path)


def _remove_left(folder: Path) -> None:
    """Remove a folder whose process is gone: nobody holds its lock, and there is more in it than that."""
    with suppress(Timeout, OSError), FileLock(folder / _LOCK, timeout=0):
        # what was just made is not locked yet, and empty
        if any(item.name != _LOCK for item in folder.iterdir()):
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder in which others may still be at work."""
    gone = folder.with_name(f"{folder.name}-gone")
    with suppress(OSError):
        # no new files come into it under this name
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


@dataclass(frozen=True)
class CellRange:
    """Cells ``[first, last)`` of a file.

    Attributes
    ----------
    path, group
        The file, and the place of the counts within.
    first, last
        The cells.
    number
        Of the range.
    folder
        For what is large.
    """

    path: str
    group: str
    first: int
    last: int
    number: int
    folder: SharedFolder

    def blocks(
        self, digest: ContentDigest | None = None, *, require_integers: bool
    ) -> Generator[tuple[int, sp.csr_matrix]]:
        """Yield ``(first cell, block)`` as :meth:`bulkgen.io.CellStore.blocks` does; cells are those of the file."""
        for first, block in self.rows().blocks(require_integers=require_integers, digest=digest):
            yield self.first + first, block

    def rows(self) -> StoredRows:
        """Open the cells."""
        return StoredRows(self.path, self.group, (self.first, self.last))


def executor_for(cells: CellStore, executor: object | None) -> Executor | None:
    """Return the executor for work on cells: as :func:`bulkgen.io.executors.active_executor`, for cells in a file.

    Raises
    ------
    ValueError
        If an executor was passed for cells that are not in a file.
    """
    engine = active_executor(executor)
    if engine is None or isinstance(cells.stored, StoredRows):
        return engine
    if executor is None:
        return None
    raise ValueError(
        "an executor works on cells in a file, which every worker opens for itself: pass the path of an .h5ad file or "
        "a .zarr store with counts by rows (not CSC), or leave executor out"
    )


def map_ranges(
    function: Callable[[CellRange], tuple[list[bytes], Result]],
    cells: CellStore,
    folder: SharedFolder,
    *,
    executor: Executor,
    require_integers: bool,
) -> Generator[tuple[CellRange, Result]]:
    """Apply a function to ranges of cells, and yield what it returned as they are done; then the cells have a hash.

    Parameters
    ----------
    function
        Importable by name; returns the pieces of the range's :class:`ContentDigest`, and a small result.
    cells
        In a file.
    folder
        For what is large.
    executor
        Does the work.
    require_integers
        As the function does when it reads blocks.

    Raises
    ------
    CountsError, InvalidCsrError
        As :meth:`bulkgen.io.CellStore.blocks`.
    """
    stored = cells.stored
    assert isinstance(stored, StoredRows)
    path = str(Path(stored.path).absolute())
    units = [
        CellRange(path, stored.group, first, last, number, folder)
        for number, (first, last) in enumerate(_cut(stored.expected_lengths()))
    ]
    pieces: dict[int, list[bytes]] = {}
    for number, outcome in map_units(function, units, executor=executor):
        unit = units[number]
        if isinstance(outcome, Exception):
            if isinstance(outcome, (CountsError, InvalidCsrError)):
                _raise_with_names(cells, stored, unit, require_integers=require_integers)
            raise_of_worker(outcome)
        pieces[number], result = outcome
        yield unit, result
    cells.set_hash([piece for number in sorted(pieces) for piece in pieces[number]])


def _cut(lengths: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut cells into ranges of about equally many stored entries; all but the last end with a piece of the digest."""
    starts = np.arange(0, lengths.size, PIECE)
    before = np.concatenate([[0], np.cumsum(lengths)])[starts]
    size = min(max(int(lengths.sum()) // _RANGES, BLOCK_ENTRIES), _MOST_ENTRIES)
    number = before // size
    firsts = starts[np.concatenate([[True], number[1:] != number[:-1]])] if starts.size else starts
    return list(zip(firsts.tolist(), [*firsts[1:].tolist(), lengths.size], strict=True))


def _raise_with_names(cells: CellStore, stored: StoredRows, unit: CellRange, *, require_integers: bool) -> None:
    """Read a range that cannot be read again, for an error that names cell and gene."""
    span = slice(unit.first, unit.last)
    part = CellStore(cells.obs.iloc[span], cells.var, {}, stored=stored.part(unit.first, unit.last))
    deque(part.blocks(require_integers=require_integers), maxlen=0)


def raise_of_worker(error: Exception) -> NoReturn:
    """Raise an error of a worker; of a file that it does not find, one that says where files must lie."""
    if not isinstance(error, FileNotFoundError):
        raise error
    raise FileNotFoundError(
        f"a worker does not see {error.filename or error}; cells, output and the folder of temporary files (TMPDIR) "
        f"must be on a file system that all workers see"
    ) from error
