"""Rows of counts, block by block, whatever holds them; here memory, or other rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import CountsError, InvalidCsrError
from bulkgen.io.checks import canonical_counts
from bulkgen.io.provenance import ContentDigest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from bulkgen.io.checks import CountMatrix, Names
    from bulkgen.kernels.protocol import Int64Array

__all__ = [
    "BLOCK_ENTRIES",
    "CountRows",
    "MatrixRows",
    "Reader",
    "RowUnit",
    "SelectedRows",
    "csr_of",
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
            csr_of(
                self.matrix.data[start:stop],
                self.matrix.indices[start:stop],
                self.matrix.indptr[first : last + 1] - start,
                self.shape[1],
            )
        )


def csr_of(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Build CSR from arrays that are not checked, nor copied."""
    matrix = sp.csr_matrix((indptr.size - 1, n_columns), dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    return matrix


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
