"""Rows of a count matrix, block by block, whatever holds the matrix."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.errors import CountsError
from bulkgen.io import MatrixRows, canonical_counts, provenance_of

if TYPE_CHECKING:
    from collections.abc import Generator

    import scipy.sparse as sp

    from bulkgen.io import CellStore, CountMatrix

__all__ = ["CELLS_PER_BLOCK", "TARGET_SUM", "fractions_are_counts", "row_blocks"]

#: Counts are scaled to this library size, as the reference does; the order of genes does not depend on it.
TARGET_SUM = 10_000
#: Cells encoded at once: enough work for threads, 64 MB of tokens at a context of 2,048.
CELLS_PER_BLOCK = 16_384
#: Logarithms of counts per 10,000 stay below log(10,001) = 9.2, and below 14 per million; counts do not.
LOG_LIMIT = 20
_VALUES_AT_ONCE = 2**16


def row_blocks(
    cells: CellStore, *, rows: int, multiple_of: int = 1, allow_fractional: bool
) -> Generator[tuple[int, sp.csr_matrix]]:
    """Yield ``(first row, block)`` of a checked count matrix.

    What is in memory is checked as a whole and its blocks are views; anything else is read block by block
    (:class:`bulkgen.io.CountRows`).

    Parameters
    ----------
    cells
        From :func:`bulkgen.open_cells`.
    rows
        Rows of a block.
    multiple_of
        Blocks on disk with very many entries are cut further, to a multiple of so many rows.
    allow_fractional
        Let pass what looks log-normalised, as is done for cells that bulkgen aggregated or generated.

    Raises
    ------
    CountsError
        If values are negative, NaN or infinite, or look log-normalised.
    InvalidCsrError
        If the matrix is malformed.
    """
    guard = None if allow_fractional or _made_fractional(cells) else _LogGuard()
    blocks = (
        _views(cells, cells.X, rows)
        if cells.X is not None
        else cells.blocks(cells.counts.ranges(rows, multiple_of=multiple_of), require_integers=False)
    )
    with closing(blocks):
        for first, block in blocks:
            if guard is not None:
                guard.check(block)
            yield first, block


def fractions_are_counts(cells: CellStore) -> bool:
    """Tell from the first block whether fractional values can be let pass in all others, whoever looks at those.

    Raises
    ------
    CountsError, InvalidCsrError
        As :func:`row_blocks`.
    """
    if _made_fractional(cells):
        return True
    guard = _LogGuard()
    with closing(cells.blocks(cells.counts.ranges(CELLS_PER_BLOCK)[:1], require_integers=False)) as blocks:
        for _, block in blocks:
            guard.check(block)
    return guard.saw_counts


def _views(cells: CellStore, X: CountMatrix, rows: int) -> Generator[tuple[int, sp.csr_matrix]]:
    """Blocks of a matrix in memory, without copying their entries."""
    whole = MatrixRows(
        canonical_counts(X, require_integers=False, cell_names=cells.obs_names, gene_names=cells.var_names)
    )
    for first in range(0, cells.n_obs, rows):
        yield first, whole.unit(first, min(first + rows, cells.n_obs)).read()


def _made_fractional(cells: CellStore) -> bool:
    """Whether bulkgen aggregated or generated the cells, which makes fractions; splitting does not."""
    record = provenance_of(cells)
    while record is not None:
        if record.get("kind") != "split":
            return True
        history = record.get("history")
        record = json.loads(history) if isinstance(history, str) else None
    return False


class _LogGuard:
    """Refuses fractional values without a single large one, which is what logarithms look like."""

    def __init__(self) -> None:
        self._largest = 0.0
        self._example: float | None = None

    @property
    def saw_counts(self) -> bool:
        return self._largest >= LOG_LIMIT

    def check(self, block: sp.csr_matrix) -> None:
        if block.dtype.kind != "f":
            return
        for start in range(0, block.data.size, _VALUES_AT_ONCE):
            # counts show a large value soon, and then nothing more is read
            if self.saw_counts:
                return
            values = block.data[start : start + _VALUES_AT_ONCE]
            self._largest = max(self._largest, float(values.max()))
        if self.saw_counts:
            return
        if self._example is None:
            fractional = np.flatnonzero(block.data % 1)
            self._example = float(block.data[fractional[0]]) if len(fractional) else None
        if self._example is not None:
            raise CountsError(
                f"X looks log-normalised: it has fractional values (first {self._example:.6g}) and none above "
                f"{self._largest:.3g}; tokens need counts. Pass the raw matrix, often adata.raw.X or a layer: "
                f"bulkgen.read(path, layer='counts'), --layer counts. If these are counts after all, for example means "
                f"of groups: allow_fractional=True (--allow-fractional)"
            )
