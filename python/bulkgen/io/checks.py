"""Count matrices: one canonical form, checked before any work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import scipy.sparse as sp

from bulkgen.errors import CountsError, InvalidCsrError
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.kernels.protocol import CsrReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from bulkgen.kernels.protocol import Float64Array

__all__ = ["CountMatrix", "Names", "canonical_counts", "compressed_counts", "is_integral", "library_sizes"]

#: What the functions of bulkgen take as a matrix of counts: cells x genes.
CountMatrix: TypeAlias = "np.ndarray | sp.spmatrix | sp.sparray"
#: Names of cells or genes.
Names: TypeAlias = "Sequence[str] | pd.Index[str]"

_KERNEL_TYPES = (np.float32, np.float64, np.int32, np.int64)
_ENTRIES_WORTH_THREADS = 1 << 20
_RAW = "pass raw counts, often a layer (bulkgen.read(path, layer='counts'), --layer counts) or adata.raw.to_adata()"
_LOG_HINT = f"; the matrix looks log-normalised: {_RAW}"
_SCALED_HINT = f"; if it is normalised (CPM), {_RAW}; expected counts (RSEM, salmon) are to be rounded first"


def canonical_counts(
    X: CountMatrix,
    *,
    require_integers: bool,
    cell_names: Names | None = None,
    gene_names: Names | None = None,
) -> sp.csr_matrix:
    """Check a matrix of counts and return it as CSR with sorted, unique columns.

    Parameters
    ----------
    X
        Cells x genes; dense, CSR, CSC or any other SciPy format, of any number type. Never changed; the result shares
        memory with it where it is canonical already.
    require_integers
        Refuse fractional values (of any number type: whole numbers stored as floats are fine).
    cell_names, gene_names
        Used in messages; default: positions.

    Returns
    -------
    scipy.sparse.csr_matrix
        Values of type float32, float64, int32 or int64. Explicit zeros are kept.

    Raises
    ------
    CountsError
        For negative, NaN, infinite or (where integers are required) fractional values, naming the first.
    InvalidCsrError
        For row pointers or column indices out of order or range.
    TypeError
        For values that are no numbers.
    """
    matrix = _as_csr(X)
    report = _check(matrix)

    def where(entry: int) -> str:
        row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
        column = int(matrix.indices[entry])
        cell = row if cell_names is None else repr(str(cell_names[row]))
        gene = column if gene_names is None else repr(str(gene_names[column]))
        return f"cell {cell}, gene {gene} holds {matrix.data[entry]}"

    if report.not_finite >= 0:
        raise CountsError(f"counts must be finite, but {where(report.not_finite)}")
    if report.negative >= 0:
        hint = f"; the matrix looks scaled: {_RAW}" if report.fractional >= 0 else ""
        raise CountsError(f"counts must not be negative, but {where(report.negative)}{hint}")
    if require_integers and report.fractional >= 0:
        hint = _LOG_HINT if report.largest < 30 else _SCALED_HINT
        raise CountsError(f"counts must be whole numbers, but {where(report.fractional)}{hint}")
    if report.unsorted_row >= 0:
        if not isinstance(X, np.ndarray) and X.format == "csr":
            matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def compressed_counts(X: CountMatrix) -> sp.csr_matrix:
    """Return a matrix as CSR whose row pointers fit its entries, the entries unchecked.

    For kernels that check every row as they add it (:func:`bulkgen.grouped.aggregate_counts`).

    Raises
    ------
    InvalidCsrError
        For row pointers out of order or range.
    TypeError
        For values that are no numbers.
    """
    matrix = _as_csr(X)
    _check_lengths(matrix)
    indptr = matrix.indptr
    if indptr[0] != 0 or indptr[-1] != matrix.data.size or bool(np.any(indptr[:-1] > indptr[1:])):
        _check(matrix)
    return matrix


def is_integral(matrix: sp.csr_matrix) -> bool:
    """Whether every stored value is a whole number (of a matrix that passed :func:`canonical_counts`)."""
    return bool(np.issubdtype(matrix.dtype, np.integer)) or _check(matrix).fractional < 0


def library_sizes(matrix: sp.csr_matrix) -> Float64Array:
    """Return the total counts of each cell, shape (n_cells,)."""
    # matrix.sum() would add float32 counts in float32, whatever dtype is asked for
    return np.asarray(matrix @ np.ones(matrix.shape[1]), dtype=np.float64)


def _check(matrix: sp.csr_matrix, *, row: str = "row", column: str = "column") -> CsrReport:
    """Report on the values of a matrix with compressed rows, whose structure is checked first."""
    _check_lengths(matrix, row=row, column=column)
    n_rows, n_columns = matrix.shape
    indptr = matrix.indptr.astype(np.int64, copy=False)
    reports: list[CsrReport] = []

    def check(first: int, last: int) -> None:
        reports.append(
            get_kernels().check_csr(
                indptr, matrix.indices, matrix.data, n_columns=n_columns, first_row=first, last_row=last
            )
        )

    # starting threads costs more than a small matrix does; its pointers are not known to be fit for weights
    parallel_ranges(check, n_rows, threads=None if matrix.data.size > _ENTRIES_WORTH_THREADS else 1)
    report = _joined(reports)
    if report.bad_pointer_row >= 0:
        raise InvalidCsrError(
            f"the {row} pointers (indptr) are not monotone from 0 to the number of stored entries, first at {row} "
            f"{report.bad_pointer_row}"
        )
    if report.bad_index >= 0:
        raise InvalidCsrError(
            f"stored entry {report.bad_index} has {column} {matrix.indices[report.bad_index]}, but the matrix has "
            f"{n_columns} {column}s"
        )
    return report


def _check_lengths(matrix: sp.csr_matrix, *, row: str = "row", column: str = "column") -> None:
    n_rows = matrix.shape[0]
    if matrix.indptr.size != n_rows + 1:
        raise InvalidCsrError(
            f"{matrix.indptr.size} {row} pointers (indptr) for {n_rows} {row}s, but one more is needed"
        )
    if matrix.indices.size != matrix.data.size:
        raise InvalidCsrError(f"{matrix.indices.size} {column} indices for {matrix.data.size} stored values (data)")


def _joined(reports: list[CsrReport]) -> CsrReport:
    """Join the reports on ranges of rows: the first offender of each kind, the largest value."""
    places = np.array([report[:6] for report in reports], np.int64).reshape(-1, 6)
    last = np.iinfo(np.int64).max
    first = np.where(places < 0, last, places).min(axis=0, initial=last)
    largest = max((report.largest for report in reports), default=0.0)
    return CsrReport._make([*(-1 if place == last else int(place) for place in first), largest])


def _as_csr(X: CountMatrix) -> sp.csr_matrix:
    if not (isinstance(X, np.ndarray) or sp.issparse(X)):
        raise TypeError(
            f"counts must be a NumPy array or a SciPy sparse matrix, got {type(X).__name__}; "
            "a backed AnnData is read into memory with .to_memory()"
        )
    if X.ndim != 2:
        raise ValueError(f"counts must have two dimensions (cells x genes), got {X.ndim}")
    if X.dtype.kind not in "biuf":
        raise TypeError(f"counts must be numbers, got values of type {X.dtype}")
    if isinstance(X, np.ndarray):
        # SciPy has no sparse float16, nor foreign byte orders
        native = X.dtype.isnative and X.dtype != np.float16
        return _compressed(sp.csr_matrix(X if native else X.astype(_kernel_type(X.dtype))))
    if X.format == "csr":
        return _compressed(X)
    if X.format == "csc":
        transposed = _compressed(X, shape=X.shape[::-1])
        # SciPy's conversion trusts the structure, and would write where a wrong index points
        _check(transposed, row="column", column="row")
        return transposed.T.tocsr()
    # first to its kernel type: duplicate entries are added in the type of the values
    return sp.csr_matrix(X.astype(_kernel_type(X.dtype), copy=False))


def _compressed(X: sp.spmatrix | sp.sparray, *, shape: tuple[int, int] | None = None) -> sp.csr_matrix:
    """Give the arrays of a compressed matrix, shared where their types allow it, to a CSR matrix."""
    matrix = sp.csr_matrix(X.shape if shape is None else shape, dtype=np.int32)
    # set directly: the constructor would copy, or hide a malformed structure behind its own message
    matrix.data = np.ascontiguousarray(X.data, _kernel_type(X.data.dtype))
    wide = X.indices.dtype.type is not np.int32
    matrix.indices = np.ascontiguousarray(X.indices, np.int64 if wide else np.int32)
    matrix.indptr = np.ascontiguousarray(X.indptr)
    return matrix


def _kernel_type(dtype: np.dtype[np.generic]) -> type[np.generic]:
    """Return the smallest kernel type that holds every value of a number type."""
    if dtype.type in _KERNEL_TYPES:
        return dtype.type
    if dtype.kind == "f":
        return np.float32 if dtype.itemsize <= 4 else np.float64
    return np.int32 if dtype.itemsize < 4 else np.int64
