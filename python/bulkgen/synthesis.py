"""From bulk profiles to synthetic cells, or straight to their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, overload

import numpy as np
import pandas as pd

from bulkgen.errors import LabelError
from bulkgen.fits import Fit, fit_made, load_fit
from bulkgen.generators.registry import DEFAULT_METHOD, make_generator
from bulkgen.io import check_output, make_anndata, provenance
from bulkgen.rng import key_from_rng
from bulkgen.tokens.drawn import tokenize_drawn
from bulkgen.tokens.encode import load_vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from anndata import AnnData

    from bulkgen.kernels.protocol import Int64Array, TokenArray
    from bulkgen.kernels.row_encoding import RowEncoding
    from bulkgen.rng import RandomState
    from bulkgen.tokens import TokenDataset, Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["CellRequest", "cells_per_stratum", "synthesize", "synthesize_tokens"]


@overload
def synthesize(
    bulk: AnnData | None = ...,
    *,
    fitted: Fit | str | Path | None = ...,
    reference: AnnData | None = ...,
    by: str | Sequence[str] | None = ...,
    method: str | None = ...,
    n_cells: int | Mapping[str, int] = ...,
    rng: RandomState = ...,
    threads: int | None = ...,
    to: Literal["cells"] = ...,
    **parameters: Any,  # noqa: ANN401 - the generator checks them
) -> AnnData: ...


@overload
def synthesize(
    bulk: AnnData | None = ...,
    *,
    fitted: Fit | str | Path | None = ...,
    reference: AnnData | None = ...,
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


def synthesize(
    bulk: AnnData | None = None,
    *,
    fitted: Fit | str | Path | None = None,
    reference: AnnData | None = None,
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
    **parameters: Any,
) -> AnnData | TokenDataset:
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
        Cells per stratum, or a mapping from stratum name (values joined by `` | ``) to cells.
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
    **parameters
        Of the generator, see e.g. :class:`bulkgen.generators.TruncatedGaussian`.

    Returns
    -------
    anndata.AnnData
        Cells x genes of the profiles, float32, stratum by stratum; CSR where the generator makes whole counts.
        ``obs``: the grouping columns, ``synthetic`` (True), and what the generator knows of each cell (``donor``, the
        row of the reference cell that it is made from; ``state``). Provenance in ``uns["bulkgen"]``.
    TokenDataset
        With ``to="tokens"``.

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
        If `out` exists and `overwrite` is false.
    ValueError
        For an unknown method or parameter, an argument of tokens where cells are asked for, or an argument of the fit
        beside `fitted`.
    """
    if to not in ("cells", "tokens"):
        raise ValueError(f"to must be 'cells' or 'tokens', got {to!r}")
    if to == "cells":
        given = {
            "vocabulary": vocabulary,
            "label": label,
            "columns": columns,
            "gene_ids": gene_ids,
            "vocabulary_path": vocabulary_path,
            "keep_empty": keep_empty or None,
            "out": out,
            "overwrite": overwrite or None,
        }
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ValueError(
                f"{named[0]!r} is an argument of tokens: pass to='tokens' too (cells are written with bulkgen.write)"
            )

    def request() -> CellRequest:
        fit = _fit(fitted, bulk, reference=reference, by=by, method=method, threads=threads, parameters=parameters)
        return CellRequest(fit, cells_per_stratum(n_cells, list(fit.strata.index)))

    if to == "cells":
        return _synthesize_cells(request(), key=key_from_rng(rng), threads=threads)
    if out is not None:
        check_output(out, overwrite=overwrite)
    loaded = load_vocabulary("V1" if vocabulary is None else vocabulary, vocabulary_path)
    return synthesize_tokens(
        request(),
        key=key_from_rng(rng),
        vocabulary=loaded,
        label=label,
        columns=columns,
        gene_ids=gene_ids,
        keep_empty=keep_empty,
        threads=threads,
        out=out,
        overwrite=overwrite,
    )


