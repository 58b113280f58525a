"""The buffer that a sparse generator draws cells into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float32Array, Int32Array, Int64Array

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """A chunk of cells in compressed rows, filled by a kernel and used again for the next chunk.

    Attributes
    ----------
    indptr
        Shape (cells + 1,): cell c has the entries ``indptr[c]`` to ``indptr[c + 1]``.
    columns
        Genes of the entries, ascending in each cell; its size is the room.
    values
        Whole counts of at least 1.
    """

    indptr: Int64Array
    columns: Int32Array
    values: Float32Array

    @classmethod
    def empty(cls, n_cells: int, room: int) -> Rows:
        """Allocate for at most `n_cells` cells with together `room` entries; one cell needs at most its genes."""
        return cls(np.zeros(n_cells + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.float32))

    @property
    def n_cells(self) -> int:
        """Cells that can be drawn at once."""
        return self.indptr.size - 1

    def to_csr(self, n_genes: int, n_cells: int | None = None) -> sp.csr_matrix:
        """Copy the first `n_cells` cells (default: all) into a matrix of their own."""
        import scipy.sparse as sp

        indptr = self.indptr[: (self.n_cells if n_cells is None else n_cells) + 1]
        end = indptr[-1]
        matrix = sp.csr_matrix(
            (self.values[:end].copy(), self.columns[:end].copy(), indptr.copy()), shape=(indptr.size - 1, n_genes)
        )
        matrix.has_sorted_indices = True
        matrix.has_canonical_format = True
        return matrix
