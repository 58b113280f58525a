"""Rows of counts, block by block, whatever holds them: memory, an HDF5 file, a zarr store or a Dask array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import CountsError, InvalidCsrError
from bulkgen.io.checks import canonical_counts
from bulkgen.io.hdf5_chunks import chunk_reader
from bulkgen.io.provenance import ContentDigest
from bulkgen.kernels import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from concurrent.futures import Executor

    import numpy.typing as npt

    from bulkgen.io.checks import CountMatrix, Names
    from bulkgen.kernels.protocol import Int64Array

__all__ = [
    "BLOCK_ENTRIES",
    "CountRows",
    "LazyRows",
    "MatrixRows",
    "RowUnit",
    "SelectedRows",
    "StoredRows",
    "open_group",
    "reading_ahead",
]

#: Stored entries of a block: 32 MiB of float32 and int32. Smaller ones cost more calls, larger ones no less time.
BLOCK_ENTRIES = 1 << 22
#: Share of the genes that a row is taken to express, where how many is not known before it is read.
_EXPRESSED = 1 / 8

Item = TypeVar("Item")


class RowUnit(Protocol):
    """Rows to be read, here or in another process: small, picklable, and free of open files."""

    def read(self) -> CountMatrix:
        """Return the rows as they are stored, not checked."""


class CountRows(ABC):
    """The rows of a matrix of counts (cells x genes).

    Attributes
    ----------
    shape
        Cells, genes.
    form
        How the rows are stored: ``csr`` or ``dense``.
    place
        Where they are stored, for messages; empty in memory.
    """

    shape: tuple[int, int]
    form: str
    place: str = ""

    @property
    def lengths(self) -> Int64Array | None:
        """Stored entries of each row, where they are known before the rows are read."""
        return None

    @abstractmethod
    def unit(self, first: int, last: int) -> RowUnit:
        """Return rows ``[first, last)`` as a unit of work."""

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give a function that reads rows ``[first, last)``; ranges are asked for in ascending order."""
        yield lambda first, last: self.unit(first, last).read()

    def expected_lengths(self) -> Int64Array:
        """Return the stored entries of each row: known, or guessed from the number of genes."""
        known = self.lengths
        if known is not None:
            return known
        return np.full(self.shape[0], max(1, int(self.shape[1] * _EXPRESSED)), np.int64)

    def ranges(self, rows: int | None = None, *, multiple_of: int = 1) -> list[tuple[int, int]]:
        """Cut the rows into consecutive ranges of about :data:`BLOCK_ENTRIES` stored entries at most.

        Parameters
        ----------
        rows
            Ranges end at the multiples of this number, too.
        multiple_of
            Within these, ranges have a multiple of so many rows.
        """
        n = self.shape[0]
        ends = np.concatenate([[0], np.cumsum(self.expected_lengths())])
        found = []
        first = 0
        while first < n:
            window = n if rows is None else min(n, (first // rows + 1) * rows)
            last = int(np.searchsorted(ends, ends[first] + BLOCK_ENTRIES, side="right")) - 1
            last = first + max(1, (last - first) // multiple_of) * multiple_of
            found.append((first, min(last, window)))
            first = found[-1][1]
        return found

    def stored_blocks(self, ranges: Iterable[tuple[int, int]]) -> Generator[tuple[int, CountMatrix]]:
        """Yield ``(first row, rows)`` of ranges as they are stored, the next read while one is used."""

        def read() -> Generator[tuple[int, CountMatrix]]:
            with self.reader() as rows:
                for first, last in ranges:
                    yield first, rows(first, last)

        yield from reading_ahead(read())

    def blocks(
        self,
        ranges: Iterable[tuple[int, int]] | None = None,
        *,
        require_integers: bool,
        cell_names: Names | None = None,
        gene_names: Names | None = None,
        digest: ContentDigest | None = None,
    ) -> Generator[tuple[int, sp.csr_matrix]]:
        """Yield ``(first row, block)``: checked, canonical CSR, in the order of the rows.

        Parameters
        ----------
        ranges
            From :meth:`ranges`, the default.
        require_integers, cell_names, gene_names
            As of :func:`bulkgen.io.canonical_counts`.
        digest
            Is fed with the rows as they are stored.

        Raises
        ------
        CountsError, InvalidCsrError
            As :func:`bulkgen.io.canonical_counts`.
        """
        with closing(self.stored_blocks(self.ranges() if ranges is None else ranges)) as blocks:
            for first, block in blocks:
                if digest is not None:
                    digest.add(block)
                names = None if cell_names is None else cell_names[first : first + block.shape[0]]
                try:
                    checked = canonical_counts(
                        block, require_integers=require_integers, cell_names=names, gene_names=gene_names
                    )
                except (CountsError, InvalidCsrError) as error:
                    if not self.place:
                        raise
                    raise type(error)(f"{self.place}: {error}") from error
                yield first, checked


class Reader(Protocol):
    """Reads rows ``[first, last)``."""

    def __call__(self, first: int, last: int) -> CountMatrix:
        """Return the rows as they are stored."""


def reading_ahead(items: Generator[Item]) -> Generator[Item]:
    """Yield the items of a generator, which makes the next in a thread of its own while one is used."""
    end = object()
    with ThreadPoolExecutor(1, "bulkgen-reader") as pool, closing(items):
        coming = pool.submit(next, items, end)
        try:
            while True:
                item: Any = coming.result()
                if item is end:
                    return
                coming = pool.submit(next, items, end)
                yield item
                # two at a time, not three
                del item
        finally:
            # a generator that is running cannot be closed
            coming.cancel()
            if not coming.cancelled():
                coming.exception()


@dataclass(frozen=True)
class MatrixUnit:
    """Rows in memory."""

    rows: CountMatrix

    def read(self) -> CountMatrix:
        """Return the rows."""
        return self.rows


class MatrixRows(CountRows):
    """Rows of a matrix in memory; blocks share it.

    Parameters
    ----------
    matrix
        CSR with fitting row pointers, or dense.
    """

    def __init__(self, matrix: np.ndarray | sp.csr_matrix) -> None:
        self.matrix = matrix
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self.form = "dense" if isinstance(matrix, np.ndarray) else "csr"

    @property
    def lengths(self) -> Int64Array | None:
        """Stored entries of each row."""
        return None if isinstance(self.matrix, np.ndarray) else np.diff(self.matrix.indptr).astype(np.int64)

    def unit(self, first: int, last: int) -> MatrixUnit:
        """Return rows ``[first, last)``, without copying their entries."""
        if isinstance(self.matrix, np.ndarray):
            return MatrixUnit(self.matrix[first:last])
        start, stop = self.matrix.indptr[first], self.matrix.indptr[last]
        return MatrixUnit(
            _csr(
                self.matrix.data[start:stop],
                self.matrix.indices[start:stop],
                self.matrix.indptr[first : last + 1] - start,
                self.shape[1],
            )
        )


def _csr(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Build CSR from arrays that are not checked, nor copied."""
    matrix = sp.csr_matrix((indptr.size - 1, n_columns), dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    return matrix


@contextmanager
def open_group(path: str | Path) -> Iterator[Any]:
    """Open an ``.h5ad`` file or ``.zarr`` store; its groups are alike."""
    if Path(path).suffix == ".zarr":
        import zarr

        yield zarr.open_group(str(path), mode="r")
        return
    import h5py

    with suppress(ImportError):
        # filters that HDF5 itself does not have (zstd, lz4, blosc); they register themselves
        import hdf5plugin  # type: ignore[import-not-found]  # noqa: F401
    with h5py.File(path, "r") as file:
        yield file


@dataclass(frozen=True)
class StoredUnit:
    """Rows ``[first, last)`` of a matrix in a file.

    Attributes
    ----------
    path, group
        The file or store, and the place of the matrix within.
    first, last
        The rows.
    """

    path: str
    group: str
    first: int
    last: int

    def read(self) -> CountMatrix:
        """Open the file and read the rows."""
        with _told(self.path, self.group, self.first, self.last), open_group(self.path) as root:
            place = root[self.group]
            if not hasattr(place, "keys"):
                return np.asarray(place[self.first : self.last])
            indptr = np.asarray(place["indptr"][self.first : self.last + 1]).astype(np.int64)
            start, stop = int(indptr[0]), int(indptr[-1])
            n_columns = int(place.attrs["shape" if "shape" in place.attrs else "h5sparse_shape"][1])
            return _csr(
                np.asarray(place["data"][start:stop]),
                np.asarray(place["indices"][start:stop]),
                indptr - start,
                n_columns,
            )


class StoredRows(CountRows):
    """Rows of a matrix in an ``.h5ad`` file or ``.zarr`` store, compressed by rows or dense.

    Parameters
    ----------
    path, group
        The file or store, and the place of the matrix within: ``X``, ``layers/counts``.
    span
        Only its rows ``[first, last)``, as if there were no others.

    Raises
    ------
    InvalidCsrError
        If the row pointers do not fit the entries.
    """

    def __init__(self, path: str | Path, group: str, span: tuple[int, int] | None = None) -> None:
        self.path, self.group, self.place = str(path), group, f"{path}, {group}"
        self._first = 0 if span is None else span[0]
        with open_group(self.path) as root:
            place = root[group]
            self._indptr: Int64Array | None = None
            kind = (place["data"] if hasattr(place, "keys") else place).dtype
            if kind.kind not in "biuf":
                raise CountsError(f"{self.place} holds values of the dtype {kind}, not numbers")
            for name in ("indices", "indptr") if hasattr(place, "keys") else ():
                if place[name].dtype.kind not in "iu" or len(place[name].shape) != 1:
                    raise InvalidCsrError(f"{self.place}/{name} holds {place[name].dtype}, not whole numbers in a row")
            if not hasattr(place, "keys"):
                self.form, self.shape = "dense", tuple(place.shape)
                if span is not None:
                    self.shape = (span[1] - span[0], *self.shape[1:])
                return
            shape = place.attrs["shape" if "shape" in place.attrs else "h5sparse_shape"]
            first, last = (0, int(shape[0])) if span is None else span
            self.form, self.shape = "csr", (last - first, int(shape[1]))
            indptr = np.asarray(place["indptr"][first : last + 1 if span else None]).astype(np.int64, copy=False)
            sizes = [int(place[name].shape[0]) for name in ("data", "indices")]
        fits = indptr.size == self.shape[0] + 1 and sizes == [int(indptr[-1])] * 2 and indptr[0] == 0
        # the pointers of some rows were looked at when all were
        if span is None and not fits:
            raise InvalidCsrError(
                f"{path}, {group}: {indptr.size} row pointers (indptr) from {indptr[0]} to {indptr[-1]} do not fit "
                f"{self.shape[0]} rows of {sizes[0]} stored values (data) and {sizes[1]} column indices"
            )
        falling = np.flatnonzero(indptr[1:] < indptr[:-1])
        if falling.size:
            raise InvalidCsrError(f"{path}, {group}: the row pointers (indptr) fall at row {falling[0]}")
        self._indptr = indptr

    @property
    def lengths(self) -> Int64Array | None:
        """Stored entries of each row."""
        return None if self._indptr is None else np.diff(self._indptr)

    def unit(self, first: int, last: int) -> StoredUnit:
        """Return rows ``[first, last)`` as path and range."""
        return StoredUnit(self.path, self.group, self._first + first, self._first + last)

    def part(self, first: int, last: int) -> StoredRows:
        """Return rows ``[first, last)`` as if there were no others; no pointers but theirs are read."""
        return StoredRows(self.path, self.group, (self._first + first, self._first + last))

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give a function that reads rows; every chunk of the file is read and decompressed once."""
        with (
            open_group(self.path) as root,
            ThreadPoolExecutor(resolve_threads(None), "bulkgen-chunks") as pool,
        ):
            place = root[self.group]
            indptr = self._indptr
            if indptr is None:

                def read_dense(first: int, last: int) -> np.ndarray:
                    first, last = self._first + first, self._first + last
                    with _told(self.path, self.group, first, last):
                        return np.asarray(place[first:last])

                yield read_dense
                return
            data, indices = _Ahead(place["data"], pool), _Ahead(place["indices"], pool)

            def read(first: int, last: int) -> sp.csr_matrix:
                start, stop = int(indptr[first]), int(indptr[last])
                with _told(self.path, self.group, self._first + first, self._first + last):
                    parts = data.read(start, stop), indices.read(start, stop)
                return _csr(*parts, indptr[first : last + 1] - start, self.shape[1])

            yield read


@contextmanager
def _told(path: str, group: str, first: int, last: int) -> Iterator[None]:
    """Say of what cannot be read where it is: what h5py, zarr and the decoders raise differs, and names no file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise OSError(f"{path}, {group}: rows {first} to {last - 1} cannot be read: {reason}") from error


class _Ahead:
    """Reads consecutive slices of an array on disk, and keeps what is left of the last chunk for the next."""

    def __init__(self, array: Any, pool: Executor) -> None:  # noqa: ANN401 - of h5py or zarr
        self._array, self._pool = array, pool
        self._chunk = int(array.chunks[0]) if array.chunks else 1
        self._chunk_at = chunk_reader(array)
        self._kept: npt.NDArray[Any] = np.empty(0, array.dtype)
        self._start = 0

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        end = self._start + self._kept.size
        if not self._start <= start <= end:
            self._kept, end = self._kept[:0], start
        else:
            self._kept = self._kept[start - self._start :]
        self._start = start
        if stop > end:
            aligned = min(-(-stop // self._chunk) * self._chunk, self._array.shape[0])
            values = np.empty(aligned - start, self._array.dtype)
            values[: self._kept.size] = self._kept
            self._fill(values, start, end, aligned)
            self._kept = values
        wanted = self._kept[: stop - start]
        # a copy: a view would hold on to the whole of what was read
        self._kept, self._start = self._kept[stop - start :].copy(), stop
        return wanted

    def _fill(self, values: npt.NDArray[Any], start: int, first: int, last: int) -> None:
        """Read ``[first, last)`` into the values, which begin at `start`."""
        chunk_at = self._chunk_at
        if chunk_at is not None:

            def fill(chunk: int) -> None:
                here, end = max(chunk, first), min(chunk + self._chunk, last)
                values[here - start : end - start] = chunk_at(chunk)[here - chunk : end - chunk]

            for _ in self._pool.map(fill, range(first // self._chunk * self._chunk, last, self._chunk)):
                pass
        elif hasattr(self._array, "read_direct"):
            self._array.read_direct(values, np.s_[first:last], np.s_[first - start :])
        else:
            values[first - start :] = self._array[first:last]


@dataclass(frozen=True)
class LazyUnit:
    """Rows of something that is computed when it is asked to (Dask)."""

    rows: Any

    def read(self) -> CountMatrix:
        """Compute the rows."""
        return _computed(self.rows)


class LazyRows(CountRows):
    """Rows of anything whose slices are matrices, or compute to some: a Dask array, a backed or lazy matrix.

    Parameters
    ----------
    array
        Cells x genes.
    """

    def __init__(self, array: Any) -> None:  # noqa: ANN401 - whatever slices by rows
        self._array = array
        self.shape = (int(array.shape[0]), int(array.shape[1]))
        self._chunks: Int64Array | None = None
        chunks = getattr(array, "chunks", None)
        meta = getattr(array, "_meta", None)
        compressed = hasattr(array, "format") if meta is None else not isinstance(meta, np.ndarray)
        self.form = "csr" if compressed else "dense"
        if chunks is not None and meta is not None:
            self._chunks = np.concatenate([[0], np.cumsum(chunks[0])]).astype(np.int64)

    def unit(self, first: int, last: int) -> LazyUnit:
        """Return rows ``[first, last)``, not computed."""
        return LazyUnit(self._array[first:last])

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give a function that computes rows; every chunk is computed once."""
        chunks = self._chunks
        if chunks is None:
            yield lambda first, last: _computed(self._array[first:last])
            return
        last_computed: tuple[int, CountMatrix] | None = None

        def compute(number: int) -> CountMatrix:
            nonlocal last_computed
            if last_computed is None or last_computed[0] != number:
                last_computed = (number, _computed(self._array[int(chunks[number]) : int(chunks[number + 1])]))
            return last_computed[1]

        def read(first: int, last: int) -> CountMatrix:
            parts = []
            number = int(np.searchsorted(chunks, first, side="right")) - 1
            while number + 1 < chunks.size and chunks[number] < last:
                start = int(chunks[number])
                parts.append(compute(number)[max(first - start, 0) : last - start])
                number += 1
            if len(parts) == 1:
                return parts[0]
            if all(isinstance(part, np.ndarray) for part in parts):
                return np.concatenate(parts)
            return sp.vstack(parts, format="csr")

        yield read


def _computed(rows: Any) -> CountMatrix:  # noqa: ANN401 - lazy rows, or rows
    matrix: CountMatrix = rows.compute() if hasattr(rows, "compute") else rows
    return matrix if isinstance(matrix, np.ndarray) else sp.csr_matrix(matrix)


class SelectedRows(CountRows):
    """Rows of other rows, some columns of each.

    Parameters
    ----------
    rows
        All columns.
    columns
        The columns to take, in that order.
    """

    def __init__(self, rows: CountRows, columns: Int64Array) -> None:
        self._rows, self._columns = rows, columns
        self.shape, self.form = (rows.shape[0], columns.size), rows.form

    @property
    def lengths(self) -> Int64Array | None:
        """Stored entries of each row before columns are taken: what is read."""
        return self._rows.lengths

    def unit(self, first: int, last: int) -> SelectedUnit:
        """Return rows ``[first, last)``."""
        return SelectedUnit(self._rows.unit(first, last), self._columns)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give a function that reads rows and takes columns of them."""
        with self._rows.reader() as read:
            yield lambda first, last: read(first, last)[:, self._columns]


@dataclass(frozen=True)
class SelectedUnit:
    """Some columns of the rows of another unit."""

    unit: RowUnit
    columns: Int64Array

    def read(self) -> CountMatrix:
        """Read the rows and take the columns."""
        return self.unit.read()[:, self.columns]
