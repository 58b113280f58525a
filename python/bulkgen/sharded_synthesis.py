"""Synthetic cells or their tokens in shards: a job that may be killed, spread and gone on with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.cell_request import CellRequest, cell_name, cells_per_stratum
from bulkgen.fits import Fit, load_fit
from bulkgen.io import content_hash, open_cells, open_shards, provenance_of
from bulkgen.io.cell_shards import manifest_text, write_cell_shard
from bulkgen.io.executors import active_executor
from bulkgen.io.shard_jobs import Shards, make_shards
from bulkgen.io.shards import MANIFEST_FILE, ShardFolder
from bulkgen.rng import STREAM_VERSION
from bulkgen.tokens.arrow import bulkgen_version, load_dataset, plain_provenance
from bulkgen.tokens.drawn import DrawnCells
from bulkgen.tokens.shards import data_set_files, write_shard
from bulkgen.tokens.vocabulary import VOCABULARY_FILE, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anndata import AnnData

    from bulkgen.io import Cells
    from bulkgen.io.shards import ShardRecord
    from bulkgen.tokens import TokenDataset

__all__ = ["TokenOptions", "memory_per_cell", "source_of", "synthesize_shards"]

_FIT_FILE = "fit.h5ad"
#: Cells that are made to see what memory a cell takes.
_FEW = 320


@dataclass(frozen=True)
class TokenOptions:
    """How cells become tokens, as :func:`bulkgen.tokenize` takes it."""

    vocabulary: Vocabulary
    label: str | None
    columns: Sequence[str] | None
    gene_ids: str | None
    keep_empty: bool

    def asked(self) -> dict[str, object]:
        """Return what decides the tokens, as JSON can hold it."""
        return {
            "vocabulary": self.vocabulary.fingerprint,
            "vocabulary_name": self.vocabulary.name,
            "label": self.label,
            "columns": None if self.columns is None else list(self.columns),
            "gene_ids": self.gene_ids,
            "keep_empty": self.keep_empty,
        }


def synthesize_shards(
    out: str | Path,
    make_fit: Callable[[], Fit],
    source: Mapping[str, object],
    *,
    n_cells: int | Mapping[str, int],
    key: int,
    shard_size: int,
    tokens: TokenOptions | None,
    cell_format: Literal["h5ad", "zarr"],
    resume: bool,
    shard: tuple[int, int],
    executor: object | None,
    threads: int | None,
    force: bool,
) -> Shards[TokenDataset] | Shards[AnnData]:
    """Make what is missing of a folder of shards, as :func:`bulkgen.synthesize` does with `shard_size`.

    Parameters
    ----------
    out
        The folder.
    make_fit
        Called once for a folder; what it returns is stored there.
    source
        What the fit is made from, by which a folder made from something else is told.
    n_cells, shard_size, resume, shard, executor, threads, force
        As in :func:`bulkgen.synthesize`.
    key
        64-bit key of the random streams.
    tokens
        How cells become tokens; ``None`` for cells.
    cell_format
        Of cells.
    """
    asked = {
        "to": "cells" if tokens is None else "tokens",
        "fit": source,
        # NumPy's integers become plain ones
        "n_cells": json.loads(json.dumps(n_cells, default=int)),
        "key": f"{key:016x}",
        "shard_size": shard_size,
        "stream_version": STREAM_VERSION,
        **({"format": cell_format} if tokens is None else tokens.asked()),
    }

    def prepare(folder: Path) -> dict[str, object]:
        fit = make_fit()
        request = CellRequest(fit, cells_per_stratum(n_cells, list(fit.strata.index)))
        if tokens is not None:
            drawn = _drawn(request, key, tokens)
            # what cannot be is refused before any cell is drawn
            drawn.encoder(threads=1)
            _ = drawn.names
            (folder / VOCABULARY_FILE).write_text(tokens.vocabulary.to_json(), encoding="utf-8")
        fit.save(folder / _FIT_FILE)
        return {
            "rows": request.total,
            "shard_size": shard_size,
            "suffix": f".{cell_format}" if tokens is None else ".arrow",
            "numbers": request.numbers,
            "provenance": plain_provenance(request.record(key)),
            "bulkgen": bulkgen_version(),
        }

    engine = active_executor(executor)
    folder = ShardFolder.begin(out, asked, prepare, join=resume or shard[1] > 1)
    done, total = make_shards(
        folder, _open, title="synthesize", shard=shard, executor=engine, threads=threads, force=force
    )
    if tokens is None:
        return Shards(folder.path, "cells", done, total, open_shards)
    return Shards(folder.path, "tokens", done, total, load_dataset)


def _drawn(request: CellRequest, key: int, options: TokenOptions) -> DrawnCells:
    return DrawnCells(
        request.draw_tokens(key),
        request.numbers,
        request.strata(),
        cell_name,
        request.fit.var,
        options.vocabulary,
        options.label,
        options.columns,
        options.gene_ids,
        options.keep_empty,
    )


@dataclass(frozen=True)
class _Job:
    """What a process that makes shards keeps of their folder."""

    folder: ShardFolder
    request: CellRequest
    tokens: TokenOptions | None

    @property
    def key(self) -> int:
        return int(self.folder.request["asked"]["key"], 16)

    @property
    def provenance(self) -> dict[str, object]:
        return cast("dict[str, object]", self.folder.request["facts"]["provenance"])

    def write(self, path: Path, first: int, last: int, *, threads: int | None) -> tuple[int, dict[str, object]]:
        """Write the cells ``[first, last)``."""
        request = self.request
        if self.tokens is not None:
            return write_shard(path, _drawn(request, self.key, self.tokens), first, last, threads=threads)
        cells = request.cells(first, last, key=self.key, record=self.provenance, threads=threads)
        for name in request.fit.strata.columns:
            values = cells.obs[name]
            if values.dtype == object:
                # the same categories in all shards, whichever of them a shard has
                has_cells = np.asarray(request.numbers) > 0
                categories = sorted(set(request.fit.strata[name][has_cells].dropna()))
                cells.obs[name] = pd.Categorical(values, categories)
        return last - first, write_cell_shard(path, cells)

    def try_out(self, path: Path, rows: int) -> int:
        """Write about so many cells of the strata in proportion; return their number."""
        few = _few(self.request, rows)
        replace(self, request=few).write(path, 0, few.total, threads=1)
        return few.total

    def memory(self, rows: int) -> float:
        """Return the bytes of memory that a shard of so many cells takes."""
        return 0.0 if self.tokens is not None else memory_per_cell(self.request, key=self.key) * rows

    def texts(self, records: Sequence[ShardRecord]) -> dict[str, str]:
        """Return the files that make the shards one data set."""
        asked, facts = self.folder.request["asked"], self.folder.request["facts"]
        more = {
            "stream_version": asked["stream_version"],
            "request": self.folder.fingerprint,
            "shard_size": asked["shard_size"],
        }
        if self.tokens is None:
            text = manifest_text(records, provenance=self.provenance, version=facts["bulkgen"], more=more)
            return {MANIFEST_FILE: text}
        drawn = _drawn(self.request, self.key, self.tokens)
        return data_set_files(drawn, records, provenance=self.provenance, version=facts["bulkgen"], more=more)


def _open(folder: ShardFolder) -> _Job:
    """Open the job of a folder."""
    asked = folder.request["asked"]
    tokens = None
    if asked["to"] == "tokens":
        vocabulary = Vocabulary.load(folder.file(VOCABULARY_FILE))
        tokens = TokenOptions(vocabulary, asked["label"], asked["columns"], asked["gene_ids"], asked["keep_empty"])
    return _Job(folder, CellRequest(load_fit(folder.file(_FIT_FILE)), folder.request["facts"]["numbers"]), tokens)


def source_of(
    fitted: Fit | None, bulk: Cells | None, reference: Cells | None, how: Mapping[str, object]
) -> dict[str, object]:
    """Return what a fit is made from, as JSON can hold it: `how`, and hashes of the cells or of the fit."""
    if fitted is not None:
        return {"fitted": fitted.fingerprint}
    return {
        "bulk": None if bulk is None else _hash_of(bulk),
        "reference": None if reference is None else _hash_of(reference),
        **how,
    }


def _hash_of(cells: Cells) -> str:
    """Hash all that a fit can read of cells or profiles: counts, names, annotation and provenance."""
    opened = open_cells(cells)
    digest = hashlib.sha256(content_hash(opened).encode())
    for table in (opened.obs, opened.var):
        for name in table.columns:
            values = table[name]
            if values.dtype == object:
                values = values.astype(str)
            digest.update(f"{name}\0".encode())
            digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    digest.update(json.dumps(provenance_of(opened), sort_keys=True, default=str).encode())
    return digest.hexdigest()


def memory_per_cell(request: CellRequest, *, key: int) -> float:
    """Return the bytes of memory that making a cell of a matrix takes, measured on a few hundred."""
    cells = _few(request, _FEW)
    matrix = cells.cells(0, cells.total, key=key, record={}, threads=1).X
    if sp.issparse(matrix):
        # its parts, and the matrix that they are put together to
        return 2 * float(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes) / cells.total
    return float(matrix.nbytes) / cells.total


def _few(request: CellRequest, n: int) -> CellRequest:
    """Return about so many cells, of the strata in proportion."""
    # fewer than one of a stratum becomes one here and there
    ends = np.cumsum(request.numbers, dtype=np.int64)
    shares = np.diff(ends * min(n, request.total) // request.total, prepend=0)
    return CellRequest(request.fit, shares.tolist(), request.epoch)
