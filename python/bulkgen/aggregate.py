"""Pseudo-bulk: sums or means of the counts of about k cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.grouped import GroupedRows, aggregate_counts
from bulkgen.io import canonical_counts, compressed_counts, library_sizes, make_anndata, provenance
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.kernels.sampling import thin_matrix
from bulkgen.profiles import unit_of
from bulkgen.rng import key_from_rng
from bulkgen.splits import k_groups, strata_of
from bulkgen.thinning import bootstrap_sizes, keep_probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from bulkgen.grouped import SumType
    from bulkgen.io import CountMatrix
    from bulkgen.rng import RandomState
    from bulkgen.splits import Groups, Remainder, Strata

__all__ = ["group_sums", "pseudobulk"]

Strategy = Literal["sum", "mean_k", "mean"]

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
    cell_names: Sequence[str] | None = None,
    gene_names: Sequence[str] | None = None,
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


def pseudobulk(
    adata: AnnData,
    *,
    by: str | Sequence[str],
    k: float = 10,
    strategy: Strategy | None = None,
    cv: float = 0.1,
    remainder: Remainder = "merge",
    round: bool = False,
    thin: bool = False,
    rng: RandomState = 0,
    sparse: bool = True,
    threads: int | None = None,
) -> AnnData:
    """Aggregate real cells to pseudo-bulk, about k at a time within each stratum.

    Parameters
    ----------
    adata
        Cells x genes, raw counts. Not changed.
    by
        One or more columns of ``obs``: cells are aggregated within each observed combination.
    k
        Aggregation factor: mean number of cells per group.
    strategy
        ``sum``; ``mean_k`` (sum / k); ``mean`` (sum / exact group size). A model that sees the order of genes sees the
        same cell in all three, because the scale of a cell cancels, unless values are rounded. Default: ``mean``, or
        ``sum`` with `thin`.
    cv
        Coefficient of variation of the group sizes.
    remainder
        The last, incomplete group of a stratum: ``merge``, ``keep`` or ``drop``.
    round
        Round the means to whole counts (half to even).
    thin
        Thin each sum binomially to the library size of a random cell of its stratum: the groups then are as deep as
        cells, and have their zeros.
    rng
        Seed.
    sparse
        ``False`` for a dense ``X``: faster where most genes are seen in a group, and larger where not.
    threads
        Default: the CPUs available.

    Returns
    -------
    anndata.AnnData
        Groups x genes, CSR (or dense), in the order of their first cells. ``X``: int64 for ``sum`` and for rounded
        means, else float64. ``obs``: the columns `by`, ``n_obs_aggregated`` and ``psbulk_cells`` (cells in the group),
        ``psbulk_counts`` (their total counts). A group is named after its first cell, ``<cell>+<further cells>``.

    Raises
    ------
    LabelError
        If a column is missing or incomplete, or a stratum has fewer cells than a group needs.
    CountsError
        If the matrix is not raw counts.
    ValueError
        For an unknown strategy, one that is not ``sum`` together with `thin`, k or cv out of range, or bulk samples
        in TPM.
    """
    if strategy is None:
        strategy = "sum" if thin else "mean"
    if thin and strategy != "sum":
        raise ValueError(f"thin=True keeps single molecules of a sum: strategy must be 'sum', got {strategy!r}")
    if strategy not in ("sum", "mean_k", "mean"):
        raise ValueError(f"strategy must be 'sum', 'mean_k' or 'mean', got {strategy!r}")
    if unit_of(adata) == "tpm":
        raise ValueError(
            "the samples are in TPM, but pseudo-bulk adds counts; pass the counts that they were made from"
        )
    names = {"cell_names": adata.obs_names, "gene_names": adata.var_names}
    strata = strata_of(adata.obs, by)
    key = key_from_rng(rng)
    groups = k_groups(strata, k=k, cv=cv, remainder=remainder, rng=np.random.SeedSequence(key))
    # cells in no group are not added, and so not checked on the way
    X = adata.X if groups.dropped == 0 else canonical_counts(adata.X, require_integers=True, **names)
    sums = group_sums(X, groups, sparse=sparse or thin, threads=threads, require_integers=True, **names)
    if thin:
        sums = _thinned(sums, adata.X, strata, groups, key=key, threads=threads)
        sums = sums if sparse else sums.toarray()
    sizes = groups.sizes()
    obs = strata.table.iloc[groups.stratum].copy()
    obs["n_obs_aggregated"] = sizes
    obs["psbulk_cells"] = sizes
    obs["psbulk_counts"] = np.asarray(sums.sum(axis=1)).ravel()
    first_cells = adata.obs_names[groups.rows[groups.offsets[:-1]]]
    obs.index = pd.Index(
        [cell if size == 1 else f"{cell}+{size - 1}" for cell, size in zip(first_cells, sizes, strict=True)]
    )
    parameters = {
        "by": [by] if isinstance(by, str) else list(by),
        "k": k,
        "strategy": strategy,
        "cv": cv,
        "remainder": remainder,
        "round": round,
        "thin": thin,
        "cells_dropped": groups.dropped,
    }
    return make_anndata(
        _apply_strategy(sums, strategy, k=k, sizes=sizes, round_to_counts=round, threads=threads),
        obs=obs,
        var=adata.var.copy(),
        uns={"bulkgen": provenance("pseudobulk", parameters, key=key, source=adata)},
    )


def _thinned(
    sums: sp.csr_matrix, X: CountMatrix, strata: Strata, groups: Groups, *, key: int, threads: int | None
) -> sp.csr_matrix:
    """Thin each group to the library size of a random cell of its stratum; whole counts as int64."""
    cells = library_sizes(compressed_counts(X))
    wanted = np.empty(groups.stratum.size)
    for stratum, rows in enumerate(strata.rows()):
        here = np.flatnonzero(groups.stratum == stratum)
        wanted[here] = bootstrap_sizes(cells[rows], here.size, key=key, first_cell=stratum << 40)
    return thin_matrix(sums, keep_probability(sums, wanted), key=key, threads=threads).astype(np.int64)


def _apply_strategy(
    sums: sp.csr_matrix | np.ndarray,
    strategy: Strategy,
    *,
    k: float,
    sizes: np.ndarray,
    round_to_counts: bool,
    threads: int | None,
) -> sp.csr_matrix | np.ndarray:
    """Divide sums in their own memory, or leave them as they are."""
    if strategy == "sum":
        return sums
    divisors = np.full(sizes.size, float(k)) if strategy == "mean_k" else sizes.astype(np.float64)
    values: np.ndarray = sums.reshape(-1) if isinstance(sums, np.ndarray) else sums.data
    ends = np.arange(sizes.size + 1) * sums.shape[1] if isinstance(sums, np.ndarray) else sums.indptr
    means = values.view(np.int64 if round_to_counts else np.float64)

    def divide(first: int, last: int) -> None:
        for group in range(first, last):
            entries = slice(ends[group], ends[group + 1])
            quotients = values[entries] / divisors[group]
            means[entries] = np.rint(quotients) if round_to_counts else quotients

    parallel_ranges(divide, sizes.size, threads=threads, weights=ends)
    if isinstance(sums, np.ndarray):
        return means.reshape(sums.shape)
    sums.data = means
    if round_to_counts:
        sums.eliminate_zeros()
    return sums
