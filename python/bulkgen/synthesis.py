"""From bulk profiles to synthetic cells, or straight to their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, overload

from bulkgen.arguments import checked
from bulkgen.cell_request import CellRequest, cell_name, cells_per_stratum
from bulkgen.fits import Fit, fit_made, load_fit
from bulkgen.generators.registry import DEFAULT_METHOD, make_generator
from bulkgen.io import check_output
from bulkgen.io.resources import available_memory, require_memory
from bulkgen.io.shard_jobs import check_shard_arguments
from bulkgen.rng import key_from_rng
from bulkgen.sharded_synthesis import TokenOptions, memory_per_cell, source_of, synthesize_shards
from bulkgen.tokens.drawn import DrawnCells, tokenize_drawn
from bulkgen.tokens.encode import load_vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData

    from bulkgen.generators import Generator
    from bulkgen.io import Cells
    from bulkgen.io.executors import Executor
    from bulkgen.io.shard_jobs import Shards
    from bulkgen.rng import RandomState
    from bulkgen.tokens import TokenDataset, Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["synthesize", "synthesize_tokens"]


# first, because the parameters of generators would take its arguments
@overload
def synthesize(
    bulk: Cells | None = ...,
    *,
    fitted: Fit | str | Path | None = ...,
    reference: Cells | None = ...,
    by: str | Sequence[str] | None = ...,
    method: str | None = ...,
    n_cells: int | Mapping[str, int] = ...,
    rng: RandomState = ...,
    threads: int | None = ...,
    to: Literal["cells", "tokens"] = ...,
    vocabulary: str | Path | Vocabulary | None = ...,
    label: str | None = ...,
    columns: Sequence[str] | None = ...,
    gene_ids: str | None = ...,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = ...,
    keep_empty: bool = ...,
    out: str | Path,
    shard_size: int,
    format: Literal["h5ad", "zarr"] | None = ...,
    resume: bool = ...,
    shard: tuple[int, int] = ...,
    executor: Executor | object | None = ...,
    force: bool = ...,
    **parameters: Any,  # noqa: ANN401 - the generator checks them
) -> Shards[TokenDataset] | Shards[AnnData]: ...


@overload
def synthesize(
    bulk: Cells | None = ...,
    *,
    fitted: Fit | str | Path | None = ...,
    reference: Cells | None = ...,
    by: str | Sequence[str] | None = ...,
    method: str | None = ...,
    n_cells: int | Mapping[str, int] = ...,
    rng: RandomState = ...,
    threads: int | None = ...,
    to: Literal["cells"] = ...,
    force: bool = ...,
    **parameters: Any,  # noqa: ANN401 - the generator checks them
) -> AnnData: ...


@overload
def synthesize(
    bulk: Cells | None = ...,
    *,
    fitted: Fit | str | Path | None = ...,
    reference: Cells | None = ...,
    by: str | Sequence[str] | None = ...,
    method: str | None = ...,
    n_cells: int | Mapping[str, int] = ...,
    rng: RandomState = ...,
    threads: int | None = ...,
    to: Literal["tokens"],
    vocabulary: str | Path | Vocabulary = ...,
    label: str | None = ...,
    columns: Sequence[str] | None = ...,
    gene_ids: str | None = ...,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = ...,
    keep_empty: bool = ...,
    out: str | Path | None = ...,
    overwrite: bool = ...,
    **parameters: Any,  # noqa: ANN401 - the generator checks them
) -> TokenDataset: ...


@checked
def synthesize(
    bulk: Cells | None = None,
    *,
    fitted: Fit | str | Path | None = None,
    reference: Cells | None = None,
    by: str | Sequence[str] | None = None,
    method: str | None = None,
    n_cells: int | Mapping[str, int] = 1000,
    rng: RandomState = 0,
    threads: int | None = None,
    to: Literal["cells", "tokens"] = "cells",
    vocabulary: str | Path | Vocabulary | None = None,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    gene_ids: str | None = None,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = None,
    keep_empty: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    shard_size: int | None = None,
    format: Literal["h5ad", "zarr"] | None = None,
    resume: bool = False,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | object | None = None,
    force: bool = False,
    **parameters: Any,
) -> AnnData | TokenDataset | Shards[TokenDataset] | Shards[AnnData]:
    """Generate synthetic cells from bulk profiles, or their tokens.

    Parameters
    ----------
    bulk
        Profiles from :func:`bulkgen.bulk_profiles` (strata x genes); or single cells, or samples from
        :func:`bulkgen.read_bulk`, with `by`, which are aggregated first.
    fitted
        Instead of `bulk`: a fit from :func:`bulkgen.fit_generator`, or the file that it was saved to.
    reference, by
        As in :func:`bulkgen.fit_generator`.
    method
        Name of the generator, one of :func:`bulkgen.generators.generator_names`; default ``truncated_gaussian``.
    n_cells
        Cells per stratum, or a mapping from stratum name (values joined by ``" | "``) to cells.
    rng
        Seed. Cell i of a stratum depends on the seed, i and the fit alone.
    threads
        Default: the CPUs available.
    to
        ``cells``: an AnnData. ``tokens``: the token data set that :func:`bulkgen.tokenize` would make of these cells,
        the same in every token, but made cell by cell: no matrix of cells exists, and written to `out`, millions of
        cells need no more memory than a few thousand.
    vocabulary, label, columns, gene_ids, vocabulary_path, keep_empty, out, overwrite
        With ``to="tokens"``: as in :func:`bulkgen.tokenize` (`vocabulary` is ``"V1"`` by default; `columns` are the
        grouping columns of the profiles and ``synthetic``).
    shard_size
        Write so many cells at a time to shards in the folder `out`, tokens or cells. The shards are the same bytes
        whatever is interrupted, in whatever order and by however many processes they are made; the fit is made once
        and stored in the folder.
    format
        Of shards of cells: ``h5ad`` (default) or ``zarr``.
    resume
        Go on with a folder of shards: each is verified, what is missing or damaged is made.
    shard
        ``(i, n)``: make only the i-th of n equal shares of the shards, from 1. Jobs with the shares of one folder may
        run at the same time, on machines that see it; the last one makes the folder whole.
    executor
        Make shards on a ``concurrent.futures.Executor`` or the like, or a ``distributed.Client``, whose workers see
        the same folder; `threads` are then those of each shard, 1 by default. Default: the active
        ``distributed.Client``, else this process.
    force
        Begin even if space or memory will not suffice, as far as one can tell.
    **parameters
        Of the generator, see :mod:`bulkgen.generators`, e.g. :class:`~bulkgen.generators.donor_shift.DonorShift`.

    Returns
    -------
    anndata.AnnData
        Cells x genes of the profiles, float32, stratum by stratum; CSR where the generator makes whole counts.
        ``obs``: the grouping columns, ``synthetic`` (True), and what the generator knows of each cell (``donor``, the
        row of the reference cell that it is made from; ``state``). Provenance in ``uns["bulkgen"]``.
    TokenDataset
        With ``to="tokens"``.
    Shards
        With `shard_size`: where they are and how many are done; ``open()`` gives all of them as one.

    Raises
    ------
    LabelError
        If a grouping column or stratum is missing, or has too few cells.
    GeneOverlapError
        If fewer than half of the profiles' genes are in the reference; with ``to="tokens"``, if under 10 % of them are
        genes of the vocabulary.
    VocabularyError
        If the vocabulary cannot be found or read.
    OutputExistsError
        If `out` exists and `overwrite` is false; if it holds shards and `resume` is false.
    ResumeError
        If `out` holds the shards of another request; the message names the difference.
    ShardError
        If a shard could not be made; those that are done stay.
    ResourcesError
        If there is not enough space or memory, unless `force`.
    ValueError
        For an unknown method or parameter, an argument of tokens where cells are asked for, or an argument of the fit
        beside `fitted`.
    """
    if to not in ("cells", "tokens"):
        raise ValueError(f"to must be 'cells' or 'tokens', got {to!r}")
    if to == "cells":
        of_tokens = {
            "vocabulary": vocabulary,
            "label": label,
            "columns": columns,
            "gene_ids": gene_ids,
            "vocabulary_path": vocabulary_path,
            "keep_empty": keep_empty or None,
        }
        if shard_size is None:
            of_tokens |= {"out": out, "overwrite": overwrite or None}
        named = [name for name, value in of_tokens.items() if value is not None]
        if named:
            raise ValueError(
                f"{named[0]!r} is an argument of tokens: pass to='tokens' too (cells are written with bulkgen.write)"
            )
    shard_size = check_shard_arguments(
        shard_size,
        out=out,
        overwrite=overwrite,
        shard=shard,
        # a matrix of cells may need it too
        of_shards={"format": format, "resume": resume, "executor": executor, "force": force and to == "tokens"},
    )
    if shard_size is not None and format not in (None, *(("h5ad", "zarr") if to == "cells" else ())):
        raise ValueError(f"format must be 'h5ad' or 'zarr', of cells alone; got {format!r}")
    given, generator = _given(fitted, bulk, reference=reference, by=by, method=method, parameters=parameters)

    def make_fit() -> Fit:
        if given is not None:
            return given
        assert generator is not None
        assert bulk is not None
        return fit_made(*generator, bulk, reference=reference, by=by, threads=threads)

    def request() -> CellRequest:
        fit = make_fit()
        return CellRequest(fit, cells_per_stratum(n_cells, list(fit.strata.index)))

    key = key_from_rng(rng)
    if to == "cells" and shard_size is None:
        cells = request()
        _check_memory(cells, key=key, force=force)
        return cells.cells(0, cells.total, key=key, record=cells.record(key), threads=threads)
    if out is not None and shard_size is None:
        check_output(out, overwrite=overwrite)
    loaded = load_vocabulary("V1" if vocabulary is None else vocabulary, vocabulary_path) if to == "tokens" else None
    if out is not None and shard_size is not None:
        how: dict[str, object] = {"by": [by] if isinstance(by, str) else by}
        if generator is not None:
            how |= {"method": generator[1], "parameters": generator[0].model_dump(mode="json")}
        return synthesize_shards(
            out,
            make_fit,
            source_of(given, bulk, reference, how),
            n_cells=n_cells,
            key=key,
            shard_size=shard_size,
            tokens=None if loaded is None else TokenOptions(loaded, label, columns, gene_ids, keep_empty),
            cell_format=format or "h5ad",
            resume=resume,
            shard=shard,
            executor=executor,
            threads=threads,
            force=force,
        )
    return synthesize_tokens(
        request(),
        key=key,
        vocabulary=cast("Vocabulary", loaded),
        label=label,
        columns=columns,
        gene_ids=gene_ids,
        keep_empty=keep_empty,
        threads=threads,
        out=out,
        overwrite=overwrite,
    )


def synthesize_tokens(
    cells: CellRequest,
    *,
    key: int,
    vocabulary: Vocabulary,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    gene_ids: str | None = None,
    keep_empty: bool = False,
    threads: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> TokenDataset:
    """Draw cells straight to tokens, as :func:`synthesize` does.

    Parameters
    ----------
    cells
        Which.
    key
        64-bit key of the random streams.
    vocabulary, label, columns, gene_ids, keep_empty, threads, out, overwrite
        As in :func:`synthesize`.
    """
    return tokenize_drawn(
        DrawnCells(
            cells.draw_tokens(key),
            cells.numbers,
            cells.strata(),
            cell_name,
            cells.fit.var,
            vocabulary,
            label,
            columns,
            gene_ids,
            keep_empty,
        ),
        provenance=cells.record(key),
        threads=threads,
        out=out,
        overwrite=overwrite,
    )


def _given(
    fitted: Fit | str | Path | None,
    bulk: Cells | None,
    *,
    reference: Cells | None,
    by: str | Sequence[str] | None,
    method: str | None,
    parameters: dict[str, object],
) -> tuple[Fit, None] | tuple[None, tuple[Generator, str]]:
    """Return the fit to draw from, or the generator to fit, whose parameters have been checked."""
    if fitted is not None:
        given = {"bulk": bulk, "reference": reference, "by": by, "method": method, **parameters}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ValueError(f"{named[0]!r} is settled in a fitted generator; pass it to bulkgen.fit_generator instead")
        return (fitted if isinstance(fitted, Fit) else load_fit(fitted)), None
    method = DEFAULT_METHOD if method is None else method
    generator = make_generator(method, parameters)
    if bulk is None:
        raise ValueError("there is nothing to make cells from: pass bulk, or fitted= (--fitted)")
    return None, (generator, method)


def _check_memory(cells: CellRequest, *, key: int, force: bool) -> None:
    """Refuse a matrix of cells that memory does not hold."""
    available = available_memory()
    # no cell takes more than the values of all genes, their columns, and both once more while they are put together
    if available is None or cells.total * len(cells.fit.var) * 16 <= available:
        return
    require_memory(
        int(memory_per_cell(cells, key=key) * cells.total),
        what=f"a matrix of {cells.total:,} cells and {len(cells.fit.var):,} genes",
        remedy="write shards with out= and shard_size= (--shard-size), or tokens with to='tokens' (--tokens)",
        force=force,
    )
