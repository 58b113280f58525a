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
    from typing import Self

    import numpy.typing as npt

    from bulkgen.kernels.protocol import Int64Array

    BoolArray = npt.NDArray[np.bool_]

__all__ = [
    "BUCKET_ENTRIES",
    "Bucket",
    "alone_in",
    "bucket_numbers",
    "buckets_of",
    "gathered",
    "least_bytes",
    "read_bucket",
    "write_part",
]

#: Stored entries of a bucket: 128 MiB as int32 twice, and less when its groups are summed.
BUCKET_ENTRIES = 1 << 24
#: Of a bucket in a file: its place, rows, stored entries, and the bytes of a column and of a value.
_INDEX_FIELDS = 5
#: The types of :func:`bulkgen.io.smallest_integers` by their bytes.
_INTEGERS = {1: np.uint8, 2: np.uint16, 4: np.int32, 8: np.int64}


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

    @classmethod
    def of(cls, first: int, last: int, members: Int64Array, offsets: Int64Array) -> Self:
        """Make the bucket of some groups, given their cells by group and the offsets of all groups."""
        cells = np.sort(members)
        return cls(first, last, cells, np.searchsorted(cells, members), offsets[first : last + 1] - offsets[first])


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
        found.append(Bucket.of(first, last, rows[offsets[first] : offsets[last]], offsets))
        first = last
    return found


def bucket_numbers(buckets: list[Bucket], n_cells: int) -> Int64Array:
    """Return the bucket of each cell; ``len(buckets)`` for cells in no group."""
    numbers = np.full(n_cells, len(buckets), np.int64)
    for number, bucket in enumerate(buckets):
        numbers[bucket.cells] = number
    return numbers


def alone_in(buckets: list[Bucket]) -> BoolArray:
    """Say which buckets are of one group: what a block has of its cells is set aside as their sum.

    Those are the groups that are too large to be gathered, in buckets of their own.
    """
    return np.array([bucket.last - bucket.first == 1 for bucket in buckets], bool)


def gathered(
    blocks: Iterable[tuple[int, sp.csr_matrix]],
    buckets: list[Bucket],
    *,
    shape: tuple[int, int],
    folder: Path | None = None,
    entries: int = 0,
) -> Generator[tuple[Bucket, sp.csr_matrix]]:
    """Read blocks of cells once and yield each bucket with its cells, in the order of the buckets.

    A matrix of cells holds until the next is asked for. Cells of a bucket of one group (:func:`alone_in`) have become
    sums of some of them, and rows without entries.

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
    bucket_of, alone = bucket_numbers(buckets, shape[0]), alone_in(buckets)
    with Spill(folder, least=least_bytes(entries, shape[1])) as spill:
        held = np.zeros(len(buckets), np.int64)
        dtype: type[np.integer[Any]] = np.int32
        for first, block in blocks:
            here, values_type = _set_aside(spill, block, bucket_of[first : first + block.shape[0]], alone)
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


def least_bytes(entries: int, n_columns: int) -> int:
    """Return the bytes that so many stored entries take at least when they are set aside."""
    # one for a value, and as few for a column as hold it
    return entries * (1 + smallest_integers(np.empty(0, np.int32), n_columns - 1).itemsize)


def write_part(
    path: Path, blocks: Iterable[tuple[int, sp.csr_matrix]], bucket_of: Int64Array, alone: BoolArray
) -> None:
    """Set the rows of some blocks aside in a file, ordered by bucket: what :func:`read_bucket` gathers.

    Parameters
    ----------
    path
        The file.
    blocks
        As of :func:`gathered`, consecutive.
    bucket_of
        Bucket of each of their cells.
    alone
        From :func:`alone_in`, of all buckets.
    """
    n_buckets = alone.size
    index = np.zeros((n_buckets, _INDEX_FIELDS), np.int64)
    done = 0
    with Spill(path.parent) as spill, path.open("wb") as file:
        for _, block in blocks:
            _set_aside(spill, block, bucket_of[done : done + block.shape[0]], alone)
            done += block.shape[0]
        file.seek(index.nbytes)
        for bucket in range(n_buckets):
            segments = list(spill.read(bucket))
            if segments:
                arrays = [np.concatenate(parts) for parts in zip(*segments, strict=True)]
                _, columns, values = arrays
                index[bucket] = file.tell(), arrays[0].size, columns.size, columns.itemsize, values.itemsize
                for array in arrays:
                    file.write(array.data)
        file.seek(0)
        file.write(index.data)


def read_bucket(paths: Iterable[Path], number: int, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return the rows of a bucket, in the order of the files of :func:`write_part`; as of :func:`gathered`."""
    segments = []
    wide = False
    for path in paths:
        with path.open("rb") as file:
            file.seek(number * _INDEX_FIELDS * 8)
            place, rows, entries, column_bytes, value_bytes = np.fromfile(file, np.int64, _INDEX_FIELDS).tolist()
            if rows:
                wide = wide or value_bytes == 8
                file.seek(place)
                segments.append(
                    [
                        np.fromfile(file, np.int32, rows),
                        np.fromfile(file, _INTEGERS[column_bytes], entries),
                        np.fromfile(file, _INTEGERS[value_bytes], entries),
                    ]
                )
    n_entries = sum(segment[1].size for segment in segments)
    indices, data = np.empty(n_entries, np.int32), np.empty(n_entries, np.int64 if wide else np.int32)
    return _joined(segments, shape, indices, data)


