"""A generator fitted to bulk profiles and reference cells: made once, stored, and drawn from as often as wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.arguments import checked
from bulkgen.display import with_table
from bulkgen.errors import GeneOverlapError
from bulkgen.generators.base import Bulk, FittedGenerator, Generator, Reference, Sampled
from bulkgen.generators.registry import DEFAULT_METHOD, fitted_type_of, make_generator
from bulkgen.io import canonical_counts, make_anndata, open_cells, provenance, provenance_of, read, write
from bulkgen.profiles import bulk_profiles, holds_samples, unit_of
from bulkgen.splits import strata_of, systematic
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData

    from bulkgen.io import Cells, CellStore

__all__ = ["Fit", "fit_generator", "load_fit"]

#: Where a stored fit keeps what was learned.
_LEARNED = "bulkgen_fit"


@dataclass(frozen=True, repr=False)
class Fit:
    """What :func:`fit_generator` learned; draw from it with ``bulkgen.synthesize(fitted=...)``.

    Attributes
    ----------
    method
        Name of the generator.
    generator
        Its parameters.
    fitted
        Draws cells.
    strata
        One row per stratum: the grouping columns; the index names the strata.
    var
        Annotation of the genes.
    record
        Provenance.
    """

    method: str
    generator: Generator
    fitted: FittedGenerator
    strata: pd.DataFrame
    var: pd.DataFrame
    record: Mapping[str, str | int]

    def __repr__(self) -> str:
        return f"Fit({self.generator!r}, {len(self.strata):,} strata × {len(self.var):,} genes)"

    def _repr_html_(self) -> str:
        return with_table(self, self.strata)

    @property
    def parameters(self) -> dict[str, Any]:
        """Name of the generator and its parameters."""
        return {"method": self.method, **self.generator.model_dump(mode="json")}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of everything that decides the cells: the generator, what was learned, the genes."""
        digest = hashlib.sha256(json.dumps(self.parameters, sort_keys=True).encode())
        digest.update(json.dumps([self.strata.index.tolist(), self.var.index.tolist()]).encode())
        _add_to_digest(digest, self.fitted.state())
        return digest.hexdigest()

    @checked
    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write to ``.h5ad`` or ``.zarr``: strata x genes without values, and what was learned in ``uns``.

        Parameters
        ----------
        path
            The file or store to write.
        overwrite
            Replace it if it exists.

        Raises
        ------
        OutputExistsError
            If `path` exists and `overwrite` is false.
        ValueError
            If `path` ends in something else.
        """
        learned = {
            "method": self.method,
            "parameters": json.dumps(self.generator.model_dump(mode="json"), sort_keys=True),
            "state": self.fitted.state(),
        }
        shape = (len(self.strata), len(self.var))
        stored = make_anndata(
            sp.csr_matrix(shape, dtype=np.float32),
            obs=self.strata,
            var=self.var,
            uns={"bulkgen": dict(self.record), _LEARNED: learned},
        )
        write(stored, path, overwrite=overwrite)


def _add_to_digest(digest: hashlib._Hash, state: object) -> None:
    """Hash nested dictionaries of arrays, numbers and text; one byte order, whatever the machine's."""
    if isinstance(state, Mapping):
        for name in sorted(state):
            digest.update(f"{name}:".encode())
            _add_to_digest(digest, state[name])
        return
    values = np.asarray(state)
    if values.dtype.kind in "OU":
        digest.update(json.dumps(values.tolist()).encode())
        return
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    digest.update(f"{values.dtype.str}{values.shape}".encode())
    digest.update(values.data)


@checked
def load_fit(path: str | Path) -> Fit:
    """Read what :meth:`Fit.save` wrote.

    Parameters
    ----------
    path
        The file or store.

    Returns
    -------
    Fit

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    OSError
        If it cannot be read.
    ValueError
        If it is no stored fit, or its generator is not installed.
    """
    stored = read(path)
    learned = stored.uns.get(_LEARNED)
    if learned is None:
        raise ValueError(f"{path} is not a fitted generator; make one with bulkgen.fit_generator (bulkgen fit)")
    try:
        method, state = str(learned["method"]), learned["state"]
        parameters = json.loads(str(learned["parameters"]))
        if not isinstance(parameters, dict):
            raise TypeError("its parameters are no table")
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is a damaged fit: {error}; fit the generator anew") from error
    generator = make_generator(method, parameters)
    fitted = fitted_type_of(generator).from_state(state)
    record = {name: value for name, value in (provenance_of(stored) or {}).items() if isinstance(value, str | int)}
    return Fit(method, generator, fitted, stored.obs, stored.var, record)


