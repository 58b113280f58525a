"""Token data sets of cells that are made as they are encoded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bulkgen.tokens.encode import collect, with_progress
from bulkgen.tokens.encoder import Encoder
from bulkgen.tokens.genes import map_genes
from bulkgen.tokens.obs import CELL_ID, label_names, obs_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.kernels.row_encoding import RowEncoding
    from bulkgen.tokens.dataset import TokenDataset, Tokens
    from bulkgen.tokens.encoder import Draw
    from bulkgen.tokens.genes import GeneMap
    from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["DrawnCells", "tokenize_drawn"]


@dataclass(frozen=True)
class DrawnCells:
    """Cells that exist as tokens only, and are made in any order, range by range.

    Attributes
    ----------
    draw
        Makes the tokens of a range of cells; called in threads.
    numbers
        Cells of each stratum; cells are numbered through, stratum by stratum.
    strata
        One row per stratum: the `obs` of its cells.
    cell_name
        Name of a cell by its number.
    var
        Annotation of the genes.
    vocabulary, label, columns, gene_ids, keep_empty
        As in :func:`bulkgen.tokenize`.
    """

    draw: Draw
    numbers: Sequence[int]
    strata: pd.DataFrame
    cell_name: Callable[[int], str]
    var: pd.DataFrame
    vocabulary: Vocabulary
    label: str | None
    columns: Sequence[str] | None
    gene_ids: str | None
    keep_empty: bool

    @cached_property
    def genes(self) -> GeneMap:
        """Tokens of the columns."""
        return map_genes(self.var, self.vocabulary, gene_ids=self.gene_ids)

    @cached_property
    def obs(self) -> pa.Table:
        """One row per stratum: the columns of the data set that are not tokens."""
        return obs_table(self.strata, label=self.label, columns=self.columns or ())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Labels of the strata that have cells, sorted."""
        if self.label is None:
            return ()
        return label_names(self.obs.filter(pa.array(np.asarray(self.numbers) > 0)), self.label)

    @cached_property
    def _ends(self) -> Int64Array:
        return np.cumsum(self.numbers, dtype=np.int64)

    @property
    def total(self) -> int:
        """Cells of all strata."""
        return int(self._ends[-1])

    def encoder(self, *, threads: int | None) -> Encoder:
        """Return what encodes them."""
        return Encoder(self.vocabulary, self.genes, keep_empty=self.keep_empty, counts=False, threads=threads)

    def batches(self, encoder: Encoder, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the cells ``[start, stop)``."""

        def draw(first: int, encoding: RowEncoding, tokens: Tokens, lengths: Int64Array, genes: Int64Array) -> None:
            self.draw(start + first, encoding, tokens, lengths, genes)

        return encoder.encode_drawn(draw, stop - start, lambda a, b: self._obs_of(start + a, start + b))

    def _obs_of(self, first: int, last: int) -> pa.Table:
        rows = self.obs.take(pa.array(np.searchsorted(self._ends, np.arange(first, last), side="right")))
        place = rows.schema.get_field_index(CELL_ID)
        ids = pa.array([self.cell_name(cell) for cell in range(first, last)], pa.string())
        return rows.set_column(place, rows.schema.field(place), ids)


def tokenize_drawn(
    cells: DrawnCells,
    *,
    provenance: Mapping[str, object],
    threads: int | None,
    out: str | Path | None,
    overwrite: bool,
) -> TokenDataset:
    """Tokenize cells that are drawn, as :func:`bulkgen.tokenize` would if they were all in memory.

    Parameters
    ----------
    cells
        Which.
    provenance
        How the cells are made.
    threads, out, overwrite
        As in :func:`bulkgen.tokenize`.
    """
    encoder = cells.encoder(threads=threads)
    return collect(
        with_progress("synthesize", cells.batches(encoder, 0, cells.total), encoder, total=cells.total),
        encoder,
        cells.obs.schema,
        label=cells.label,
        names=cells.names,
        provenance=provenance,
        out=out,
        overwrite=overwrite,
    )
