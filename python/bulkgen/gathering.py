"""Cells of a group lie all over a store: they are gathered bucket by bucket, each a range of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
) -> Generator[tuple[Bucket, sp.csr_matrix]]:
    """Read blocks of cells once and yield each bucket with its cells, in the order of the buckets.

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
    """
    bucket_of = np.full(shape[0], len(buckets), np.int64)
    for number, bucket in enumerate(buckets):
        bucket_of[bucket.cells] = number
    with Spill(folder) as spill:
        for first, block in blocks:
            _set_aside(spill, block, bucket_of[first : first + block.shape[0]], n_buckets=len(buckets))
        numbers = range(len(buckets))
        matrices = reading_ahead(_joined(list(spill.read(number)), shape[1]) for number in numbers)
        yield from zip(buckets, matrices, strict=True)


def _set_aside(spill: Spill, block: sp.csr_matrix, bucket_of: Int64Array, *, n_buckets: int) -> None:
    """Add the rows of a block to their buckets; bucket ``n_buckets`` is of cells in no group."""
    order = np.argsort(bucket_of, kind="stable")
    ends = np.searchsorted(bucket_of[order], np.arange(n_buckets + 1))
    largest = int(block.data.max(initial=0))
    ordered = block if n_buckets == 1 and ends[-1] == order.size else block[order]
    columns = smallest_integers(ordered.indices, block.shape[1] - 1)
    values = smallest_integers(ordered.data, largest)
    lengths = np.diff(ordered.indptr).astype(np.int32)
    for bucket in range(n_buckets):
        first, last = ends[bucket], ends[bucket + 1]
        if first < last:
            entries = slice(ordered.indptr[first], ordered.indptr[last])
            spill.append(bucket, (lengths[first:last], columns[entries], values[entries]))


def _joined(segments: list[list[np.ndarray]], n_columns: int) -> sp.csr_matrix:
    """Rows of a bucket in the types of the kernels."""
    if not segments:
        return sp.csr_matrix((0, n_columns), dtype=np.int32)
    lengths, columns, values = zip(*segments, strict=True)
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
    wide = any(part.dtype == np.int64 for part in values)
    matrix = sp.csr_matrix((indptr.size - 1, n_columns), dtype=np.int64 if wide else np.int32)
    matrix.indptr = indptr
    matrix.indices = np.concatenate(columns, dtype=np.int32)
    matrix.data = np.concatenate(values, dtype=matrix.dtype)
    return matrix
