"""Token data sets in shards: each shard alone, and what makes them one data set."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from bulkgen.tokens.arrow import Layout
from bulkgen.tokens.summary import Tally, refuse_lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bulkgen.io.shards import ShardRecord
    from bulkgen.tokens.encoder import Encoder

__all__ = ["CellRanges", "data_set_files", "write_shard"]


class CellRanges(Protocol):
    """Cells that become tokens range by range."""

    @property
    def label(self) -> str | None:
        """The label column."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its names, sorted."""

    @property
    def obs(self) -> pa.Table:
        """The columns of the data set that are not tokens; its schema alone is looked at."""

    def encoder(self, *, threads: int | None) -> Encoder:
        """Return what encodes them."""

    def batches(self, encoder: Encoder, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the cells ``[start, stop)``."""


def write_shard(
    path: Path, cells: CellRanges, first: int, last: int, *, threads: int | None
) -> tuple[int, dict[str, object]]:
    """Write the cells ``[first, last)`` to an Arrow file.

    Returns
    -------
    rows
        Cells in the file.
    facts
        What :func:`data_set_files` needs to know of the shard.
    """
    encoder = cells.encoder(threads=threads)
    seen: set[str] = set()

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in cells.batches(encoder, first, last):
            if cells.label is not None:
                seen.update(batch.column(cells.label).unique().to_pylist())
            yield batch

    layout = Layout(encoder.schema(cells.obs.schema), cells.label, cells.names)
    with pa.OSFile(str(path), "wb") as sink:
        layout.write(sink, watched())
    return encoder.tally.cells_out, {"tally": encoder.tally.to_dict(), "labels": sorted(seen)}


def data_set_files(
    cells: CellRanges,
    records: Sequence[ShardRecord],
    *,
    provenance: Mapping[str, object],
    version: str,
    more: Mapping[str, object],
) -> dict[str, str]:
    """Return the texts of the files that make shards one data set, by name and in the order to write them.

    Parameters
    ----------
    cells
        Of all shards.
    records
        Of all shards, in their order.
    provenance, version, more
        As :meth:`bulkgen.tokens.arrow.Layout.files`.

    Raises
    ------
    CountsError, LabelError
        As in :func:`bulkgen.tokenize`, if all cells, or all of a label, are empty.
    """
    encoder = cells.encoder(threads=1)
    tally = Tally.total(Tally.from_dict(record.facts["tally"]) for record in records)
    seen = {label for record in records for label in record.facts["labels"]}
    refuse_lost(tally, seen, label=cells.label, names=cells.names)
    content = "".join(f"{record.sha256}\n" for record in records)
    return Layout(encoder.schema(cells.obs.schema), cells.label, cells.names).files(
        [record.name for record in records],
        rows=tally.cells_out,
        fingerprint=hashlib.sha256(content.encode()).hexdigest()[:32],
        vocabulary=encoder.vocabulary,
        summary=tally.summary(encoder.genes, keep_empty=encoder.keep_empty),
        provenance=provenance,
        version=version,
        more={**more, "shards": [record.identity() for record in records]},
    )