@dataclass(frozen=True)
class CellRequest:
    """Cells asked for of a fit: of every stratum so many, from the cell of a number on.

    Attributes
    ----------
    fit
        What they are drawn from.
    numbers
        Cells of each stratum.
    epoch
        The cells are those of this epoch of a training that never sees a cell twice: of a stratum with n cells in an
        epoch those from ``epoch * n`` on.
    """

    fit: Fit
    numbers: list[int]
    epoch: int = 0

    def strata(self) -> pd.DataFrame:
        """Return the ``obs`` row of the cells of each stratum."""
        strata = self.fit.strata.copy()
        strata["synthetic"] = True
        return strata

    def segments(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield stratum, first cell within it and number of cells of the parts of ``[first, last)`` in one stratum."""
        end = 0
        for stratum, number in enumerate(self.numbers):
            begin, end = end, end + number
            if max(first, begin) < min(last, end):
                start = max(first, begin)
                yield stratum, self.epoch * number + start - begin, min(last, end) - start

    def record(self, key: int) -> dict[str, str | int]:
        """Return the provenance of the cells."""
        parameters = {
            **self.fit.parameters,
            "n_cells": dict(zip(self.fit.strata.index, self.numbers, strict=True)),
        }
        if self.epoch:
            parameters["epoch"] = self.epoch
        made = provenance("synthetic", parameters, key=key, source=None)
        learned_from = {name: self.fit.record[name] for name in _SOURCE if name in self.fit.record}
        return {**made, **learned_from, "synthetic": 1}


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
    fit = cells.fit

    def draw(first: int, encoding: RowEncoding, tokens: TokenArray, lengths: Int64Array, genes: Int64Array) -> None:
        start = done = 0
        for stratum, first_cell, n in cells.segments(first, first + lengths.size):
            here = slice(done, done + n)
            fit.fitted.sample_tokens(
                stratum, encoding, tokens[start:], lengths[here], genes[here], key=key, first_cell=first_cell
            )
            start += int(lengths[here].sum())
            done += n

    return tokenize_drawn(
        draw,
        cells.numbers,
        cells.strata(),
        cell_name=_cell_name,
        var=fit.var,
        provenance=cells.record(key),
        vocabulary=vocabulary,
        label=label,
        columns=columns,
        gene_ids=gene_ids,
        keep_empty=keep_empty,
        threads=threads,
        out=out,
        overwrite=overwrite,
    )


def _fit(
    fitted: Fit | str | Path | None,
    bulk: AnnData | None,
    *,
    reference: AnnData | None,
    by: str | Sequence[str] | None,
    method: str | None,
    threads: int | None,
    parameters: dict[str, object],
) -> Fit:
    """Return the fit to draw from: the one that was passed, or a new one."""
    if fitted is not None:
        given = {"bulk": bulk, "reference": reference, "by": by, "method": method, **parameters}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ValueError(f"{named[0]!r} is settled in a fitted generator; pass it to bulkgen.fit_generator instead")
        return fitted if isinstance(fitted, Fit) else load_fit(fitted)
    method = DEFAULT_METHOD if method is None else method
    generator = make_generator(method, parameters)
    if bulk is None:
        raise ValueError("there is nothing to make cells from: pass bulk, or fitted= (--fitted)")
    return fit_made(generator, method, bulk, reference=reference, by=by, threads=threads)


#: What a fit's record says of the reference.
_SOURCE = ("input_hash", "history", "simulated")


def _synthesize_cells(request: CellRequest, *, key: int, threads: int | None) -> AnnData:
    fit = request.fit
    cells = fit.fitted.sample_strata(request.numbers, n_genes=len(fit.var), key=key, threads=threads)
    obs = request.strata().iloc[np.repeat(np.arange(len(request.numbers)), request.numbers)]
    known = [
        fit.fitted.cell_columns(stratum, number, key=key, first_cell=0)
        for stratum, number in enumerate(request.numbers)
        if number > 0
    ]
    for column in known[0]:
        obs[column] = np.concatenate([columns[column] for columns in known])
    obs.index = pd.Index([_cell_name(i) for i in range(len(obs))])
    return make_anndata(cells, obs=obs, var=fit.var.copy(), uns={"bulkgen": request.record(key)})


def _cell_name(number: int) -> str:
    return f"synthetic-{number}"


def cells_per_stratum(n_cells: int | Mapping[str, int], names: Sequence[str]) -> list[int]:
    """Return the cells of each stratum, from the same number for all or a mapping.

    Raises
    ------
    LabelError
        If the mapping names a stratum that there is not.
    TypeError, ValueError
        If a number is no integer, or negative, or there are no cells at all.
    """
    if _is_count(n_cells):
        numbers = [int(n_cells)] * len(names)
    elif not isinstance(n_cells, Mapping):
        raise TypeError(f"n_cells must be an integer, or a mapping from stratum to integer, got {n_cells!r}")
    else:
        unknown = [name for name in n_cells if name not in names]
        if unknown:
            raise LabelError(f"n_cells names the stratum {unknown[0]!r}; strata: {', '.join(map(repr, names))}")
        wrong = [name for name in n_cells if not _is_count(n_cells[name])]
        if wrong:
            raise TypeError(f"n_cells of stratum {wrong[0]!r} must be an integer, got {n_cells[wrong[0]]!r}")
        numbers = [int(n_cells.get(name, 0)) for name in names]
    if min(numbers) < 0 or sum(numbers) < 1:
        raise ValueError(f"n_cells must be at least 1, got {n_cells}")
    return numbers


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)