@checked
def fit_generator(
    bulk: Cells,
    *,
    reference: Cells | None = None,
    by: str | Sequence[str] | None = None,
    method: str = DEFAULT_METHOD,
    reference_cells: int | None = None,
    threads: int | None = None,
    **parameters: Any,  # noqa: ANN401 - the generator checks them
) -> Fit:
    """Fit a generator to bulk profiles and reference cells.

    Parameters
    ----------
    bulk
        Profiles from :func:`bulkgen.bulk_profiles` (strata x genes); or single cells, or samples from
        :func:`bulkgen.read_bulk`, with `by`, which are aggregated first. An AnnData, a path, or
        :func:`bulkgen.open_cells` of these, as is the reference.
    reference
        Real cells that the generator learns from; must have the columns that the profiles were grouped by. Default:
        `bulk`, where that holds single cells. Cells on disk are read block by block; those that are learned from must
        fit into memory.
    by
        Columns to aggregate cells or samples by; not needed for profiles.
    method
        Name of the generator, one of :func:`bulkgen.generators.generator_names`.
    reference_cells
        Learn from so many cells of each stratum of the reference at most, taken at equal steps; moments are of all.
        Default: all cells.
    threads
        Default: the CPUs available.
    **parameters
        Of the generator, see :mod:`bulkgen.generators`, e.g. :class:`~bulkgen.generators.donor_shift.DonorShift`.

    Returns
    -------
    Fit

    Raises
    ------
    LabelError
        If a grouping column or stratum is missing, or has too few cells.
    GeneOverlapError
        If fewer than half of the profiles' genes are in the reference.
    CountsError
        If the reference holds no raw counts.
    MemoryError
        If the cells to learn from would take more than half of the memory.
    ValueError
        For an unknown method or parameter.
    """
    return fit_made(
        make_generator(method, parameters),
        method,
        bulk,
        reference=reference,
        by=by,
        reference_cells=reference_cells,
        threads=threads,
    )


def fit_made(
    generator: Generator,
    method: str,
    bulk: Cells,
    *,
    reference: Cells | None,
    by: str | Sequence[str] | None,
    reference_cells: int | None = None,
    threads: int | None,
) -> Fit:
    """Fit a generator whose parameters have been checked."""
    if reference_cells is not None and reference_cells < 1:
        raise ValueError(f"reference_cells must be at least 1, got {reference_cells}")
    bulk = open_cells(bulk)
    cells = bulk if reference is None else open_cells(reference)
    if _is_profiles(cells) or holds_samples(cells):
        raise ValueError(
            "profiles and bulk samples hold no single cells: pass reference= (--reference), the real cells to learn "
            "from"
        )
    if _is_profiles(bulk):
        profiles = bulk.to_memory()
    elif by is None:
        rows = "bulk samples" if holds_samples(bulk) else "single cells"
        raise ValueError(f"bulk holds {rows}: say which columns to aggregate by with by= (--by)")
    else:
        profiles = bulk_profiles(bulk, by=by, threads=threads)
    columns = _grouping_columns(profiles)
    genes, cells = _common_genes(profiles, cells)
    profiles = profiles[:, genes]
    known = _reference(cells, generator.reference_columns(columns), most=reference_cells, threads=threads)
    fitted = generator.fit(_bulk(profiles, columns), known)
    parameters = {"method": method, **generator.model_dump(mode="json")}
    if known.sampled is not None:
        parameters["reference_cells"] = reference_cells
    record = provenance("fit", parameters, key=None, source=cells)
    return Fit(method, generator, fitted, profiles.obs[columns].copy(), profiles.var.copy(), record)


def _is_profiles(adata: AnnData | CellStore) -> bool:
    record = provenance_of(adata)
    return record is not None and record.get("kind") == "bulk_profiles"


def _grouping_columns(profiles: AnnData) -> list[str]:
    """Return the columns that the profiles were grouped by; ``obs`` may have gained others since."""
    record = provenance_of(profiles) or {}
    columns: list[str] = json.loads(str(record["parameters"]))["by"]
    return columns


def _common_genes(profiles: AnnData, reference: CellStore) -> tuple[list[str], CellStore]:
    """Return the profiles' genes that the reference has, in the profiles' order, and the reference cut to them."""
    for name, genes in (("bulk", profiles.var_names), ("reference", reference.var_names)):
        if not genes.is_unique:
            twice = genes[genes.duplicated()][0]
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
        raise GeneOverlapError(
            f"{message}; at least half are needed: do both use the same kind of gene id? bulkgen.match_genes brings "
            "both to the ids of a vocabulary"
        )
    if len(shared) < profiles.n_vars:
        warn(f"{message}; the others are left out")
    return list(shared), reference.select_genes(shared)


def _bulk(profiles: AnnData, columns: Sequence[str]) -> Bulk:
    counts = profiles.X.toarray() if sp.issparse(profiles.X) else np.asarray(profiles.X)
    cells = profiles.obs["n_obs_aggregated"] if "n_obs_aggregated" in profiles.obs else np.zeros(profiles.n_obs)
    return Bulk(
        profiles.obs[list(columns)],
        np.ascontiguousarray(counts, np.float64),
        np.asarray(cells, np.int64),
        unit_of(profiles),
    )


def _reference(cells: CellStore, columns: Sequence[str], *, most: int | None, threads: int | None) -> Reference:
    """Return the cells to learn from, at most so many of each stratum."""
    strata = strata_of(cells.obs, columns)
    rows = np.arange(cells.n_obs)
    if most is not None and np.bincount(strata.codes).max() > most:
        rows = np.sort(np.concatenate([systematic(here, min(most, here.size)) for here in strata.rows()]))
    if cells.X is not None:
        counts = canonical_counts(
            cells.X, require_integers=True, cell_names=cells.obs_names, gene_names=cells.var_names
        )
        counts = counts if rows.size == cells.n_obs else counts[rows]
    else:
        counts = cells.take(rows, require_integers=True)
    sampled = None if rows.size == cells.n_obs else Sampled(cells, strata.codes, rows)
    return Reference(strata.table, strata.codes[rows], counts, threads, sampled)
