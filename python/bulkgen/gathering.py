"""Cells of a group lie all over a store: they are gathered bucket by bucket, each a range of groups."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from bulkgen.io import Spill, reading_ahead, smallest_integers

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from bulkgen.kernels.protocol import Int64Array

__all__ = ["BUCKET_ENTRIES", "Bucket", "buckets_of", "gathered"]

#: Stored entries of a bucket: 128 MiB as int32 twice, and less when its groups are summed.
BUCKET_ENTRIES = 1 << 24


@dataclass(frozen=True)
class Bucket:
    """Consecutive groups and their cells.

    Attributes
    ----------
    first, last
        Groups ``[first, last)``.
    cells
        Their cells, ascending.
    rows, offsets
        As of :class:`bulkgen.splits.Groups`, within the bucket: rows are places in `cells`.
    """

    first: int
    last: int
    cells: Int64Array
    rows: Int64Array
    offsets: Int64Array


def buckets_of(
    rows: Int64Array, offsets: Int64Array, lengths: Int64Array, *, entries_per_group: int = 0
) -> list[Bucket]:
    """Cut groups into buckets of about :data:`BUCKET_ENTRIES` stored entries.

    Parameters
    ----------
    rows, offsets
        As of :class:`bulkgen.splits.Groups`.
    lengths
        Stored entries of each cell, shape (n_cells,).
    entries_per_group
        Entries that a group takes at least: its dense row.
    """
    n_groups = offsets.size - 1
    within = np.concatenate([[0], np.cumsum(lengths[rows])])[offsets]
    weights = np.maximum(np.diff(within), entries_per_group)
    ends = np.concatenate([[0], np.cumsum(weights)])
    found = []
    first = 0
    while first < n_groups:
        last = int(np.searchsorted(ends, ends[first] + BUCKET_ENTRIES, side="right")) - 1
        last = max(first + 1, last)
        here = rows[offsets[first] : offsets[last]]
        cells = np.sort(here)
        found.append(
            Bucket(first, last, cells, np.searchsorted(cells, here), offsets[first : last + 1] - offsets[first])
        )
        first = last
    return found


def gathered(
    blocks: Iterable[tuple[int, sp.csr_matrix]],
    buckets: list[Bucket],
    *,
    shape: tuple[int, int],
    folder: Path | None = None,
    entries: int = 0,
) -> Generator[tuple[Bucket, sp.csr_matrix]]:
    """Read blocks of cells once and yield each bucket with its cells, in the order of the buckets.

    A matrix of cells holds until the next is asked for.

    What is read is set aside in the smallest types that hold it (three bytes an entry where counts are below 256 and
    genes below 65,536), in memory or, where it is more, in a temporary file.

    Parameters
    ----------
    blocks
        ``(first cell, block)``, whole counts in canonical CSR.
    buckets
        From :func:`buckets_of`.
    shape
        Cells and genes of all blocks.
    folder
        Of the temporary file.
    entries
        Stored entries of the cells of all buckets, where they are known before: room for them is looked for.

    Raises
    ------
    ResourcesError
        If there is no room for what is to be set aside.
    """
    bucket_of = np.full(shape[0], len(buckets), np.int64)
    for number, bucket in enumerate(buckets):
        bucket_of[bucket.cells] = number
    # a byte for a value, and as few for a column as hold it
    smallest = 1 + smallest_integers(np.empty(0, np.int32), shape[1] - 1).itemsize
    with Spill(folder, least=entries * smallest) as spill:
        held = np.zeros(len(buckets), np.int64)
        dtype: type[np.integer[Any]] = np.int32
        for first, block in blocks:
            here, values_type = _set_aside(
                spill, block, bucket_of[first : first + block.shape[0]], n_buckets=len(buckets)
            )
            held += here
            dtype = np.int64 if values_type == np.int64 else dtype
        most = int(held.max(initial=0))
        # one is filled while the other is used; memory that is given back takes longer to get again than to fill
        rooms = cycle([(np.empty(most, np.int32), np.empty(most, dtype)) for _ in range(2)])
        matrices = reading_ahead(
            _joined(spill.read(number), (bucket.cells.size, shape[1]), *room)
            for (number, bucket), room in zip(enumerate(buckets), rooms, strict=False)
        )
        yield from zip(buckets, matrices, strict=True)


def _set_aside(
    spill: Spill, block: sp.csr_matrix, bucket_of: Int64Array, *, n_buckets: int
) -> tuple[Int64Array, np.dtype[np.generic]]:
    """Add the rows of a block to their buckets; bucket ``n_buckets`` is of cells in no group.

    Returns
    -------
    tuple
        The stored entries of each bucket, and the type that holds the values.
    """
    order = np.argsort(bucket_of, kind="stable")
    ends = np.searchsorted(bucket_of[order], np.arange(n_buckets + 1))
    order = order[: ends[-1]]
    starts, stops = (pointers.astype(np.int64)[order] for pointers in (block.indptr[:-1], block.indptr[1:]))
    lengths = (stops - starts).astype(np.int32)
    within = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    columns = _ranges_of(smallest_integers(block.indices, block.shape[1] - 1), starts, stops)
    values = _ranges_of(smallest_integers(block.data, int(block.data.max(initial=0))), starts, stops)
    for bucket in range(n_buckets):
        first, last = ends[bucket], ends[bucket + 1]
        if first < last:
            entries = slice(within[first], within[last])
            spill.append(bucket, (lengths[first:last], columns[entries], values[entries]))
    return np.diff(within[ends]), values.dtype


def _ranges_of(values: np.ndarray, starts: Int64Array, stops: Int64Array) -> np.ndarray:
    """Return ranges of an array end to end."""
    # faster than an index of every entry by far
    raw, size = values.view(np.uint8).data, values.itemsize
    ranges = zip((starts * size).tolist(), (stops * size).tolist(), strict=True)
    return np.frombuffer(b"".join([raw[start:stop] for start, stop in ranges]), values.dtype)


def _joined(
    segments: Iterable[list[np.ndarray]], shape: tuple[int, int], indices: np.ndarray, data: np.ndarray
) -> sp.csr_matrix:
    """Rows of a bucket in arrays that have the types of the kernels, and room."""
    indptr = np.zeros(shape[0] + 1, np.int64)
    row = entry = 0
    for lengths, columns, values in segments:
        indptr[row + 1 : row + 1 + lengths.size] = lengths
        indices[entry : entry + columns.size] = columns
        data[entry : entry + values.size] = values
        row, entry = row + lengths.size, entry + columns.size
    matrix = sp.csr_matrix(shape, dtype=data.dtype)
    matrix.indptr, matrix.indices, matrix.data = np.cumsum(indptr), indices[:entry], data[:entry]
    return matrix
