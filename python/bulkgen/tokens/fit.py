"""A vocabulary from data."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.ensembl import strip_version
from bulkgen.errors import VocabularyError
from bulkgen.io import Spill, library_sizes, open_cells
from bulkgen.tokens.genes import column_ids
from bulkgen.tokens.rows import CELLS_PER_BLOCK, TARGET_SUM, row_blocks
from bulkgen.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import numpy.typing as npt

    from bulkgen.io import Cells, CellStore

__all__ = ["fit_vocabulary"]

_PAD, _MASK, _FIRST_GENE = 0, 1, 2
#: Values of a range of columns, about: 128 MiB.
_VALUES_AT_ONCE = 1 << 24


def fit_vocabulary(
    adata: Cells, *, context: int, gene_ids: str | None, name: str, allow_fractional: bool
) -> Vocabulary:
    """Make a vocabulary from data (:meth:`bulkgen.Vocabulary.fit`)."""
    cells = open_cells(adata)
    genes = [strip_version(gene) for gene in column_ids(cells.var, gene_ids)]
    first: dict[str, int] = {}
    first_column = np.array([first.setdefault(gene, i) for i, gene in enumerate(genes)], dtype=np.int64)
    if cells.n_obs == 0:
        raise VocabularyError("adata has no cells, so no vocabulary can be fitted to it")
    by_column = np.full(len(genes), np.nan)
    normalised = _normalised(
        cells, first_column if len(first) < len(genes) else None, allow_fractional=allow_fractional
    )
    for column, values in _columns(normalised, cells):
        if values.size:
            by_column[column] = np.median(values)
    medians = {gene: float(by_column[first[gene]]) for gene in sorted(first) if gene}
    medians = {gene: median for gene, median in medians.items() if not np.isnan(median)}
    if not medians:
        raise VocabularyError("no gene of adata has an id and is expressed, so no vocabulary can be fitted to it")
    return Vocabulary(
        name=name,
        tokens={gene: token for token, gene in enumerate(medians, start=_FIRST_GENE)},
        medians=medians,
        pad=_PAD,
        mask=_MASK,
        cls=None,
        eos=None,
        context=context,
        mapping=None,
    )


def _normalised(
    cells: CellStore, first_column: npt.NDArray[np.int64] | None, *, allow_fractional: bool
) -> Generator[sp.csc_matrix]:
    """Yield counts per 10,000 of blocks of cells by column, columns of the same gene added."""
    together = None
    if first_column is not None:
        n = len(first_column)
        # the product adds integers exactly, and fractions as float64 in the order of the columns
        together = sp.csr_matrix((np.ones(n, np.int64), first_column, np.arange(n + 1)), shape=(n, n))
    with closing(row_blocks(cells, rows=CELLS_PER_BLOCK, allow_fractional=allow_fractional)) as blocks:
        for _, block in blocks:
            sizes = library_sizes(block)
            if together is not None:
                block = block @ together
            per_entry = np.repeat(sizes, np.diff(block.indptr))
            # a cell without counts may still store zeros
            values = block.data / np.where(per_entry > 0, per_entry, 1) * TARGET_SUM
            yield sp.csr_matrix((values, block.indices, block.indptr), shape=block.shape).tocsc()


def _columns(blocks: Generator[sp.csc_matrix], cells: CellStore) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield the values above zero of each column of all blocks, set aside by ranges of columns meanwhile."""
    n_genes = cells.n_vars
    n_buckets = 1 + int(cells.counts.expected_lengths().sum()) // _VALUES_AT_ONCE
    cuts = np.linspace(0, n_genes, min(n_buckets, max(1, n_genes)) + 1).astype(np.int64)
    lengths = cells.counts.lengths
    # eight bytes a value
    with Spill(least=0 if lengths is None else 8 * int(lengths.sum())) as spill:
        with closing(blocks):
            for block in blocks:
                block.eliminate_zeros()
                here = np.diff(block.indptr).astype(np.int32)
                for bucket, (first, last) in enumerate(pairwise(cuts)):
                    entries = slice(block.indptr[first], block.indptr[last])
                    spill.append(bucket, (here[first:last], block.data[entries]))
        for bucket, (first, last) in enumerate(pairwise(cuts)):
            numbers, values = zip(*spill.read(bucket), strict=True)
            columns = np.concatenate([np.repeat(np.arange(last - first), here) for here in numbers])
            ordered = np.concatenate(values)[np.argsort(columns, kind="stable")]
            yield from enumerate(np.split(ordered, np.cumsum(np.sum(numbers, axis=0))[:-1]), start=int(first))
