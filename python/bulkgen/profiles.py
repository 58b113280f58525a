"""Bulk profiles and the moments of genes within strata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.io import canonical_counts, is_integral, make_anndata, provenance
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.splits import strata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import scipy.sparse as sp
    from anndata import AnnData

    from bulkgen.kernels.protocol import Float64Array, Int64Array
    from bulkgen.splits import Strata

__all__ = ["GeneMoments", "bulk_profiles", "gene_moments"]


@dataclass(frozen=True)
class GeneMoments:
    """Moments of the counts of each gene in each stratum; matrices of shape (n_strata, n_genes).

    Attributes
    ----------
    n
        Cells per stratum, shape (n_strata,).
    nonzeros
        Cells in which the gene was seen.
    sum
        Total counts: exact integers for integer counts, else float64.
    mean, variance
        Per cell; the variance with n − 1 in the denominator, NaN for a stratum of one cell.
    max
        Largest count of a cell.
    """

    n: Int64Array
    nonzeros: Int64Array
    sum: Int64Array | Float64Array
    mean: Float64Array
    variance: Float64Array
    max: Float64Array


def gene_moments(matrix: sp.csr_matrix, codes: Int64Array, n_strata: int, *, threads: int | None = None) -> GeneMoments:
    """Moments of every gene in every stratum, in one pass over the stored entries.

    Integer counts: exact sums and sums of squares in 64-bit integers and the variance from them in 128 bits, so that
    the bits depend on neither order, blocks nor threads. Fractional values: Welford's recurrence in row order.

    Parameters
    ----------
    matrix
        Cells x genes, from :func:`bulkgen.io.canonical_counts`.
    codes
        Stratum of each cell, shape (n_cells,); -1 leaves a cell out.
    n_strata
        Number of strata.
    threads
        Default: the CPUs available.
    """
    kernels = get_kernels()
    n_genes = matrix.shape[1]
    indptr = matrix.indptr.astype(np.int64, copy=False)
    order = np.argsort(codes, kind="stable").astype(np.int64)
    order = order[codes[order] >= 0]
    sizes = np.bincount(codes[order], minlength=n_strata).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    shape = (n_strata, n_genes)
    nonzeros = np.zeros(shape, np.int64)
    largest = np.full(shape, -np.inf)
    csr = (indptr, matrix.indices, matrix.data, order, offsets)
    # threads share out strata by their stored entries
    entries = np.concatenate([[0], np.cumsum(np.diff(indptr)[order])])[offsets]
    n = sizes[:, None]
    if is_integral(matrix) and _squares_fit(matrix):
        total, squares = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

        def add(first: int, last: int) -> None:
            kernels.group_moments_integer(
                *csr, nonzeros, total, squares, largest, n_genes=n_genes, first_group=first, last_group=last
            )

        parallel_ranges(add, n_strata, threads=threads, weights=entries)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / n
            variance = _integer_variance(sizes, total, squares)
        sums: Int64Array | Float64Array = total
    else:
        real, running, deviations = np.zeros(shape), np.zeros(shape), np.zeros(shape)

        def add(first: int, last: int) -> None:
            kernels.group_moments_real(
                *csr,
                nonzeros,
                real,
                running,
                deviations,
                largest,
                n_genes=n_genes,
                first_group=first,
                last_group=last,
            )

        parallel_ranges(add, n_strata, threads=threads, weights=entries)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = real / n
            # the zeros join as a second sample of mean 0 (Chan, Golub, LeVeque 1983)
            zeros = n - nonzeros
            variance = (deviations + running * running * (nonzeros * zeros / n)) / (n - 1)
        sums = real
    variance[sizes == 1] = np.nan
    largest = np.where(nonzeros < n, np.maximum(largest, 0.0), largest)
    return GeneMoments(sizes, nonzeros, sums, mean, variance, largest)


def _squares_fit(matrix: sp.csr_matrix) -> bool:
    """Whether no sum of squared counts can exceed 63 bits."""
    largest = float(matrix.data.max(initial=0))
    return bool(largest * largest * max(1, matrix.shape[0]) < 2.0**63)


def _integer_variance(n: Int64Array, total: Int64Array, squares: Int64Array) -> Float64Array:
    """(n Σx² − (Σx)²) / (n (n − 1)), the numerator exact in 128 bits.

    Cauchy's inequality makes the numerator non-negative, so it is computed in unsigned arithmetic that may wrap.
    """
    size = n.astype(np.uint64)[:, None]
    high_a, low_a = _multiply(np.broadcast_to(size, total.shape), squares.astype(np.uint64))
    magnitude = np.abs(total).astype(np.uint64)
    high_b, low_b = _multiply(magnitude, magnitude)
    low = low_a - low_b
    high = high_a - high_b - (low_a < low_b).astype(np.uint64)
    numerator = high.astype(np.float64) * 2.0**64 + low.astype(np.float64)
    cells = n.astype(np.float64)[:, None]
    variance: Float64Array = numerator / (cells * (cells - 1.0))
    return variance


def _multiply(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """High and low 64 bits of the products of unsigned 64-bit integers."""
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    x0, x1, y0, y1 = x & mask, x >> shift, y & mask, y >> shift
    low = x0 * y0
    middle = x1 * y0 + (low >> shift)
    other = x0 * y1 + (middle & mask)
    return x1 * y1 + (middle >> shift) + (other >> shift), x * y


def bulk_profiles(adata: AnnData, *, by: str | Sequence[str], threads: int | None = None) -> AnnData:
    """Aggregate the cells of each stratum to one bulk profile.

    Parameters
    ----------
    adata
        Cells x genes, raw counts. Not changed.
    by
        One or more columns of ``obs`` (label, or label and dose); each observed combination is a stratum.
    threads
        Default: the CPUs available.

    Returns
    -------
    anndata.AnnData
        Strata x genes. ``X``: total counts (int64). ``layers``: ``mean``, ``variance`` and ``max`` of the counts per
        cell and ``detection``, the fraction of cells with the gene. ``obs``: the columns `by`, ``n_obs_aggregated``,
        ``psbulk_cells``, ``psbulk_counts``.

    Raises
    ------
    LabelError
        If a column is missing or incomplete.
    CountsError
        If the matrix is not raw counts.
    """
    matrix = canonical_counts(adata.X, require_integers=True, cell_names=adata.obs_names, gene_names=adata.var_names)
    strata = strata_of(adata.obs, by)
    moments = gene_moments(matrix, strata.codes, len(strata.table), threads=threads)
    columns = [by] if isinstance(by, str) else list(by)
    return make_anndata(
        moments.sum,
        obs=_profile_obs(strata, moments),
        var=adata.var.copy(),
        layers={
            "mean": moments.mean,
            "variance": moments.variance,
            "max": moments.max,
            "detection": moments.nonzeros / moments.n[:, None],
        },
        uns={"bulkgen": provenance("bulk_profiles", {"by": columns}, key=None, source=adata)},
    )


def _profile_obs(strata: Strata, moments: GeneMoments) -> pd.DataFrame:
    obs = strata.table.copy()
    obs["n_obs_aggregated"] = moments.n
    obs["psbulk_cells"] = moments.n
    obs["psbulk_counts"] = moments.sum.sum(axis=1)
    obs.index = pd.Index(strata.names())
    return obs
