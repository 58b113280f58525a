"""Sums of the counts of groups of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.grouped import GroupedRows, aggregate_counts
from bulkgen.kernels import get_kernels

if TYPE_CHECKING:
    from bulkgen.grouped import SumType
    from bulkgen.io import CountMatrix, Names
    from bulkgen.splits import Groups

__all__ = ["group_sums"]

#: Sums of few groups (32 MiB) are made dense, whose threads can share a group, and compressed.
_SMALL_DENSE = 1 << 22


def group_sums(
    X: CountMatrix,
    groups: Groups,
    *,
    sparse: bool = True,
    out: np.ndarray | None = None,
    threads: int | None = None,
    require_integers: bool = False,
    cell_names: Names | None = None,
    gene_names: Names | None = None,
) -> sp.csr_matrix | np.ndarray:
    """Sum the counts of each group of cells.

    Parameters
    ----------
    X
        Cells x genes, raw counts; never changed. The rows of the groups are checked as they are added.
    groups
        From :func:`bulkgen.splits.k_groups`.
    sparse
        ``False`` for a dense result.
    out
        Dense array for the result, C-contiguous, groups x genes: int64 for whole counts, float64 for any. After an
        error it holds anything.
    threads
        Default: the CPUs available.
    require_integers, cell_names, gene_names
        As of :func:`bulkgen.io.canonical_counts`.

    Returns
    -------
    scipy.sparse.csr_matrix or numpy.ndarray
        Groups x genes; int64 and exact for integer counts (whose sums fit), else float64, added in the order of the
        cells. The array `out` where one is given.

    Raises
    ------
    CountsError, InvalidCsrError
        If the rows of the groups are no counts, as :func:`bulkgen.io.canonical_counts`.
    ValueError
        If `out` has another shape or type than the sums.
    """

    def aggregate(matrix: sp.csr_matrix, dtype: SumType) -> sp.csr_matrix | np.ndarray | None:
        grouped = GroupedRows(matrix, groups.rows, groups.offsets)
        if out is None and sparse and grouped.shape[0] * grouped.shape[1] > _SMALL_DENSE:
            return _sparse_sums(grouped, dtype, threads=threads)
        if out is not None and out.dtype != dtype:
            return None
        sums = np.empty(grouped.shape, dtype) if out is None else out
        largest = grouped.over_groups_or_genes(get_kernels().group_sums_dense, sums, threads=threads)
        if largest is None or not _fits(largest, grouped, dtype):
            return None
        return _compressed(sums) if sparse and out is None else sums

    shape = (groups.offsets.size - 1, X.shape[1])
    if out is not None:
        _check_output_array(out, shape)
    return aggregate_counts(
        X, aggregate, require_integers=require_integers, cell_names=cell_names, gene_names=gene_names
    )


def _check_output_array(out: object, shape: tuple[int, int]) -> None:
    if isinstance(out, np.ndarray):
        numbers = out.dtype in (np.dtype(np.int64), np.dtype(np.float64))
        if out.shape == shape and numbers and out.flags.c_contiguous and out.flags.writeable:
            return
        got = f"{out.dtype} of shape {out.shape}"
    else:
        got = f"a {type(out).__name__}"
    raise ValueError(f"out must be a writable, C-contiguous array of int64 or float64 of shape {shape}, got {got}")


def _fits(largest: float, grouped: GroupedRows, dtype: SumType) -> bool:
    """Whether no sum of integers can exceed 63 bits."""
    return dtype is not np.int64 or largest * float(np.diff(grouped.offsets).max(initial=0)) < 2.0**63


def _sparse_sums(grouped: GroupedRows, dtype: SumType, *, threads: int | None) -> sp.csr_matrix | None:
    kernels = get_kernels()
    n_groups, _ = grouped.shape
    counts = np.zeros(n_groups, np.int64)
    if grouped.over_groups(kernels.group_sums_count, counts, threads=threads) is None:
        return None
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], dtype)
    largest = grouped.over_groups(kernels.group_sums, indptr, indices, data, counts, threads=threads)
    if largest is None or not _fits(largest, grouped, dtype):
        return None
    sums = sp.csr_matrix((data, indices, indptr), shape=grouped.shape)
    if counts.sum() < indptr[-1]:
        # explicit zeros of the input got slots
        sums.eliminate_zeros()
    return sums


def _compressed(sums: np.ndarray) -> sp.csr_matrix:
    # four times as fast as np.nonzero of a matrix
    present = sums != 0
    lengths = np.count_nonzero(present, axis=1)
    places = np.flatnonzero(present)
    columns = (places - np.repeat(np.arange(len(sums)) * sums.shape[1], lengths)).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sp.csr_matrix((sums.reshape(-1)[places], columns, indptr), shape=sums.shape)
