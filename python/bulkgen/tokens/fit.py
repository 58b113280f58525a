"""A vocabulary from data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.ensembl import strip_version
from bulkgen.errors import VocabularyError
from bulkgen.io import library_sizes
from bulkgen.tokens.genes import column_ids
from bulkgen.tokens.rows import CELLS_PER_BLOCK, TARGET_SUM, row_blocks
from bulkgen.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData

__all__ = ["fit_vocabulary"]

_PAD, _MASK, _FIRST_GENE = 0, 1, 2


def fit_vocabulary(
    adata: AnnData, *, context: int, gene_ids: str | None, name: str, allow_fractional: bool
) -> Vocabulary:
    """Make a vocabulary from data (:meth:`bulkgen.Vocabulary.fit`)."""
    genes = [strip_version(gene) for gene in column_ids(adata.var, gene_ids)]
    first: dict[str, int] = {}
    first_column = np.array([first.setdefault(gene, i) for i, gene in enumerate(genes)], dtype=np.int64)
    normalised = _normalised(
        adata, first_column if len(first) < len(genes) else None, allow_fractional=allow_fractional
    )
    medians: dict[str, float] = {}
    for gene in sorted(gene for gene in first if gene):
        column = first[gene]
        values = normalised.data[normalised.indptr[column] : normalised.indptr[column + 1]]
        expressed = values[values > 0]
        if len(expressed):
            medians[gene] = float(np.median(expressed))
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


def _normalised(adata: AnnData, first_column: npt.NDArray[np.int64] | None, *, allow_fractional: bool) -> sp.csc_matrix:
    """Return counts per 10,000 by column, columns of the same gene added."""
    parts = []
    together = None
    if first_column is not None:
        n = len(first_column)
        # the product adds integers exactly, and fractions as float64 in the order of the columns
        together = sp.csr_matrix((np.ones(n, np.int64), first_column, np.arange(n + 1)), shape=(n, n))
    for _, block in row_blocks(adata, rows=CELLS_PER_BLOCK, allow_fractional=allow_fractional):
        sizes = library_sizes(block)
        if together is not None:
            block = block @ together
        per_entry = np.repeat(sizes, np.diff(block.indptr))
        # a cell without counts may still store zeros
        values = block.data / np.where(per_entry > 0, per_entry, 1) * TARGET_SUM
        parts.append(sp.csr_matrix((values, block.indices, block.indptr), shape=block.shape))
    if not parts:
        raise VocabularyError("adata has no cells, so no vocabulary can be fitted to it")
    return sp.vstack(parts, format="csr").tocsc()
