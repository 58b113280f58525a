"""Bulk profiles and the moments of genes within strata."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bulkgen.grouped import GroupedRows, aggregate_counts
from bulkgen.io import CellStore, make_anndata, open_cells, provenance, provenance_of
from bulkgen.kernels import get_kernels
from bulkgen.progress import progress_bar
from bulkgen.splits import strata_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import scipy.sparse as sp
    from anndata import AnnData

    from bulkgen.grouped import SumType
    from bulkgen.io import Cells, CountMatrix, Names
    from bulkgen.kernels.protocol import Float64Array, Int64Array
    from bulkgen.splits import Strata

__all__ = ["GeneMoments", "bulk_profiles", "gene_moments", "holds_samples", "unit_of"]


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


def gene_moments(
    X: CountMatrix | CellStore,
    codes: Int64Array,
    n_strata: int,
    *,
    threads: int | None = None,
    require_integers: bool = False,
    cell_names: Names | None = None,
    gene_names: Names | None = None,
) -> GeneMoments:
    """Moments of every gene in every stratum, in one pass over the stored entries.

    Integer counts: exact sums and sums of squares in 64-bit integers and the variance from them in 128 bits, so that
    the bits depend on neither order, blocks nor threads. Fractional values: Welford's recurrence in row order.

    Parameters
    ----------
    X
        Cells x genes, raw counts; never changed. The cells of the strata are checked as they are added. Cells that are
        not in memory (:func:`bulkgen.open_cells`) are read block by block, twice if counts are fractional.
    codes
        Stratum of each cell, shape (n_cells,); -1 leaves a cell out.
    n_strata
        Number of strata.
    threads
        Default: the CPUs available.
    require_integers, cell_names, gene_names
        As of :func:`bulkgen.io.canonical_counts`.

    Raises
    ------
    CountsError, InvalidCsrError
        If the cells of the strata are no counts, as :func:`bulkgen.io.canonical_counts`.
    """
    # NumPy sorts 16-bit integers by radix
    order = np.argsort(codes.astype(np.int16) if n_strata < 2**15 else codes, kind="stable")
    order = order[codes[order] >= 0]
    sizes = np.bincount(codes[order], minlength=n_strata).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if isinstance(X, CellStore):
        if X.X is None:
            return _stored_moments(X, codes, sizes, threads=threads, require_integers=require_integers)
        cell_names, gene_names, X = X.obs_names, X.var_names, X.X

    def aggregate(matrix: sp.csr_matrix, dtype: SumType) -> GeneMoments | None:
        moments = _integer_moments if dtype is np.int64 else _real_moments
        return moments([GroupedRows(matrix, order, offsets)], sizes, matrix.shape[1], threads)

    return aggregate_counts(
        X, aggregate, require_integers=require_integers, cell_names=cell_names, gene_names=gene_names
    )


def _stored_moments(
    cells: CellStore, codes: Int64Array, sizes: Int64Array, *, threads: int | None, require_integers: bool
) -> GeneMoments:
    """Moments of cells on disk: the accumulators of all strata, and a block of cells at a time."""

    def blocks() -> Generator[GroupedRows]:
        with progress_bar("moments", cells.n_obs) as advance:
            for first, block in cells.blocks(require_integers=require_integers, hashed=True):
                here = codes[first : first + block.shape[0]]
                order = np.argsort(here, kind="stable")
                order = order[np.searchsorted(here[order], 0) :]
                offsets = np.searchsorted(here[order], np.arange(sizes.size + 1))
                yield GroupedRows(block, order, offsets)
                advance(block.shape[0])

    for moments in (_integer_moments, _real_moments):
        with closing(blocks()) as grouped:
            result = moments(grouped, sizes, cells.n_vars, threads)
        if result is not None:
            return result
    raise AssertionError("blocks of cells are checked")


def _integer_moments(
    blocks: Iterable[GroupedRows], sizes: Int64Array, n_genes: int, threads: int | None
) -> GeneMoments | None:
    moments = np.zeros((sizes.size, n_genes, 4), np.int64)
    largest, cells = 0.0, 0
    for grouped in blocks:
        most = grouped.over_groups_or_genes(get_kernels().group_moments_integer, moments, threads=threads)
        if most is None:
            return None
        largest, cells = max(largest, most), cells + grouped.matrix.shape[0]
        # a sum of squares might exceed 63 bits
        if largest * largest * max(1, cells) >= 2.0**63:
            return None
    nonzeros, total, squares, most_counts = np.ascontiguousarray(np.moveaxis(moments, -1, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / sizes[:, None]
        variance = _integer_variance(sizes, total, squares)
    return _gene_moments(sizes, nonzeros, total, mean, variance, most_counts.astype(np.float64))


def _real_moments(
    blocks: Iterable[GroupedRows], sizes: Int64Array, n_genes: int, threads: int | None
) -> GeneMoments | None:
    moments = np.zeros((sizes.size, n_genes, 5))
    for grouped in blocks:
        if grouped.over_groups_or_genes(get_kernels().group_moments_real, moments, threads=threads) is None:
            return None
    counted, total, running, deviations, most = np.ascontiguousarray(np.moveaxis(moments, -1, 0))
    nonzeros, n = counted.astype(np.int64), sizes[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        # the zeros join as a second sample of mean 0 (Chan, Golub, LeVeque 1983)
        variance = (deviations + running * running * (nonzeros * (n - nonzeros) / n)) / (n - 1)
    return _gene_moments(sizes, nonzeros, total, mean, variance, most)


def _gene_moments(
    sizes: Int64Array,
    nonzeros: Int64Array,
    total: Int64Array | Float64Array,
    mean: Float64Array,
    variance: Float64Array,
    largest: Float64Array,
) -> GeneMoments:
    """Moments with the strata of one cell or none marked."""
    variance[sizes == 1] = np.nan
    largest[sizes == 0] = -np.inf
    return GeneMoments(sizes, nonzeros, total, mean, variance, largest)


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


def bulk_profiles(adata: Cells, *, by: str | Sequence[str], threads: int | None = None) -> AnnData:
    """Aggregate the cells, or the measured bulk samples, of each stratum to one bulk profile.

    Parameters
    ----------
    adata
        Cells x genes, raw counts; or samples from :func:`bulkgen.read_bulk`, counts or TPM. Not changed. An AnnData in
        memory, backed or lazy, an ``.h5ad`` file or ``.zarr`` store, or :func:`bulkgen.open_cells` of these; what is
        not in memory is read block by block.
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

        Of samples: ``X`` holds the total counts of the replicates, or the mean of their TPM (float64); ``obs`` the
        columns `by`, ``n_samples`` and, for counts, ``psbulk_counts``. There is nothing per cell: no layers, and no
        ``n_obs_aggregated``, for how many cells lie behind a sample is not known.

    Raises
    ------
    LabelError
        If a column is missing or incomplete.
    CountsError
        If the matrix is not raw counts.
    """
    cells = open_cells(adata)
    strata = strata_of(cells.obs, by)
    unit = unit_of(cells)
    moments = gene_moments(cells, strata.codes, len(strata.table), threads=threads, require_integers=unit == "counts")
    columns = [by] if isinstance(by, str) else list(by)
    if holds_samples(cells):
        parameters = {"by": columns, "unit": unit}
        return make_anndata(
            moments.mean if unit == "tpm" else moments.sum,
            obs=_sample_profile_obs(strata, moments, unit),
            var=cells.var.copy(),
            uns={"bulkgen": provenance("bulk_profiles", parameters, key=None, source=cells)},
        )
    return make_anndata(
        moments.sum,
        obs=_profile_obs(strata, moments),
        var=cells.var.copy(),
        layers={
            "mean": moments.mean,
            "variance": moments.variance,
            "max": moments.max,
            "detection": moments.nonzeros / moments.n[:, None],
        },
        uns={"bulkgen": provenance("bulk_profiles", {"by": columns}, key=None, source=cells)},
    )


def holds_samples(adata: AnnData | CellStore) -> bool:
    """Whether the rows are measured bulk samples (:func:`bulkgen.read_bulk`), not cells."""
    return (provenance_of(adata) or {}).get("kind") == "bulk_samples"


def unit_of(adata: AnnData | CellStore) -> Literal["counts", "tpm"]:
    """Return the unit of bulk samples or profiles; that of cells is counts."""
    record = provenance_of(adata) or {}
    return "tpm" if json.loads(str(record.get("parameters", "{}"))).get("unit") == "tpm" else "counts"


def _sample_profile_obs(strata: Strata, moments: GeneMoments, unit: str) -> pd.DataFrame:
    obs = strata.table.copy()
    obs["n_samples"] = moments.n
    if unit == "counts":
        obs["psbulk_counts"] = moments.sum.sum(axis=1)
    obs.index = pd.Index(strata.names())
    return obs


def _profile_obs(strata: Strata, moments: GeneMoments) -> pd.DataFrame:
    obs = strata.table.copy()
    obs["n_obs_aggregated"] = moments.n
    obs["psbulk_cells"] = moments.n
    obs["psbulk_counts"] = moments.sum.sum(axis=1)
    obs.index = pd.Index(strata.names())
    return obs
