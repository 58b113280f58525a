"""What the kernels that rank genes need to know of the columns: where rows of counts meet tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float64Array, Int32Array

__all__ = ["RowEncoding"]


@dataclass(frozen=True)
class RowEncoding:
    """Tokens of the columns and limits of a row, as ``row_encoder.hpp`` describes them.

    Attributes
    ----------
    token
        Token of each column's gene, -1 for none; shape (columns,).
    median
        Median of each column's gene, > 0; shape (columns,).
    first_column
        For each column the first column of the same gene; empty where no gene has two.
    most_genes
        Genes kept of a cell, special tokens not counted.
    cls, eos
        Tokens put first and last; -1 for none.
    """

    token: Int32Array
    median: Float64Array
    first_column: Int32Array
    most_genes: int
    cls: int
    eos: int

    def room(self, n_entries: int) -> int:
        """Return the most tokens that a row of so many entries can have."""
        return min(n_entries, self.most_genes) + (self.cls >= 0) + (self.eos >= 0)
