"""Blocks of counts to blocks of tokens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bulkgen.io import library_sizes
from bulkgen.kernels import get_kernels, resolve_threads
from bulkgen.tokens.arrow import ROWS_PER_BATCH
from bulkgen.tokens.obs import CELL_ID
from bulkgen.tokens.rows import TARGET_SUM
from bulkgen.tokens.summary import TokenizeSummary

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import scipy.sparse as sp

    from bulkgen.tokens.dataset import Tokens
    from bulkgen.tokens.genes import GeneMap
    from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["Encoder"]

#: Empty cells that the summary names.
LISTED_CELLS = 10


@dataclass
class Encoder:
    """Encodes blocks of cells, and keeps the sums that the summary is made of."""

    vocabulary: Vocabulary
    genes: GeneMap
    keep_empty: bool
    counts: bool
    threads: int | None
    cells_in: int = 0
    cells_out: int = 0
    saturated: int = 0
    empty: int = 0
    empty_cells: list[str] = field(default_factory=list)
    lengths: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def schema(self, obs: pa.Table) -> pa.Schema:
        """Return the columns of the token data set."""
        small = self.vocabulary.size <= np.iinfo(np.int16).max + 1
        fields = [
            pa.field("input_ids", pa.list_(pa.int16() if small else pa.int32())),
            pa.field("length", pa.int64()),
        ]
        if self.counts:
            fields.append(pa.field("counts", pa.list_(pa.float32())))
        return pa.schema([*fields, *obs.schema])

    def encode(self, block: sp.csr_matrix, obs: pa.Table) -> Iterator[pa.RecordBatch]:
        """Encode the cells of a block, whose `obs` rows are given; while a batch is used the next are encoded."""
        sizes = library_sizes(block) if self.counts else None
        schema, limits = self.schema(obs), self.vocabulary
        token_type = schema.field("input_ids").type.value_type.to_pandas_dtype()
        kernels = get_kernels()
        indptr = np.ascontiguousarray(block.indptr, dtype=np.int64)
        room = np.minimum(np.diff(indptr), limits.max_genes) + (limits.context - limits.max_genes)
        lengths, genes = np.empty((2, block.shape[0]), dtype=np.int64)

        def rank(first: int) -> tuple[int, int, Tokens, npt.NDArray[np.float32]]:
            last = min(first + ROWS_PER_BATCH, len(room))
            tokens = np.empty(int(room[first:last].sum()), dtype=token_type)
            values = np.empty(len(tokens) if self.counts else 0, dtype=np.float32)
            kernels.rank_tokens(
                indptr,
                block.indices,
                block.data,
                self.genes.token,
                self.genes.median,
                self.genes.first_column,
                tokens,
                values,
                lengths,
                genes,
                most_genes=limits.max_genes,
                cls=-1 if limits.cls is None else limits.cls,
                eos=-1 if limits.eos is None else limits.eos,
                first_row=first,
                last_row=last,
            )
            return first, last, tokens, values

        starts = range(0, len(room), ROWS_PER_BATCH)
        threads = min(resolve_threads(self.threads), len(starts))
        with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
            for first, last, tokens, values in (map if pool is None else pool.map)(rank, starts):
                if sizes is not None:
                    # an empty cell has no counts to scale
                    here = sizes[first:last]
                    values = values[: lengths[first:last].sum()]
                    values *= np.repeat(TARGET_SUM / np.where(here > 0, here, 1), lengths[first:last])
                yield self._batch(
                    schema, obs.slice(first, last - first), genes[first:last], lengths[first:last], tokens, values
                )

    def _batch(
        self,
        schema: pa.Schema,
        obs: pa.Table,
        genes: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
        tokens: Tokens,
        values: npt.NDArray[np.float32],
    ) -> pa.RecordBatch:
        """Put the cells of a batch together, without those that are empty."""
        self.cells_in += len(genes)
        self.saturated += int(np.count_nonzero(genes >= self.vocabulary.max_genes))
        empty = genes == 0
        if empty.any():
            self.empty += int(np.count_nonzero(empty))
            room = LISTED_CELLS - len(self.empty_cells)
            self.empty_cells += obs[CELL_ID].take(pa.array(np.flatnonzero(empty)[:room])).to_pylist()
            if not self.keep_empty:
                kept = ~empty
                inside = np.repeat(kept, lengths)
                tokens, values = tokens[: len(inside)][inside], values[inside] if self.counts else values
                lengths, obs = lengths[kept], obs.filter(pa.array(kept))
        self.cells_out += len(lengths)
        self.lengths.append(lengths)
        offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        columns = [pa.ListArray.from_arrays(pa.array(offsets), pa.array(tokens[: offsets[-1]])), pa.array(lengths)]
        if self.counts:
            columns.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)))
        columns += [column.combine_chunks() for column in obs.columns]
        return pa.record_batch(columns, schema=schema)

    def summary(self) -> TokenizeSummary:
        """Return what was done so far."""
        lengths = np.concatenate(self.lengths) if self.lengths else np.empty(0, dtype=np.int64)
        return TokenizeSummary(
            cells_in=self.cells_in,
            cells_out=self.cells_out,
            cells_dropped_empty=0 if self.keep_empty else self.empty,
            cells_kept_empty=self.empty if self.keep_empty else 0,
            empty_cells=tuple(self.empty_cells),
            cells_saturated=self.saturated,
            genes_in=len(self.genes.token),
            genes_mapped=self.genes.mapped,
            genes_versioned=self.genes.versioned,
            genes_collapsed=self.genes.collapsed,
            mapped_fraction=self.genes.fraction,
            gene_ids=self.genes.gene_ids,
            tokens_total=int(lengths.sum()),
            tokens_median=float(np.median(lengths)) if len(lengths) else 0.0,
            tokens_max=int(lengths.max(initial=0)),
        )
