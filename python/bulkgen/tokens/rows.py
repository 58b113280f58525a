"""Rows of a count matrix, block by block, whatever holds the matrix."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import CountsError
from bulkgen.io import canonical_counts, provenance_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from anndata import AnnData

    Sums: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]

__all__ = ["CELLS_PER_BLOCK", "TARGET_SUM", "collapse_columns", "row_blocks"]

#: Counts are scaled to this library size, as the reference does; the order of genes does not depend on it.
TARGET_SUM = 10_000
#: Cells encoded at once: enough work for threads, 64 MB of tokens at a context of 2,048.
CELLS_PER_BLOCK = 16_384
#: Logarithms of counts per 10,000 stay below log(10,001) = 9.2, and below 14 per million; counts do not.
LOG_LIMIT = 20


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


def collapse_columns(block: sp.csr_matrix, first_column: npt.NDArray[np.int64]) -> sp.csr_matrix:
    """Add columns of the same gene into the first of them.

    Integers are summed exactly (int64), other values as float64 in the order of the columns. Entries of all other
    columns, nearly all of a matrix, are copied once.

    Parameters
    ----------
    block
        Canonical CSR.
    first_column
        For each column the first column of its gene, itself for most.
    """
    wide = np.int64 if block.dtype.kind in "iu" else np.float64
    n_rows, n_columns = block.shape
    several = np.zeros(n_columns, dtype=bool)
    later = np.flatnonzero(first_column != np.arange(n_columns))
    several[later] = several[first_column[later]] = True
    moving = several[block.indices]
    entries = np.flatnonzero(moving)
    rows = np.searchsorted(block.indptr, entries, side="right") - 1
    keys, sums = _sum_by_key(rows * n_columns + first_column[block.indices[entries]], block.data[entries].astype(wide))
    indices, data = block.indices[~moving], block.data[~moving].astype(wide)
    removed = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n_rows))))
    indptr = block.indptr - removed
    new_rows, new_columns = np.divmod(keys, n_columns)
    places = _places(indices, indptr, new_rows, new_columns)
    result = sp.csr_matrix(block.shape, dtype=wide)
    result.indices = np.insert(indices, places, new_columns)
    result.data = np.insert(data, places, sums)
    result.indptr = indptr + np.concatenate(([0], np.cumsum(np.bincount(new_rows, minlength=n_rows))))
    return result


def _sum_by_key(keys: npt.NDArray[np.int64], values: Sums) -> tuple[npt.NDArray[np.int64], Sums]:
    """Return the sorted unique keys and the sum of each one's values."""
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(keys)))
    sums = cast("Sums", np.zeros(len(starts), dtype=values.dtype))
    # one after the other, in stored order
    np.add.at(sums, group, values)
    return keys[starts], sums


def _places(
    indices: npt.NDArray[np.int32] | npt.NDArray[np.int64],
    indptr: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Find where in its row each new column belongs: a binary search in all rows at once."""
    low, high = indptr[rows].astype(np.int64), indptr[rows + 1].astype(np.int64)
    while True:
        open_ = low < high
        if not open_.any():
            return low
        middle = (low + high) // 2
        smaller = np.zeros(len(low), dtype=bool)
        smaller[open_] = indices[middle[open_]] < columns[open_]
        low = np.where(smaller, middle + 1, low)
        high = np.where(open_ & ~smaller, middle, high)


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
        self._largest = max(self._largest, float(block.data.max(initial=0)))
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
