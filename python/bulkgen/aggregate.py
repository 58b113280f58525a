"""Pseudo-bulk: sums or means of the counts of about k cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.io import canonical_counts, is_integral, make_anndata, provenance
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.rng import key_from_rng
from bulkgen.splits import k_groups, strata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from bulkgen.rng import RandomState
    from bulkgen.splits import Groups, Remainder

__all__ = ["group_sums", "pseudobulk"]

Strategy = Literal["sum", "mean_k", "mean"]


def group_sums(matrix: sp.csr_matrix, groups: Groups, *, threads: int | None = None) -> sp.csr_matrix:
    """Sum the counts of each group of cells.

    Parameters
    ----------
    matrix
        Cells x genes, from :func:`bulkgen.io.canonical_counts`.
    groups
        From :func:`bulkgen.splits.k_groups`.
    threads
        Default: the CPUs available.

    Returns
    -------
    scipy.sparse.csr_matrix
        Groups x genes; int64 and exact for integer counts (whose sums fit), else float64, added in the order of the
        cells.
    """
    kernels = get_kernels()
    n_groups, n_genes = groups.offsets.size - 1, matrix.shape[1]
    indptr = matrix.indptr.astype(np.int64, copy=False)
    csr = (indptr, matrix.indices, matrix.data, groups.rows, groups.offsets)
    entries = np.concatenate([[0], np.cumsum(np.diff(indptr)[groups.rows])])[groups.offsets]
    counts = np.zeros(n_groups, np.int64)

    def count(first: int, last: int) -> None:
        kernels.group_sums_count(*csr, counts, n_genes=n_genes, first_group=first, last_group=last)

    parallel_ranges(count, n_groups, threads=threads, weights=entries)
    out_indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    out_indices = np.empty(out_indptr[-1], np.int32)
    most = float(matrix.data.max(initial=0)) * float(groups.sizes().max(initial=0))
    out_data = np.empty(out_indptr[-1], np.int64 if most < 2.0**63 and is_integral(matrix) else np.float64)

    def add(first: int, last: int) -> None:
        kernels.group_sums(*csr, out_indptr, out_indices, out_data, n_genes=n_genes, first_group=first, last_group=last)

    parallel_ranges(add, n_groups, threads=threads, weights=entries)
    return sp.csr_matrix((out_data, out_indices, out_indptr), shape=(n_groups, n_genes))


def pseudobulk(
    adata: AnnData,
    *,
    by: str | Sequence[str],
    k: float = 10,
    strategy: Strategy = "mean",
    cv: float = 0.1,
    remainder: Remainder = "merge",
    round: bool = False,
    rng: RandomState = 0,
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
        same cell in all three, because the scale of a cell cancels, unless values are rounded.
    cv
        Coefficient of variation of the group sizes.
    remainder
        The last, incomplete group of a stratum: ``merge``, ``keep`` or ``drop``.
    round
        Round the means to whole counts (half to even).
    rng
        Seed.
    threads
        Default: the CPUs available.

    Returns
    -------
    anndata.AnnData
        Groups x genes, CSR, in the order of their first cells. ``X``: int64 for ``sum`` and for rounded means, else
        float64. ``obs``: the columns `by`, ``n_obs_aggregated`` and ``psbulk_cells`` (cells in the group),
        ``psbulk_counts`` (their total counts). A group is named after its first cell, ``<cell>+<further cells>``.

    Raises
    ------
    LabelError
        If a column is missing or incomplete, or a stratum has fewer cells than a group needs.
    CountsError
        If the matrix is not raw counts.
    ValueError
        For an unknown strategy or k, cv out of range.
    """
    if strategy not in ("sum", "mean_k", "mean"):
        raise ValueError(f"strategy must be 'sum', 'mean_k' or 'mean', got {strategy!r}")
    matrix = canonical_counts(adata.X, require_integers=True, cell_names=adata.obs_names, gene_names=adata.var_names)
    strata = strata_of(adata.obs, by)
    key = key_from_rng(rng)
    groups = k_groups(strata, k=k, cv=cv, remainder=remainder, rng=np.random.SeedSequence(key))
    sums = group_sums(matrix, groups, threads=threads)
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
        "cells_dropped": groups.dropped,
    }
    return make_anndata(
        _apply_strategy(sums, strategy, k=k, sizes=sizes, round_to_counts=round),
        obs=obs,
        var=adata.var.copy(),
        uns={"bulkgen": provenance("pseudobulk", parameters, key=key, source=adata)},
    )


def _apply_strategy(
    sums: sp.csr_matrix, strategy: Strategy, *, k: float, sizes: np.ndarray, round_to_counts: bool
) -> sp.csr_matrix:
    if strategy == "sum":
        return sums
    divisors = np.full(sizes.size, float(k)) if strategy == "mean_k" else sizes.astype(np.float64)
    means = sums.astype(np.float64)
    means.data = means.data / np.repeat(divisors, np.diff(means.indptr))
    if round_to_counts:
        means.data = np.rint(means.data)
        means = means.astype(np.int64)
        means.eliminate_zeros()
    return means
