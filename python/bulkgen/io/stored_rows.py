"""Rows of counts in an HDF5 file or a zarr store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bulkgen.errors import CountsError, InvalidCsrError
from bulkgen.io.count_rows import CountRows, csr_of
from bulkgen.io.hdf5_chunks import chunk_reader
from bulkgen.kernels import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    import numpy.typing as npt
    import scipy.sparse as sp

    from bulkgen.io.checks import CountMatrix
    from bulkgen.io.count_rows import Reader
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["StoredRows", "open_group"]


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
            return csr_of(
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
                return csr_of(*parts, indptr[first : last + 1] - start, self.shape[1])

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
        self._held = 0
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
            self._kept, self._held = values, values.size
        wanted, self._kept, self._start = self._kept[: stop - start], self._kept[stop - start :], stop
        # a view holds on to the whole of what was read; a copy each time would be quadratic in a chunk of many slices
        if 2 * self._kept.size <= self._held:
            self._kept, self._held = self._kept.copy(), self._kept.size
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
