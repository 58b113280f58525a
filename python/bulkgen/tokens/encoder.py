"""Blocks of counts to blocks of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bulkgen.io import library_sizes
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.tokens.obs import CELL_ID
from bulkgen.tokens.rows import TARGET_SUM, collapse_columns
from bulkgen.tokens.summary import TokenizeSummary

if TYPE_CHECKING:
    import numpy.typing as npt
    import scipy.sparse as sp

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

    def encode(self, block: sp.csr_matrix, obs: pa.Table) -> pa.RecordBatch:
        """Encode the cells of a block, whose `obs` rows are given."""
        sizes = library_sizes(block) if self.counts else None
        if self.genes.first_column is not None:
            block = collapse_columns(block, self.genes.first_column)
        vocabulary, schema = self.vocabulary, self.schema(obs)
        expressed, offsets, tokens, values = self._rank(block, schema.field("input_ids").type.value_type)
        lengths = np.diff(offsets)
        if sizes is not None:
            # an empty cell has no counts to scale
            values *= np.repeat(TARGET_SUM / np.where(sizes > 0, sizes, 1), lengths)
        empty = expressed == 0
        self.cells_in += len(empty)
        self.saturated += int(np.count_nonzero(expressed >= vocabulary.max_genes))
        if empty.any():
            self.empty += int(np.count_nonzero(empty))
            room = LISTED_CELLS - len(self.empty_cells)
            self.empty_cells += obs[CELL_ID].take(pa.array(np.flatnonzero(empty)[:room])).to_pylist()
            if not self.keep_empty:
                kept = ~empty
                inside = np.repeat(kept, lengths)
                tokens, values = tokens[inside], values[inside] if sizes is not None else values
                lengths = lengths[kept]
                offsets = np.concatenate(([0], np.cumsum(lengths)))
                obs = obs.filter(pa.array(kept))
        self.cells_out += len(lengths)
        self.lengths.append(lengths)
        offset_array = pa.array(offsets.astype(np.int32))
        columns = [pa.ListArray.from_arrays(offset_array, pa.array(tokens)), pa.array(lengths)]
        if sizes is not None:
            columns.append(pa.ListArray.from_arrays(offset_array, pa.array(values)))
        columns += [column.combine_chunks() for column in obs.columns]
        return pa.record_batch(columns, schema=schema)

    def _rank(
        self, block: sp.csr_matrix, token_type: pa.DataType
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int16], npt.NDArray[np.float32]]:
        """Run the kernels: genes expressed, offsets, tokens, and the tokens' counts (empty if not wanted)."""
        kernels, vocabulary = get_kernels(), self.vocabulary
        n_rows = block.shape[0]
        indptr = np.ascontiguousarray(block.indptr, dtype=np.int64)
        matrix = (indptr, block.indices, block.data)
        expressed = np.zeros(n_rows, dtype=np.int64)

        def count(first: int, last: int) -> None:
            kernels.count_tokens(*matrix, self.genes.token, expressed, first_row=first, last_row=last)

        parallel_ranges(count, n_rows, threads=self.threads, weights=indptr)
        special = vocabulary.context - vocabulary.max_genes
        offsets = np.zeros(n_rows + 1, dtype=np.int64)
        np.cumsum(np.minimum(expressed, vocabulary.max_genes) + special, out=offsets[1:])
        tokens = np.empty(int(offsets[-1]), dtype=token_type.to_pandas_dtype())
        values = np.empty(len(tokens) if self.counts else 0, dtype=np.float32)

        def rank(first: int, last: int) -> None:
            kernels.rank_tokens(
                *matrix,
                self.genes.token,
                self.genes.median,
                offsets,
                tokens,
                values,
                most_genes=vocabulary.max_genes,
                cls=-1 if vocabulary.cls is None else vocabulary.cls,
                eos=-1 if vocabulary.eos is None else vocabulary.eos,
                first_row=first,
                last_row=last,
            )

        parallel_ranges(rank, n_rows, threads=self.threads, weights=indptr)
        return expressed, offsets, tokens, values

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
