"""Cells of a file to tokens in shards: a job that may be killed, spread and gone on with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bulkgen.io import CellStore, provenance_of
from bulkgen.io.executors import active_executor
from bulkgen.io.shard_jobs import Shards, make_shards
from bulkgen.io.shards import ShardFolder
from bulkgen.io.stored_rows import StoredRows
from bulkgen.tokens.arrow import bulkgen_version, load_dataset, plain_provenance
from bulkgen.tokens.encoder import Encoder
from bulkgen.tokens.genes import column_ids, map_genes
from bulkgen.tokens.obs import CELL_ID, label_names, obs_table
from bulkgen.tokens.rows import CELLS_PER_BLOCK, fractions_are_counts
from bulkgen.tokens.shards import data_set_files, write_shard
from bulkgen.tokens.vocabulary import VOCABULARY_FILE, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkgen.io.shards import ShardRecord
    from bulkgen.tokens.dataset import TokenDataset
    from bulkgen.tokens.genes import GeneMap

__all__ = ["tokenize_shards"]

_CELLS_FILE, _GENES_FILE = "cells.arrow", "genes.json"
#: Cells whose counts are looked at to tell whether a file is the one that a folder was made from.
_LOOKED_AT = 64


def tokenize_shards(
    cells: CellStore,
    out: str | Path,
    *,
    vocabulary: Vocabulary,
    label: str | None,
    columns: Sequence[str] | None,
    gene_ids: str | None,
    keep_empty: bool,
    counts: bool,
    allow_fractional: bool,
    shard_size: int,
    resume: bool,
    shard: tuple[int, int],
    executor: object | None,
    threads: int | None,
    force: bool,
) -> Shards[TokenDataset]:
    """Make what is missing of a folder of shards, as :func:`bulkgen.tokenize` does with `shard_size`.

    Parameters
    ----------
    cells
        In a file.
    out
        The folder.
    vocabulary, label, columns, gene_ids, keep_empty, counts, allow_fractional
        As in :func:`bulkgen.tokenize`.
    shard_size, resume, shard, executor, threads, force
        As in :func:`bulkgen.tokenize`.
    """
    stored = cells.stored
    if not isinstance(stored, StoredRows):
        raise ValueError(
            "shards are made of cells in a file, which every worker opens for itself: pass the path of an .h5ad file "
            "or a .zarr store (bulkgen.write makes one)"
        )
    # refuses what cannot be before a folder is begun
    map_genes(cells.var, vocabulary, gene_ids=gene_ids)
    obs = obs_table(cells.obs, label=label, columns=columns or ())
    names = label_names(obs, label) if label is not None else ()
    ids = list(column_ids(cells.var, gene_ids))
    asked = {
        "to": "tokens",
        "cells": _fingerprint(cells, stored, obs, ids),
        "vocabulary": vocabulary.fingerprint,
        "vocabulary_name": vocabulary.name,
        "label": label,
        "columns": None if columns is None else list(columns),
        "gene_ids": gene_ids,
        "keep_empty": keep_empty,
        "counts": counts,
        "allow_fractional": allow_fractional,
        "shard_size": shard_size,
    }

    def prepare(folder: Path) -> dict[str, object]:
        # settled here: what a shard sees of the values must not depend on where shards begin
        fractional = allow_fractional or fractions_are_counts(cells)
        (folder / VOCABULARY_FILE).write_text(vocabulary.to_json(), encoding="utf-8")
        (folder / _GENES_FILE).write_text(json.dumps(ids), encoding="utf-8")
        with pa.OSFile(str(folder / _CELLS_FILE), "wb") as sink, pa.ipc.new_file(sink, obs.schema) as writer:
            writer.write_table(obs, max_chunksize=min(shard_size, CELLS_PER_BLOCK))
        return {
            "rows": cells.n_obs,
            "shard_size": shard_size,
            "suffix": ".arrow",
            "label_names": list(names),
            "fractional": fractional,
            "provenance": plain_provenance(provenance_of(cells) or {}),
            "bulkgen": bulkgen_version(),
        }

    engine = active_executor(executor)
    folder = ShardFolder.begin(out, asked, prepare, join=resume or shard[1] > 1)
    opener = _Opener(str(Path(stored.path).absolute()), stored.group)
    done, total = make_shards(
        folder, opener, title="tokenize", shard=shard, executor=engine, threads=threads, force=force
    )
    return Shards(folder.path, "tokens", done, total, load_dataset)


def _fingerprint(cells: CellStore, stored: StoredRows, obs: pa.Table, genes: Sequence[str]) -> str:
    """Hash what tells cells from others without reading all of them.

    Names, annotation, provenance, the stored entries of every cell, and the counts of some.
    """
    head = {
        "shape": list(cells.shape),
        "form": stored.form,
        "genes": list(genes),
        "provenance": plain_provenance(provenance_of(cells) or {}),
        "columns": [[field.name, str(field.type)] for field in obs.schema],
    }
    digest = hashlib.sha256(json.dumps(head).encode())
    for batch in obs.to_batches(max_chunksize=CELLS_PER_BLOCK):
        digest.update(batch.serialize())
    if stored.lengths is not None:
        digest.update(stored.lengths.data)
    with stored.reader() as read:
        for cell in np.unique(np.linspace(0, cells.n_obs - 1, _LOOKED_AT).astype(np.int64)).tolist():
            row = read(cell, cell + 1)
            arrays = [row] if isinstance(row, np.ndarray) else [row.data, row.indices.astype(np.int64)]
            for array in arrays:
                digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Opener:
    """Where the counts are; what else is needed of the cells is in the folder."""

    path: str
    group: str

    def __call__(self, folder: ShardFolder) -> _Job:
        return _Job(folder, self.path, self.group)


@dataclass(frozen=True)
class _Job:
    """What a process that makes shards of tokens of a file keeps of their folder; also the tokens of all shards."""

    folder: ShardFolder
    path: str
    group: str

    @property
    def _asked(self) -> dict[str, Any]:
        found: dict[str, Any] = self.folder.request["asked"]
        return found

    @property
    def _facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.folder.request["facts"]
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of the tokens."""
        return Vocabulary.load(self.folder.file(VOCABULARY_FILE))

    @property
    def label(self) -> str | None:
        """The label column."""
        label: str | None = self._asked["label"]
        return label

    @property
    def names(self) -> tuple[str, ...]:
        """Its names, sorted."""
        return tuple(self._facts["label_names"])

    @cached_property
    def obs(self) -> pa.Table:
        """The columns of the data set that are not tokens, mapped into memory."""
        return pa.ipc.open_file(pa.memory_map(str(self.folder.file(_CELLS_FILE)))).read_all()

    @cached_property
    def _var(self) -> pd.DataFrame:
        ids = pd.Index(json.loads(self.folder.file(_GENES_FILE).read_text(encoding="utf-8")), dtype=object)
        column = self._asked["gene_ids"]
        return pd.DataFrame(index=ids) if column is None else pd.DataFrame({column: ids}, index=ids)

    @cached_property
    def _genes(self) -> GeneMap:
        return map_genes(self._var, self.vocabulary, gene_ids=self._asked["gene_ids"])

    def encoder(self, *, threads: int | None) -> Encoder:
        """Return what encodes cells."""
        keep_empty, counts = self._asked["keep_empty"], self._asked["counts"]
        return Encoder(self.vocabulary, self._genes, keep_empty=keep_empty, counts=counts, threads=threads)

    def batches(self, encoder: Encoder, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the cells ``[start, stop)``."""
        obs = self.obs.slice(start, stop - start).combine_chunks()
        names = pd.DataFrame(index=pd.Index(obs[CELL_ID].to_pylist(), dtype=object))
        cells = CellStore(names, self._var, {}, stored=StoredRows(self.path, self.group, (start, stop)))
        return encoder.encode_cells(cells, obs, allow_fractional=self._facts["fractional"])

    def write(self, path: Path, first: int, last: int, *, threads: int | None) -> tuple[int, dict[str, object]]:
        """Write the tokens of the cells ``[first, last)``."""
        return write_shard(path, self, first, last, threads=threads)

    def try_out(self, path: Path, rows: int) -> int:
        """Write the tokens of so many cells in the middle."""
        first = (self.folder.plan.rows - rows) // 2
        self.write(path, first, first + rows, threads=1)
        return rows

    def memory(self, rows: int) -> float:
        """Cells are read block by block."""
        return 0.0

    def texts(self, records: Sequence[ShardRecord]) -> dict[str, str]:
        """Return the files that make the shards one data set."""
        more = {"request": self.folder.fingerprint, "shard_size": self._asked["shard_size"]}
        return data_set_files(
            self, records, provenance=self._facts["provenance"], version=self._facts["bulkgen"], more=more
        )
