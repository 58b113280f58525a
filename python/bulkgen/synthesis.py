"""From bulk profiles to synthetic cells, or straight to their tokens."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, overload

import numpy as np
import pandas as pd

from bulkgen.errors import GeneOverlapError, LabelError
from bulkgen.generators.base import Bulk, Reference, make_generator
from bulkgen.io import canonical_counts, check_output, make_anndata, provenance, provenance_of
from bulkgen.profiles import bulk_profiles, gene_moments
from bulkgen.rng import key_from_rng
from bulkgen.splits import strata_of
from bulkgen.tokens.drawn import tokenize_drawn
from bulkgen.tokens.encode import load_vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from anndata import AnnData

    from bulkgen.generators.base import FittedGenerator, Generator
    from bulkgen.kernels.protocol import Int64Array, TokenArray
    from bulkgen.kernels.row_encoding import RowEncoding
    from bulkgen.rng import RandomState
    from bulkgen.tokens import TokenDataset, Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["synthesize"]


@overload
def synthesize(
    bulk: AnnData,
    *,
    reference: AnnData | None = ...,
    by: str | Sequence[str] | None = ...,
    method: str = ...,
    n_cells: int | Mapping[str, int] = ...,
    rng: RandomState = ...,
    threads: int | None = ...,
    to: Literal["cells"] = ...,
    **parameters: Any,  # noqa: ANN401 - the generator checks them
) -> AnnData: ...


@overload
def synthesize(
    bulk: AnnData,
    *,
    reference: AnnData | None = ...,
    by: str | Sequence[str] | None = ...,
    method: str = ...,
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
    bulk: AnnData,
    *,
    reference: AnnData | None = None,
    by: str | Sequence[str] | None = None,
    method: str = "truncated_gaussian",
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
        Profiles from :func:`bulkgen.bulk_profiles` (strata x genes), or single cells with `by`, which are aggregated
        first.
    reference
        Real cells that the generator learns variances from; must have the columns that the profiles were grouped by.
        Default: `bulk`, where that holds single cells.
    by
        Columns to aggregate single cells by; not needed for profiles.
    method
        Name of the generator: ``truncated_gaussian``.
    n_cells
        Cells per stratum, or a mapping from stratum name (values joined by `` | ``) to cells.
    rng
        Seed. Cell i of the result depends on the seed, i and the fit alone.
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
        Cells x genes of the profiles, dense float32, stratum by stratum. ``obs``: the grouping columns and
        ``synthetic`` (True). Provenance in ``uns["bulkgen"]``.
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
        For an unknown method or parameter, or an argument of tokens where cells are asked for.
    """
    generator = make_generator(method, dict(parameters))
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
        return _synthesize_cells(
            _fit(generator, bulk, reference=reference, by=by, n_cells=n_cells, threads=threads),
            method=method,
            key=key_from_rng(rng),
            threads=threads,
        )
    if out is not None:
        check_output(out, overwrite=overwrite)
    loaded = load_vocabulary("V1" if vocabulary is None else vocabulary, vocabulary_path)
    fit = _fit(generator, bulk, reference=reference, by=by, n_cells=n_cells, threads=threads)
    key = key_from_rng(rng)

    def draw(first: int, encoding: RowEncoding, tokens: TokenArray, lengths: Int64Array, genes: Int64Array) -> None:
        start = 0
        for stratum, begin, end in fit.segments(first, first + lengths.size):
            here = slice(begin - first, end - first)
            fit.fitted.sample_tokens(
                stratum, encoding, tokens[start:], lengths[here], genes[here], key=key, first_cell=begin
            )
            start += int(lengths[here].sum())

    return tokenize_drawn(
        draw,
        fit.numbers,
        fit.strata(),
        cell_name=_cell_name,
        var=fit.profiles.var,
        provenance=fit.record(method, key),
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
class _Fit:
    """A generator fitted to profiles, and the numbers of cells asked for."""

    generator: Generator
    profiles: AnnData
    reference: AnnData
    columns: list[str]
    numbers: list[int]
    fitted: FittedGenerator

    def strata(self) -> pd.DataFrame:
        """Return the ``obs`` row of the cells of each stratum."""
        strata: pd.DataFrame = self.profiles.obs[self.columns].copy()
        strata["synthetic"] = True
        return strata

    def segments(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield stratum, first and last cell of the parts of ``[first, last)`` that lie in one stratum."""
        end = 0
        for stratum, number in enumerate(self.numbers):
            begin, end = end, end + number
            if max(first, begin) < min(last, end):
                yield stratum, max(first, begin), min(last, end)

    def record(self, method: str, key: int) -> dict[str, str | int]:
        """Return the provenance of the cells."""
        parameters = {
            "method": method,
            "n_cells": dict(zip(self.profiles.obs_names, self.numbers, strict=True)),
            **self.generator.model_dump(),
        }
        return {**provenance("synthetic", parameters, key=key, source=self.reference), "synthetic": 1}


def _fit(
    generator: Generator,
    bulk: AnnData,
    *,
    reference: AnnData | None,
    by: str | Sequence[str] | None,
    n_cells: int | Mapping[str, int],
    threads: int | None,
) -> _Fit:
    if _is_profiles(bulk):
        profiles = bulk
        if reference is None:
            raise ValueError(
                "profiles alone hold no single cells: pass reference= (--reference), the real cells to learn from"
            )
    else:
        if by is None:
            raise ValueError("bulk holds single cells: say which columns to aggregate by with by= (--by)")
        profiles = bulk_profiles(bulk, by=by, threads=threads)
        reference = bulk if reference is None else reference
    columns = _grouping_columns(profiles)
    genes, reference = _common_genes(profiles, reference)
    profiles = profiles[:, genes]
    fitted = generator.fit(
        Bulk(profiles.obs[columns], np.asarray(profiles.layers["mean"], np.float64)),
        _reference(reference, columns, threads=threads),
    )
    numbers = _cells_per_stratum(n_cells, list(profiles.obs_names))
    return _Fit(generator, profiles, reference, columns, numbers, fitted)


def _synthesize_cells(fit: _Fit, *, method: str, key: int, threads: int | None) -> AnnData:
    n_cells = sum(fit.numbers)
    out = np.empty((n_cells, fit.profiles.n_vars), np.float32)
    for stratum, first, last in fit.segments(0, n_cells):
        fit.fitted.sample(stratum, out[first:last], key=key, first_cell=first, threads=threads)
    obs = fit.strata().iloc[np.repeat(np.arange(len(fit.numbers)), fit.numbers)]
    obs.index = pd.Index([_cell_name(i) for i in range(n_cells)])
    return make_anndata(out, obs=obs, var=fit.profiles.var.copy(), uns={"bulkgen": fit.record(method, key)})


def _cell_name(number: int) -> str:
    return f"synthetic-{number}"


def _is_profiles(adata: AnnData) -> bool:
    record = provenance_of(adata)
    return record is not None and record.get("kind") == "bulk_profiles"


def _grouping_columns(profiles: AnnData) -> list[str]:
    """Return the columns that the profiles were grouped by; ``obs`` may have gained others since."""
    record = provenance_of(profiles) or {}
    columns: list[str] = json.loads(str(record["parameters"]))["by"]
    return columns


def _common_genes(profiles: AnnData, reference: AnnData) -> tuple[list[str], AnnData]:
    """Return the profiles' genes that the reference has, in the profiles' order, and the reference cut to them."""
    for name, adata in (("bulk", profiles), ("reference", reference)):
        if not adata.var_names.is_unique:
            twice = adata.var_names[adata.var_names.duplicated()][0]
            raise ValueError(
                f"gene ids of the {name} must be unique, but {twice!r} occurs more than once; sum such columns first"
            )
    if profiles.var_names.equals(reference.var_names):
        return list(profiles.var_names), reference
    shared = profiles.var_names[profiles.var_names.isin(reference.var_names)]
    message = (
        f"{len(shared)} of the {profiles.n_vars} genes of the bulk are among the {reference.n_vars} of the reference "
        f"({len(shared) / max(1, profiles.n_vars):.0%})"
    )
    if len(shared) * 2 < profiles.n_vars:
        raise GeneOverlapError(f"{message}; at least half are needed: do both use the same kind of gene id?")
    if len(shared) < profiles.n_vars:
        warnings.warn(f"{message}; the others are left out", stacklevel=4)
    return list(shared), reference[:, shared]


def _reference(reference: AnnData, columns: Sequence[str], *, threads: int | None) -> Reference:
    matrix = canonical_counts(
        reference.X, require_integers=True, cell_names=reference.obs_names, gene_names=reference.var_names
    )
    strata = strata_of(reference.obs, columns)
    return Reference(
        strata.table,
        gene_moments(matrix, strata.codes, len(strata.table), threads=threads),
        gene_moments(matrix, np.zeros(matrix.shape[0], np.int64), 1, threads=threads),
    )


def _cells_per_stratum(n_cells: int | Mapping[str, int], names: Sequence[str]) -> list[int]:
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
