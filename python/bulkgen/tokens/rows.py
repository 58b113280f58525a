"""Rows of a count matrix, block by block, whatever holds the matrix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import CountsError
from bulkgen.io import canonical_counts, provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

__all__ = ["CELLS_PER_BLOCK", "TARGET_SUM", "row_blocks"]

#: Counts are scaled to this library size, as the reference does; the order of genes does not depend on it.
TARGET_SUM = 10_000
#: Cells encoded at once: enough work for threads, 64 MB of tokens at a context of 2,048.
CELLS_PER_BLOCK = 16_384
#: Logarithms of counts per 10,000 stay below log(10,001) = 9.2, and below 14 per million; counts do not.
LOG_LIMIT = 20
_VALUES_AT_ONCE = 2**16


def row_blocks(adata: AnnData, *, rows: int, allow_fractional: bool) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield ``(first row, block)`` of a checked count matrix.

    What is in memory is checked as a whole and its blocks are views; a backed or lazy matrix is read block by
    block, and one block is in memory at a time.

    Parameters
    ----------
    adata
        Cells × genes. `X` is a NumPy array, a SciPy sparse matrix or array, or anything whose row slices are one of
        these (backed `AnnData`, HDF5, Dask).
    rows
        Rows of a block.
    allow_fractional
        Let pass what looks log-normalised, as is done for cells that bulkgen aggregated or generated.

    Raises
    ------
    CountsError
        If values are negative, NaN or infinite, or look log-normalised.
    InvalidCsrError
        If the matrix is malformed.
    """
    X = adata.X
    if X is None:
        raise CountsError("adata has no matrix X; put the counts there, for example adata.X = adata.layers['counts']")
    if getattr(X, "format", None) == "csc" and not sp.issparse(X):
        # a backed matrix stored by column has no rows to read
        X = X.to_memory()
    cells, genes = adata.obs_names, adata.var_names
    whole: sp.csr_matrix | None = None
    if sp.issparse(X) or isinstance(X, np.ndarray):
        whole = canonical_counts(X, require_integers=False, cell_names=cells, gene_names=genes)
    guard = None if allow_fractional or _made_fractional(adata) else _LogGuard()
    for first in range(0, adata.n_obs, rows):
        last = min(first + rows, adata.n_obs)
        if whole is not None:
            block = _view(whole, first, last)
        else:
            block = X[first:last]
            block = block.compute() if hasattr(block, "compute") else block
            block = canonical_counts(block, require_integers=False, cell_names=cells[first:last], gene_names=genes)
        if guard is not None:
            guard.check(block)
        yield first, block


def _view(X: sp.csr_matrix, first: int, last: int) -> sp.csr_matrix:
    """Rows of a matrix in memory, without copying their entries."""
    start, stop = X.indptr[first], X.indptr[last]
    block = sp.csr_matrix((last - first, X.shape[1]), dtype=X.dtype)
    block.data, block.indices = X.data[start:stop], X.indices[start:stop]
    block.indptr = X.indptr[first : last + 1] - start
    return block


def _made_fractional(adata: AnnData) -> bool:
    """Whether bulkgen aggregated or generated the cells, which makes fractions; splitting does not."""
    record = provenance_of(adata)
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

    def check(self, block: sp.csr_matrix) -> None:
        if block.dtype.kind != "f":
            return
        for start in range(0, block.data.size, _VALUES_AT_ONCE):
            # counts show a large value soon, and then nothing more is read
            if self._largest >= LOG_LIMIT:
                return
            values = block.data[start : start + _VALUES_AT_ONCE]
            self._largest = max(self._largest, float(values.max()))
        if self._largest >= LOG_LIMIT:
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
