"""Pseudo-bulk: sums or means of the counts of about k cells."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.arguments import checked
from bulkgen.gathering import (
    Bucket,
    alone_in,
    bucket_numbers,
    buckets_of,
    gathered,
    least_bytes,
    read_bucket,
    write_part,
)
from bulkgen.group_sums import group_sums
from bulkgen.io import (
    canonical_counts,
    check_cells_output,
    compressed_counts,
    library_sizes,
    make_anndata,
    open_cells,
    provenance,
    write_rows,
)
from bulkgen.io.cell_ranges import SharedFolder, executor_for, map_ranges, raise_of_worker
from bulkgen.io.executors import map_units
from bulkgen.io.provenance import ContentDigest
from bulkgen.kernels import parallel_ranges
from bulkgen.kernels.sampling import thin_matrix
from bulkgen.profiles import unit_of
from bulkgen.progress import progress_bar
from bulkgen.rng import key_from_rng
from bulkgen.splits import Groups, k_groups, strata_of
from bulkgen.thinning import bootstrap_sizes, keep_probability

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData

    from bulkgen.io import Cells, CellStore
    from bulkgen.io.cell_ranges import CellRange
    from bulkgen.io.executors import Executor
    from bulkgen.rng import RandomState
    from bulkgen.splits import Remainder, Strata

__all__ = ["pseudobulk"]

Strategy = Literal["sum", "mean_k", "mean"]
#: The first of some groups, their sums, and the library sizes that all groups are to be thinned to.
_Sums: TypeAlias = "tuple[int, sp.csr_matrix | np.ndarray, np.ndarray | None]"
#: Values of consecutive groups, and the total counts of each.
_Values: TypeAlias = "tuple[sp.csr_matrix | np.ndarray, np.ndarray]"


@overload
def pseudobulk(
    adata: Cells,
    *,
    by: str | Sequence[str],
    k: float = ...,
    strategy: Strategy | None = ...,
    cv: float = ...,
    remainder: Remainder = ...,
    round: bool = ...,
    thin: bool = ...,
    rng: RandomState = ...,
    sparse: bool = ...,
    threads: int | None = ...,
    executor: Executor | object | None = ...,
    out: None = ...,
    overwrite: bool = ...,
) -> AnnData: ...


@overload
def pseudobulk(
    adata: Cells,
    *,
    by: str | Sequence[str],
    k: float = ...,
    strategy: Strategy | None = ...,
    cv: float = ...,
    remainder: Remainder = ...,
    round: bool = ...,
    thin: bool = ...,
    rng: RandomState = ...,
    sparse: bool = ...,
    threads: int | None = ...,
    executor: Executor | object | None = ...,
    out: str | Path,
    overwrite: bool = ...,
) -> CellStore: ...


@checked
def pseudobulk(
    adata: Cells,
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
    executor: Executor | object | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> AnnData | CellStore:
    """Aggregate real cells to pseudo-bulk, about k at a time within each stratum.

    Parameters
    ----------
    adata
        Cells x genes, raw counts; not changed. An AnnData in memory, backed or lazy, an ``.h5ad`` file or ``.zarr``
        store, or :func:`bulkgen.open_cells` of these. What is not in memory is read once, block by block, and takes
        memory for a block and the groups; with `out`, for a block and some of the groups.
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
    executor
        Aggregate cells in a file on a ``concurrent.futures.Executor`` or the like, or a ``distributed.Client``, whose
        workers see the file and the folder of `out` (without it: that of temporary files, TMPDIR); `threads` are then
        those of each worker, 1 by default. The bits are the same. Default: the active ``distributed.Client``, else
        this process.
    out
        Write the groups to this ``.h5ad`` file or ``.zarr`` store, whole or not at all. Where the cells are not in
        memory, a temporary file beside it holds them meanwhile, as a rule in three bytes per stored entry.
    overwrite
        Replace `out` if it exists.

    Returns
    -------
    anndata.AnnData or CellStore
        Groups x genes, CSR (or dense), in the order of their first cells; what was written, opened, where `out` is
        given. ``X``: int64 for ``sum`` and for rounded means, else float64. ``obs``: the columns `by`,
        ``n_obs_aggregated`` and ``psbulk_cells`` (cells in the group), ``psbulk_counts`` (their total counts). A group
        is named after its first cell, ``<cell>+<further cells>``.

    Raises
    ------
    LabelError
        If a column is missing or incomplete, or a stratum has fewer cells than a group needs.
    CountsError
        If the matrix is not raw counts.
    ValueError
        For an unknown strategy, one that is not ``sum`` together with `thin`, k or cv out of range, or bulk samples
        in TPM.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    ResourcesError
        If the temporary file has no room: beside `out`, else in the system's folder for such files (``TMPDIR``).
    """
    if strategy is None:
        strategy = "sum" if thin else "mean"
    if thin and strategy != "sum":
        raise ValueError(f"thin=True keeps single molecules of a sum: strategy must be 'sum', got {strategy!r}")
    if strategy not in ("sum", "mean_k", "mean"):
        raise ValueError(f"strategy must be 'sum', 'mean_k' or 'mean', got {strategy!r}")
    if out is not None:
        check_cells_output(out, overwrite=overwrite)
    cells = open_cells(adata)
    if unit_of(cells) == "tpm":
        raise ValueError(
            "the samples are in TPM, but pseudo-bulk adds counts; pass the counts that they were made from"
        )
    strata = strata_of(cells.obs, by)
    key = key_from_rng(rng)
    groups = k_groups(strata, k=k, cv=cv, remainder=remainder, rng=np.random.SeedSequence(key))
    engine = executor_for(cells, executor)
    recipe = _Recipe(strategy, k, round, thin, sparse, key, 1 if engine and threads is None else threads)
    job = _Pseudobulk(cells, strata, groups, recipe, engine)
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

    def annotation(totals: list[np.ndarray]) -> dict[str, Any]:
        # of the source, read by then
        record = provenance("pseudobulk", parameters, key=key, source=cells)
        return {"obs": job.obs(totals), "var": cells.var.copy(), "uns": {"bulkgen": record}}

    if out is None:
        matrices, totals = map(list, zip(*job.parts(), strict=True))
        return make_anndata(_stacked(matrices), **annotation(totals))
    totals = []
    with write_rows(out, n_columns=cells.n_vars, overwrite=overwrite) as writer:
        for matrix, total in job.parts(Path(out).absolute().parent):
            writer.append(matrix)
            totals.append(total)
        writer.finish(**annotation(totals))
    return open_cells(out)


@dataclass(frozen=True)
class _Recipe:
    """How groups are made of sums, wherever that is done."""

    strategy: Strategy
    k: float
    round: bool
    thin: bool
    sparse: bool
    key: int
    threads: int | None

    def sums(self, bucket: Bucket, cells: sp.csr_matrix) -> sp.csr_matrix | np.ndarray:
        """Add the cells of the groups of a bucket."""
        groups = Groups(bucket.rows, bucket.offsets, np.empty(0, np.int64), 0)
        sums = group_sums(cells, groups, sparse=self.sparse or self.thin, threads=self.threads, require_integers=True)
        if sums.dtype != np.int64:
            raise ValueError("sums of 2^63 and more are not exact; divide the counts, or add them in memory")
        return sums

    def values(
        self, first: int, sums: sp.csr_matrix | np.ndarray, sizes: np.ndarray, wanted: np.ndarray | None
    ) -> _Values:
        """Return the values of consecutive groups and the total counts of each.

        Parameters
        ----------
        first
            The first of them.
        sums
            Changed.
        sizes
            Cells of each.
        wanted
            Library size that each is to be thinned to.
        """
        if wanted is not None:
            keep = keep_probability(sums, wanted)
            sums = thin_matrix(sums, keep, key=self.key, first_cell=first, threads=self.threads).astype(np.int64)
            sums = sums if self.sparse else sums.toarray()
        totals = np.asarray(sums.sum(axis=1)).ravel()
        return (
            _apply_strategy(
                sums, self.strategy, k=self.k, sizes=sizes, round_to_counts=self.round, threads=self.threads
            ),
            totals,
        )


@dataclass(frozen=True)
class _Pseudobulk:
    """Groups of cells to be aggregated, all at once or bucket by bucket."""

    cells: CellStore
    strata: Strata
    groups: Groups
    recipe: _Recipe
    executor: Executor | None

    def parts(self, folder: Path | None = None) -> Iterator[_Values]:
        """Yield the values of consecutive groups, and the total counts of each."""
        if self.executor is not None:
            yield from self._shared_out(self.executor, folder)
            return
        sizes = self.groups.sizes()
        for first, sums, wanted in self._sums_of_stored(folder) if self.cells.X is None else self._sums_in_memory():
            here = slice(first, first + sums.shape[0])
            yield self.recipe.values(first, sums, sizes[here], None if wanted is None else wanted[here])

    def obs(self, totals: list[np.ndarray]) -> pd.DataFrame:
        """Return the annotation of the groups."""
        groups, sizes = self.groups, self.groups.sizes()
        obs = self.strata.table.iloc[groups.stratum].copy()
        obs["n_obs_aggregated"] = sizes
        obs["psbulk_cells"] = sizes
        obs["psbulk_counts"] = np.concatenate(totals)
        first_cells = self.cells.obs_names[groups.rows[groups.offsets[:-1]]]
        obs.index = pd.Index(
            [cell if size == 1 else f"{cell}+{size - 1}" for cell, size in zip(first_cells, sizes, strict=True)]
        )
        return obs

    def _sums_in_memory(self) -> Iterator[_Sums]:
        names: dict[str, Any] = {"cell_names": self.cells.obs_names, "gene_names": self.cells.var_names}
        X, groups = self.cells.X, self.groups
        assert X is not None
        # cells in no group are not added, and so not checked on the way
        counts = X if groups.dropped == 0 else canonical_counts(X, require_integers=True, **names)
        recipe = self.recipe
        sums = group_sums(
            counts,
            groups,
            sparse=recipe.sparse or recipe.thin,
            threads=recipe.threads,
            require_integers=True,
            **names,
        )
        yield 0, sums, self._wanted(library_sizes(compressed_counts(X))) if recipe.thin else None

    def _buckets(self) -> list[Bucket]:
        cells, groups, recipe = self.cells, self.groups, self.recipe
        entries = 0 if recipe.sparse or recipe.thin else cells.n_vars
        return buckets_of(groups.rows, groups.offsets, cells.counts.expected_lengths(), entries_per_group=entries)

    def _entries(self, buckets: list[Bucket]) -> int:
        """Return the stored entries of the cells that are set aside as they are, where they are known before."""
        lengths = self.cells.counts.lengths
        held = [bucket.cells for bucket, alone in zip(buckets, alone_in(buckets), strict=True) if not alone]
        return 0 if lengths is None else sum(int(lengths[rows].sum()) for rows in held)

    def _sums_of_stored(self, folder: Path | None) -> Iterator[_Sums]:
        cells, thin = self.cells, self.recipe.thin
        buckets = self._buckets()
        entries, sizes = self._entries(buckets), np.zeros(cells.n_obs)

        def blocks() -> Iterator[tuple[int, sp.csr_matrix]]:
            with progress_bar("pseudobulk", cells.n_obs) as advance:
                for first, block in cells.blocks(require_integers=True, hashed=True):
                    if thin:
                        sizes[first : first + block.shape[0]] = library_sizes(block)
                    yield first, block
                    advance(block.shape[0])

        wanted = None
        for bucket, matrix in gathered(blocks(), buckets, shape=cells.shape, folder=folder, entries=entries):
            if thin and wanted is None:
                wanted = self._wanted(sizes)
            yield bucket.first, self.recipe.sums(bucket, matrix), wanted

    def _shared_out(self, executor: Executor, within: Path | None) -> Iterator[_Values]:
        """Have others set ranges of cells aside by bucket, and then aggregate buckets, in a folder that all see."""
        cells, groups, recipe = self.cells, self.groups, self.recipe
        buckets = self._buckets()
        with SharedFolder.make(within, least=least_bytes(self._entries(buckets), cells.n_vars)) as folder:
            folder.save("cells", bucket=bucket_numbers(buckets, cells.n_obs))
            folder.save("buckets", alone=alone_in(buckets))
            folder.save("groups", rows=groups.rows, offsets=groups.offsets)
            set_aside = partial(_set_range_aside, thin=recipe.thin)
            sizes, n_parts = np.zeros(cells.n_obs), 0
            with progress_bar("pseudobulk: reading", cells.n_obs) as advance:
                for unit, _ in map_ranges(set_aside, cells, folder, executor=executor, require_integers=True):
                    if recipe.thin:
                        sizes[unit.first : unit.last] = folder.load(f"part-{unit.number}", "sizes")
                    n_parts += 1
                    advance(unit.last - unit.first)
            if recipe.thin:
                folder.save("wanted", sizes=self._wanted(sizes))
            units = [
                _BucketUnit(folder, number, bucket.first, bucket.last, n_parts, cells.n_vars)
                for number, bucket in enumerate(buckets)
            ]
            ended, number = set(), 0
            with (
                progress_bar("pseudobulk: adding", groups.stratum.size) as advance,
                closing(map_units(partial(_add_bucket, recipe=recipe), units, executor=executor)) as outcomes,
            ):
                for place, outcome in outcomes:
                    if isinstance(outcome, Exception):
                        raise_of_worker(outcome)
                    ended.add(place)
                    while number in ended:
                        yield _take_values(folder, number, cells.n_vars)
                        advance(units[number].last - units[number].first)
                        number += 1

    def _wanted(self, sizes: np.ndarray) -> np.ndarray:
        """Choose the library size of a random cell of its stratum for each group."""
        wanted = np.empty(self.groups.stratum.size)
        by_stratum = np.argsort(self.groups.stratum, kind="stable")
        ends = np.cumsum(np.bincount(self.groups.stratum, minlength=len(self.strata.table)))
        for stratum, (rows, here) in enumerate(zip(self.strata.rows(), np.split(by_stratum, ends[:-1]), strict=True)):
            wanted[here] = bootstrap_sizes(sizes[rows], here.size, key=self.recipe.key, first_cell=stratum << 40)
        return wanted


@dataclass(frozen=True)
class _BucketUnit:
    """A bucket to be added: the groups ``[first, last)``, whose cells lie in so many parts of so many genes."""

    folder: SharedFolder
    number: int
    first: int
    last: int
    n_parts: int
    n_genes: int


def _set_range_aside(unit: CellRange, *, thin: bool) -> tuple[list[bytes], None]:
    """Set the cells of a range aside by bucket."""
    folder, rows = unit.folder, unit.rows()
    digest = ContentDigest(rows.form, rows.shape)
    sizes = []

    def blocks() -> Iterator[tuple[int, sp.csr_matrix]]:
        with closing(unit.blocks(digest, require_integers=True)) as read:
            for first, block in read:
                if thin:
                    sizes.append(library_sizes(block))
                yield first, block

    bucket_of = np.asarray(folder.load("cells", "bucket")[unit.first : unit.last])
    with folder.file(f"part-{unit.number}") as path:
        write_part(path, blocks(), bucket_of, np.asarray(folder.load("buckets", "alone")))
    if thin:
        folder.save(f"part-{unit.number}", sizes=np.concatenate(sizes))
    return digest.pieces(), None


def _add_bucket(unit: _BucketUnit, *, recipe: _Recipe) -> None:
    """Leave the values of the groups of a bucket in the folder."""
    folder, groups = unit.folder, slice(unit.first, unit.last)
    offsets = np.asarray(folder.load("groups", "offsets"))
    members = np.asarray(folder.load("groups", "rows")[offsets[unit.first] : offsets[unit.last]])
    bucket = Bucket.of(unit.first, unit.last, members, offsets)
    parts = (folder.place(f"part-{number}") for number in range(unit.n_parts))
    sums = recipe.sums(bucket, read_bucket(parts, unit.number, (members.size, unit.n_genes)))
    wanted = np.asarray(folder.load("wanted", "sizes")[groups]) if recipe.thin else None
    values, totals = recipe.values(unit.first, sums, np.diff(bucket.offsets), wanted)
    arrays = (
        {"dense": values}
        if isinstance(values, np.ndarray)
        else {"data": values.data, "indices": values.indices, "indptr": values.indptr}
    )
    folder.save(f"bucket-{unit.number}", totals=totals, **arrays)


def _take_values(folder: SharedFolder, number: int, n_genes: int) -> _Values:
    """Return what :func:`_add_bucket` left, and remove it."""
    name = f"bucket-{number}"
    totals = np.array(folder.load(name, "totals"))
    if folder.place(f"{name}.dense.npy").exists():
        values: sp.csr_matrix | np.ndarray = np.array(folder.load(name, "dense"))
    else:
        data, indices, indptr = (np.array(folder.load(name, part)) for part in ("data", "indices", "indptr"))
        values = sp.csr_matrix((data, indices, indptr), shape=(totals.size, n_genes))
    folder.remove(name)
    return values, totals


def _stacked(matrices: list[sp.csr_matrix | np.ndarray]) -> sp.csr_matrix | np.ndarray:
    if len(matrices) == 1:
        return matrices[0]
    if isinstance(matrices[0], np.ndarray):
        return np.concatenate(matrices)
    return sp.vstack(matrices, format="csr")


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
