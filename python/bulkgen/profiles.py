"""Bulk profiles and the moments of genes within strata."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bulkgen.arguments import checked
from bulkgen.grouped import GroupedRows, aggregate_counts
from bulkgen.io import CellStore, make_anndata, open_cells, provenance, provenance_of
from bulkgen.io.cell_ranges import SharedFolder, executor_for, map_ranges
from bulkgen.io.provenance import ContentDigest
from bulkgen.kernels import get_kernels
from bulkgen.progress import progress_bar
from bulkgen.splits import strata_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import numpy.typing as npt
    import scipy.sparse as sp
    from anndata import AnnData

    from bulkgen.grouped import SumType
    from bulkgen.io import Cells, CountMatrix, Names
    from bulkgen.io.cell_ranges import CellRange
    from bulkgen.io.executors import Executor
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
    executor: Executor | object | None = None,
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
    executor
        As in :func:`bulk_profiles`. Fractional counts are not shared out: their moments depend on the order.
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
        engine = executor_for(X, executor)
        if engine is not None:
            found = _shared_out(X, codes, sizes, engine, threads=threads, require_integers=require_integers)
            if found is not None:
                return found
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
                yield _grouped(block, codes[first : first + block.shape[0]], sizes.size)
                advance(block.shape[0])

    for moments in (_integer_moments, _real_moments):
        with closing(blocks()) as grouped:
            result = moments(grouped, sizes, cells.n_vars, threads)
        if result is not None:
            return result
    raise AssertionError("blocks of cells are checked")


def _grouped(block: sp.csr_matrix, codes: npt.NDArray[np.integer], n_strata: int) -> GroupedRows:
    """Group the cells of a block by stratum; -1 leaves one out."""
    order = np.argsort(codes, kind="stable")
    order = order[np.searchsorted(codes[order], 0) :]
    return GroupedRows(block, order, np.searchsorted(codes[order], np.arange(n_strata + 1)))


def _shared_out(
    cells: CellStore,
    codes: Int64Array,
    sizes: Int64Array,
    executor: Executor,
    *,
    threads: int | None,
    require_integers: bool,
) -> GeneMoments | None:
    """Moments of cells in a file, whose ranges others add; ``None`` where the order of the cells matters."""
    add = partial(_add_range, threads=1 if threads is None else threads, require_integers=require_integers)
    total = _IntegerSums(np.zeros((sizes.size, cells.n_vars, 4), np.int64))
    with SharedFolder.make(None) as folder, progress_bar("moments", cells.n_obs) as advance:
        folder.save("strata", of_cells=codes)
        parts = map_ranges(add, cells, folder, executor=executor, require_integers=require_integers)
        with closing(parts):
            for unit, largest in parts:
                if largest is None:
                    return None
                name = f"sums-{unit.number}"
                strata, values = folder.load(name, "strata"), folder.load(name, "values")
                if not total.add(strata, values, largest=largest, cells=unit.last - unit.first):
                    return None
                folder.remove(name)
                advance(unit.last - unit.first)
    return total.moments(sizes)


def _add_range(unit: CellRange, *, threads: int, require_integers: bool) -> tuple[list[bytes], float | None]:
    """Leave the sums of a range in the folder, of the strata that it has; return its largest count."""
    codes = np.asarray(unit.folder.load("strata", "of_cells")[unit.first : unit.last])
    strata = np.unique(codes[codes >= 0])
    places = np.where(codes >= 0, np.searchsorted(strata, codes), -1)
    rows = unit.rows()
    digest = ContentDigest(rows.form, rows.shape)
    blocks = unit.blocks(digest, require_integers=require_integers)

    def grouped() -> Generator[GroupedRows]:
        for first, block in blocks:
            here = slice(first - unit.first, first - unit.first + block.shape[0])
            yield _grouped(block, places[here], strata.size)

    with closing(blocks):
        sums = _IntegerSums.of(grouped(), (strata.size, rows.shape[1]), threads=threads)
    if sums is None:
        return [], None
    unit.folder.save(f"sums-{unit.number}", strata=strata, values=sums.values)
    return digest.pieces(), sums.largest


def _integer_moments(
    blocks: Iterable[GroupedRows], sizes: Int64Array, n_genes: int, threads: int | None
) -> GeneMoments | None:
    sums = _IntegerSums.of(blocks, (sizes.size, n_genes), threads=threads)
    return None if sums is None else sums.moments(sizes)


@dataclass
class _IntegerSums:
    """What integer moments are made of; those of parts of the cells are put together in any order.

    Attributes
    ----------
    values
        Non-zeros, sum, sum of squares and largest count of each gene in each stratum, shape (n_strata, n_genes, 4).
    largest, cells
        Largest count of all, and number of cells.
    """

    values: Int64Array
    largest: float = 0.0
    cells: int = 0

    @classmethod
    def of(cls, blocks: Iterable[GroupedRows], shape: tuple[int, int], *, threads: int | None) -> _IntegerSums | None:
        """Add blocks of cells; ``None`` where a value is fractional, or a sum of squares might not fit."""
        sums = cls(np.zeros((*shape, 4), np.int64))
        for grouped in blocks:
            kernel = get_kernels().group_moments_integer
            most = grouped.over_groups_or_genes(kernel, sums.values, threads=threads)
            if most is None:
                return None
            sums.largest, sums.cells = max(sums.largest, most), sums.cells + grouped.matrix.shape[0]
            if not sums.fit():
                return None
        return sums

    def add(self, strata: npt.NDArray[np.integer], values: Int64Array, *, largest: float, cells: int) -> bool:
        """Add the sums of other cells in some of the strata; ``False`` if they do not fit."""
        self.largest, self.cells = max(self.largest, largest), self.cells + cells
        self.values[strata, :, :3] += values[:, :, :3]
        self.values[strata, :, 3] = np.maximum(self.values[strata, :, 3], values[:, :, 3])
        return self.fit()

    def fit(self) -> bool:
        """Whether no sum of squares can exceed 63 bits."""
        return self.largest * self.largest * max(1, self.cells) < 2.0**63

    def moments(self, sizes: Int64Array) -> GeneMoments:
        """Return the moments of strata of these sizes."""
        nonzeros, total, squares, most_counts = np.ascontiguousarray(np.moveaxis(self.values, -1, 0))
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


@checked
def bulk_profiles(
    adata: Cells,
    *,
    by: str | Sequence[str],
    threads: int | None = None,
    executor: Executor | object | None = None,
) -> AnnData:
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
    executor
        Add ranges of cells in a file on a ``concurrent.futures.Executor`` or the like, or a ``distributed.Client``,
        whose workers see the file and the folder for temporary files (TMPDIR); `threads` are then those of each
        worker, 1 by default. The bits are the same. Default: the active ``distributed.Client``, else this process.

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
    moments = gene_moments(
        cells,
        strata.codes,
        len(strata.table),
        threads=threads,
        executor=executor,
        require_integers=unit == "counts",
    )
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
