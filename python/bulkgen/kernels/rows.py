"""Room for sparse rows that kernels write one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float32Array, Int32Array, Int64Array

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Rows of a sparse matrix; `columns` and `values` may be longer than what is used.

    Attributes
    ----------
    indptr
        Row r holds entries ``indptr[r]`` to ``indptr[r + 1]``; shape (n_rows + 1,).
    columns
        Ascending within a row.
    values
        Whole counts above zero.
    """

    indptr: Int64Array
    columns: Int32Array
    values: Float32Array

    @classmethod
    def empty(cls, n_cells: int, room: int) -> Rows:
        """Make room for rows and their values."""
        return cls(np.zeros(n_cells + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.float32))

    @classmethod
    def of(cls, matrix: np.ndarray | sp.csr_matrix) -> Rows:
        """View a matrix of float32 as rows; a dense one with a value for every column."""
        if not isinstance(matrix, np.ndarray):
            return cls(matrix.indptr.astype(np.int64, copy=False), matrix.indices, matrix.data)
        n_rows, n_columns = matrix.shape
        columns = np.tile(np.arange(n_columns, dtype=np.int32), n_rows)
        return cls(np.arange(n_rows + 1, dtype=np.int64) * n_columns, columns, matrix.reshape(-1))

    @property
    def n_cells(self) -> int:
        """Rows that there is room for."""
        return self.indptr.size - 1

    def first(self, n_rows: int) -> Rows:
        """Return the same room for fewer rows."""
        return Rows(self.indptr[: n_rows + 1], self.columns, self.values)

    def to_csr(self, n_columns: int, n_rows: int | None = None) -> sp.csr_matrix:
        """Copy the first `n_rows` rows (default: all) into a matrix of their own."""
        indptr = self.indptr[: (self.n_cells if n_rows is None else n_rows) + 1]
        end = int(indptr[-1])
        matrix = sp.csr_matrix(
            (self.values[:end].copy(), self.columns[:end].copy(), indptr.copy()), shape=(indptr.size - 1, n_columns)
        )
        matrix.has_sorted_indices = True
        matrix.has_canonical_format = True
        return matrix
