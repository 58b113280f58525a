"""Rows of counts that are computed when they are read: of a Dask array, a backed or a lazy matrix."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from bulkgen.io.count_rows import CountRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.io.checks import CountMatrix
    from bulkgen.io.count_rows import Reader
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["LazyRows"]


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
