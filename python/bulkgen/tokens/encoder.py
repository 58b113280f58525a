"""Blocks of counts to blocks of tokens."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from bulkgen.io import library_sizes
from bulkgen.kernels import get_kernels, ordered_map, resolve_threads
from bulkgen.kernels.row_encoding import RowEncoding
from bulkgen.tokens.arrow import ROWS_PER_BATCH
from bulkgen.tokens.obs import CELL_ID
from bulkgen.tokens.rows import CELLS_PER_BLOCK, TARGET_SUM, row_blocks
from bulkgen.tokens.summary import LISTED_CELLS, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy.typing as npt
    import scipy.sparse as sp

    from bulkgen.io import CellStore
    from bulkgen.tokens.dataset import Tokens
    from bulkgen.tokens.genes import GeneMap
    from bulkgen.tokens.summary import TokenizeSummary
    from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["Draw", "Encoder"]


class _Ranked(NamedTuple):
    """Cells of a batch: their `obs` rows, genes before the cut, tokens each, and the tokens and counts of all."""

    obs: pa.Table
    genes: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    tokens: Tokens
    values: npt.NDArray[np.float32]


class Draw(Protocol):
    """Makes cells and their tokens: those of ``len(lengths)`` cells from the first on, end to end."""

    def __call__(
        self,
        first: int,
        encoding: RowEncoding,
        tokens: Tokens,
        lengths: npt.NDArray[np.int64],
        genes: npt.NDArray[np.int64],
    ) -> None:
        """Write tokens, tokens per cell, and genes per cell before the cut."""


@dataclass
class Encoder:
    """Encodes blocks of cells, and keeps the sums that the summary is made of."""

    vocabulary: Vocabulary
    genes: GeneMap
    keep_empty: bool
    counts: bool
    threads: int | None
    tally: Tally = field(default_factory=Tally)

    def schema(self, obs: pa.Schema) -> pa.Schema:
        """Return the columns of the token data set, given those of `obs`."""
        fields = [
            pa.field("input_ids", pa.list_(self.token_type)),
            pa.field("length", pa.int64()),
        ]
        if self.counts:
            fields.append(pa.field("counts", pa.list_(pa.float32())))
        return pa.schema([*fields, *obs])

    @property
    def token_type(self) -> pa.DataType:
        """Arrow's type of a token: the smaller of int16 and int32 that holds the vocabulary."""
        small = self.vocabulary.size <= np.iinfo(np.int16).max + 1
        return pa.int16() if small else pa.int32()

    @property
    def encoding(self) -> RowEncoding:
        """What the kernels need to know of the columns."""
        limits = self.vocabulary
        return RowEncoding(
            self.genes.token,
            self.genes.median,
            self.genes.first_column,
            most_genes=limits.max_genes,
            cls=-1 if limits.cls is None else limits.cls,
            eos=-1 if limits.eos is None else limits.eos,
        )

    def encode_cells(self, cells: CellStore, obs: pa.Table, *, allow_fractional: bool) -> Generator[pa.RecordBatch]:
        """Encode cells block by block; their `obs` rows are given, and `allow_fractional` is that of `row_blocks`."""
        rows = max(1, min(CELLS_PER_BLOCK, 2**28 // self.vocabulary.context))
        blocks = row_blocks(cells, rows=rows, multiple_of=ROWS_PER_BATCH, allow_fractional=allow_fractional)
        with closing(blocks):
            for first, block in blocks:
                yield from self.encode(block, obs.slice(first, block.shape[0]))

    def encode(self, block: sp.csr_matrix, obs: pa.Table) -> Iterator[pa.RecordBatch]:
        """Encode the cells of a block, whose `obs` rows are given; while a batch is used the next are encoded."""
        sizes = library_sizes(block) if self.counts else None
        kernels, encoding = get_kernels(), self.encoding
        indptr = np.ascontiguousarray(block.indptr, dtype=np.int64)
        special = encoding.room(0)
        room = np.minimum(np.diff(indptr), encoding.most_genes) + special
        lengths, genes = np.empty((2, block.shape[0]), dtype=np.int64)

        def rank(rows: slice) -> _Ranked:
            tokens = np.empty(int(room[rows].sum()), dtype=self.token_type.to_pandas_dtype())
            values = np.empty(len(tokens) if self.counts else 0, dtype=np.float32)
            kernels.rank_tokens(
                indptr,
                block.indices,
                block.data,
                encoding.token,
                encoding.median,
                encoding.first_column,
                tokens,
                values,
                lengths,
                genes,
                most_genes=encoding.most_genes,
                cls=encoding.cls,
                eos=encoding.eos,
                first_row=rows.start,
                last_row=rows.stop,
            )
            if sizes is not None:
                # an empty cell has no counts to scale
                here = sizes[rows]
                values = values[: lengths[rows].sum()]
                values *= np.repeat(TARGET_SUM / np.where(here > 0, here, 1), lengths[rows])
            return _Ranked(obs.slice(rows.start, rows.stop - rows.start), genes[rows], lengths[rows], tokens, values)

        return self._batches(rank, len(room), self.schema(obs.schema))

    def encode_drawn(
        self, draw: Draw, n_cells: int, obs_of: Callable[[int, int], pa.Table]
    ) -> Iterator[pa.RecordBatch]:
        """Encode cells that are made as they are needed; `obs_of` gives the `obs` rows of a range of cells."""
        encoding = self.encoding
        room = encoding.room(len(encoding.token))

        def rank(rows: slice) -> _Ranked:
            n = rows.stop - rows.start
            tokens = np.empty(n * room, dtype=self.token_type.to_pandas_dtype())
            lengths, genes = np.empty((2, n), dtype=np.int64)
            draw(rows.start, encoding, tokens, lengths, genes)
            return _Ranked(obs_of(rows.start, rows.stop), genes, lengths, tokens, np.empty(0, np.float32))

        return self._batches(rank, n_cells, self.schema(obs_of(0, 0).schema))

    def _batches(self, rank: Callable[[slice], _Ranked], n_rows: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Rank rows in threads, and put them together in order."""
        ranges = [slice(first, min(first + ROWS_PER_BATCH, n_rows)) for first in range(0, n_rows, ROWS_PER_BATCH)]
        threads = max(1, min(resolve_threads(self.threads), len(ranges)))
        for ranked in ordered_map(rank, ranges, threads=threads):
            yield self._batch(schema, ranked)

    def _batch(self, schema: pa.Schema, ranked: _Ranked) -> pa.RecordBatch:
        """Put the cells of a batch together, without those that are empty."""
        obs, genes, lengths, tokens, values = ranked
        tally = self.tally
        tally.cells_in += len(genes)
        tally.saturated += int(np.count_nonzero(genes >= self.vocabulary.max_genes))
        empty = genes == 0
        if empty.any():
            tally.empty += int(np.count_nonzero(empty))
            room = LISTED_CELLS - len(tally.empty_cells)
            tally.empty_cells += obs[CELL_ID].take(pa.array(np.flatnonzero(empty)[:room])).to_pylist()
            if not self.keep_empty:
                kept = ~empty
                inside = np.repeat(kept, lengths)
                tokens, values = tokens[: len(inside)][inside], values[inside] if self.counts else values
                lengths, obs = lengths[kept], obs.filter(pa.array(kept))
        tally.add_lengths(lengths)
        offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        used = tokens[: offsets[-1]]
        if 2 * len(used) < len(tokens):
            # a batch that is kept would keep the room that it did not need
            used = used.copy()
        columns = [pa.ListArray.from_arrays(pa.array(offsets), pa.array(used)), pa.array(lengths)]
        if self.counts:
            columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)))
        columns += [column.combine_chunks() for column in obs.columns]
        return pa.record_batch(columns, schema=schema)

    def summary(self) -> TokenizeSummary:
        """Return what was done so far."""
        return self.tally.summary(self.genes, keep_empty=self.keep_empty)