def _set_aside(
    spill: Spill, block: sp.csr_matrix, bucket_of: Int64Array, alone: BoolArray
) -> tuple[Int64Array, np.dtype[np.generic]]:
    """Add the rows of a block to their buckets; that after the last is of cells in no group.

    Returns
    -------
    tuple
        The stored entries of each bucket, and the type that holds the values.
    """
    n_buckets = alone.size
    if alone.any():
        block, bucket_of = _with_sums(block, bucket_of, alone)
    order = np.argsort(bucket_of, kind="stable")
    ends = np.searchsorted(bucket_of[order], np.arange(n_buckets + 1))
    order = order[: ends[-1]]
    starts, stops = (pointers.astype(np.int64)[order] for pointers in (block.indptr[:-1], block.indptr[1:]))
    lengths = (stops - starts).astype(np.int32)
    within = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    columns = _ranges_of(smallest_integers(block.indices, block.shape[1] - 1), starts, stops)
    largest = int(block.data.max(initial=0))
    if largest >= 2**63:
        raise ValueError("counts of 2^63 and more are not set aside; divide the counts, or add them in memory")
    values = _ranges_of(smallest_integers(block.data, largest), starts, stops)
    for bucket in range(n_buckets):
        first, last = ends[bucket], ends[bucket + 1]
        if first < last:
            entries = slice(within[first], within[last])
            spill.append(bucket, (lengths[first:last], columns[entries], values[entries]))
    return np.diff(within[ends]), values.dtype


def _with_sums(block: sp.csr_matrix, bucket_of: Int64Array, alone: BoolArray) -> tuple[sp.csr_matrix, Int64Array]:
    """Return the rows of a block, with one sum for the rows of each bucket of one group, and their buckets."""
    together = np.append(alone, False)[bucket_of]
    if not together.any() or float(block.data.max(initial=0)) * block.shape[0] >= 2.0**63:
        return block, bucket_of
    # rows that stay have a place of their own before those of the sums
    summed, place = np.unique(bucket_of[together], return_inverse=True)
    n_kept = together.size - place.size
    places = np.cumsum(~together) - 1
    places[together] = n_kept + place
    n_rows = n_kept + summed.size
    adding = sp.csr_matrix((np.ones(places.size, np.int64), (places, np.arange(places.size))), (n_rows, places.size))
    rows = adding @ block.astype(np.int64)
    rows.sort_indices()
    return rows, np.concatenate([bucket_of[~together], summed])


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
