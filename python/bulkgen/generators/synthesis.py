"""From bulk profiles to synthetic cells."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.errors import GeneOverlapError, LabelError
from bulkgen.generators.base import Bulk, Reference, make_generator
from bulkgen.io import canonical_counts, make_anndata, provenance, provenance_of
from bulkgen.profiles import bulk_profiles, gene_moments
from bulkgen.rng import key_from_rng
from bulkgen.splits import strata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from bulkgen.rng import RandomState

__all__ = ["synthesize"]


def synthesize(
    bulk: AnnData,
    *,
    reference: AnnData | None = None,
    by: str | Sequence[str] | None = None,
    method: str = "truncated_gaussian",
    n_cells: int | Mapping[str, int] = 1000,
    rng: RandomState = 0,
    threads: int | None = None,
    **parameters: object,
) -> AnnData:
    """Generate synthetic cells from bulk profiles.

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
    **parameters
        Of the generator, see e.g. :class:`bulkgen.generators.TruncatedGaussian`.

    Returns
    -------
    anndata.AnnData
        Cells x genes of the profiles, dense float32, stratum by stratum. ``obs``: the grouping columns and
        ``synthetic`` (True). Provenance in ``uns["bulkgen"]``.

    Raises
    ------
    LabelError
        If a grouping column or stratum is missing, or has too few cells.
    GeneOverlapError
        If fewer than half of the profiles' genes are in the reference.
    ValueError
        For an unknown method or parameter.
    """
    generator = make_generator(method, dict(parameters))
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
    key = key_from_rng(rng)
    out = np.empty((sum(numbers), profiles.n_vars), np.float32)
    start = 0
    for stratum, number in enumerate(numbers):
        fitted.sample(stratum, out[start : start + number], key=key, first_cell=start, threads=threads)
        start += number
    obs = profiles.obs[columns].iloc[np.repeat(np.arange(len(numbers)), numbers)].copy()
    obs["synthetic"] = True
    obs.index = pd.Index([f"synthetic-{i}" for i in range(start)])
    record = {
        "method": method,
        "n_cells": dict(zip(profiles.obs_names, numbers, strict=True)),
        **generator.model_dump(),
    }
    return make_anndata(
        out,
        obs=obs,
        var=profiles.var.copy(),
        uns={"bulkgen": {**provenance("synthetic", record, key=key, source=reference), "synthetic": 1}},
    )


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
        warnings.warn(f"{message}; the others are left out", stacklevel=3)
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
    if isinstance(n_cells, Integral):
        numbers = [int(n_cells)] * len(names)
    elif not isinstance(n_cells, Mapping):
        raise TypeError(f"n_cells must be an integer, or a mapping from stratum to integer, got {n_cells!r}")
    else:
        unknown = [name for name in n_cells if name not in names]
        if unknown:
            raise LabelError(f"n_cells names the stratum {unknown[0]!r}; strata: {', '.join(map(repr, names))}")
        numbers = [n_cells.get(name, 0) for name in names]
    if min(numbers) < 0 or sum(numbers) < 1:
        raise ValueError(f"n_cells must be at least 1, got {n_cells}")
    return numbers
