"""Gene ids of bulk and cells brought to those of a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bulkgen.arguments import checked
from bulkgen.ensembl import has_version, strip_version
from bulkgen.errors import GeneOverlapError
from bulkgen.io import canonical_counts, make_anndata
from bulkgen.tokens.encode import load_vocabulary
from bulkgen.tokens.genes import MIN_MAPPED, column_ids, resolve_columns
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.tokens import Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["GeneColumns", "GeneOverlap", "MatchedGenes", "gene_columns", "match_genes"]


@dataclass(frozen=True)
class GeneColumns:
    """Which gene each column of a matrix carries.

    Attributes
    ----------
    ids
        Id of each column as it was.
    genes
        The genes, in the order of their first columns.
    gene
        Number of each column's gene in `genes`, -1 for none; shape (columns,).
    """

    ids: list[str]
    genes: list[str]
    gene: Int64Array

    @property
    def first(self) -> Int64Array:
        """First column of each gene."""
        gene, column = np.unique(self.gene, return_index=True)
        return column[gene >= 0]

    @property
    def versioned(self) -> int:
        """Columns whose version was stripped."""
        return sum(has_version(name) for name, gene in zip(self.ids, self.gene, strict=True) if gene >= 0)

    @property
    def summed(self) -> int:
        """Columns that are added to an earlier one."""
        return int(np.count_nonzero(self.gene >= 0)) - len(self.genes)

    def sums(self, X: np.ndarray | sp.csr_matrix) -> np.ndarray | sp.csr_matrix:
        """Return rows x genes: columns of one gene added, in the type of `X`; columns without one left out."""
        if self.summed == 0:
            return X[:, self.first]
        columns = np.flatnonzero(self.gene >= 0)
        which = (np.ones(columns.size, X.dtype), (columns, self.gene[columns]))
        sums = X @ sp.csr_matrix(which, shape=(X.shape[1], len(self.genes)))
        if sp.issparse(sums):
            sums.sort_indices()
        return sums


def gene_columns(var: pd.DataFrame, vocabulary: Vocabulary | None, *, gene_ids: str | None) -> GeneColumns:
    """Find the gene of every column.

    Parameters
    ----------
    var
        Annotation of the columns.
    vocabulary
        Its mapping leads ids to genes. ``None``: an id is its own gene, without its version.
    gene_ids
        Column of `var` that holds the ids; by default `var_names`.

    Raises
    ------
    ValueError, GeneOverlapError
        As :func:`bulkgen.tokens.genes.resolve_columns`.
    """
    found: Sequence[str | None]
    if vocabulary is None:
        ids = column_ids(var, gene_ids)
        found = [strip_version(name) or None for name in ids]
    else:
        ids, found = resolve_columns(var, vocabulary, gene_ids=gene_ids)
    number: dict[str, int] = {}
    gene = [-1 if name is None else number.setdefault(name, len(number)) for name in found]
    return GeneColumns(ids, list(number), np.array(gene, np.int64))


@dataclass(frozen=True)
class GeneOverlap:
    """How the genes of bulk and reference met.

    Attributes
    ----------
    shared
        Genes of both.
    bulk, reference
        Genes of the vocabulary in each.
    bulk_ids, reference_ids
        Ids that each had.
    bulk_share, reference_share
        Share of the counts of each in the shared genes.
    """

    shared: int
    bulk: int
    reference: int
    bulk_ids: int
    reference_ids: int
    bulk_share: float
    reference_share: float

    def __str__(self) -> str:
        """Say it in a sentence."""
        return (
            f"{self.shared} genes are shared: of {self.bulk} in the bulk ({self.bulk_ids} ids), with "
            f"{self.bulk_share:.1%} of its counts, and of {self.reference} in the reference ({self.reference_ids} "
            f"ids), with {self.reference_share:.1%}"
        )


@dataclass(frozen=True)
class MatchedGenes:
    """Bulk and reference with the same genes in the same order.

    Attributes
    ----------
    bulk, reference
        Named by the gene ids of the vocabulary, in the bulk's order.
    overlap
        What they share.
    """

    bulk: AnnData
    reference: AnnData
    overlap: GeneOverlap


@checked
def match_genes(
    bulk: AnnData,
    reference: AnnData,
    vocabulary: str | Path | Vocabulary,
    *,
    bulk_gene_ids: str | None = None,
    reference_gene_ids: str | None = None,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = None,
) -> MatchedGenes:
    """Bring bulk and reference cells to the same genes, whichever ids each of them uses.

    Symbols, aliases, retired and versioned ids are followed as far as the vocabulary's mapping goes (Geneformer's V2
    has one, V1 knows Ensembl ids alone). Columns of one gene are added; then what both have is kept.

    Parameters
    ----------
    bulk
        Samples, cells or profiles; not changed.
    reference
        Real cells, raw counts; not changed.
    vocabulary
        ``"V1"`` or ``"V2"``, a :class:`bulkgen.Vocabulary`, or the path of one that was saved.
    bulk_gene_ids, reference_gene_ids
        Column of `var` that holds the ids; by default `var_names`.
    vocabulary_path
        Where the dictionaries of V1 or V2 are (:meth:`bulkgen.Vocabulary.load`).

    Returns
    -------
    MatchedGenes
        Layers are kept unless genes had to be added: those of profiles do not add.

    Raises
    ------
    ValueError
        If `var` has no such column.
    GeneOverlapError
        If under 10 % of either's ids lead to genes of the vocabulary, or under 10 % of the genes of the smaller set are
        shared.
    VocabularyError
        If the vocabulary cannot be found or read.

    Warns
    -----
    UserWarning
        If either loses genes; says how many, and with what share of its counts.
    """
    loaded = load_vocabulary(vocabulary, vocabulary_path)
    columns = {
        "bulk": _columns_of("bulk", bulk, loaded, bulk_gene_ids),
        "reference": _columns_of("reference", reference, loaded, reference_gene_ids),
    }
    in_reference = {gene: number for number, gene in enumerate(columns["reference"].genes)}
    shared = [gene for gene in columns["bulk"].genes if gene in in_reference]
    smaller = min(len(part.genes) for part in columns.values())
    if len(shared) < MIN_MAPPED * smaller:
        raise GeneOverlapError(
            f"only {len(shared)} genes of vocabulary {loaded.name!r} are in both bulk ({len(columns['bulk'].genes)}) "
            f"and reference ({len(columns['reference'].genes)}); are they of the same species and tissue?"
        )
    matched_bulk, bulk_share = _cut(bulk, columns["bulk"], shared)
    matched_reference, reference_share = _cut(reference, columns["reference"], shared)
    overlap = GeneOverlap(
        shared=len(shared),
        bulk=len(columns["bulk"].genes),
        reference=len(columns["reference"].genes),
        bulk_ids=bulk.n_vars,
        reference_ids=reference.n_vars,
        bulk_share=bulk_share,
        reference_share=reference_share,
    )
    if len(shared) < max(bulk.n_vars, reference.n_vars):
        warn(f"{overlap}; the others are left out")
    return MatchedGenes(matched_bulk, matched_reference, overlap)


def _columns_of(name: str, adata: AnnData, vocabulary: Vocabulary, gene_ids: str | None) -> GeneColumns:
    try:
        return gene_columns(adata.var, vocabulary, gene_ids=gene_ids)
    except ValueError as error:
        raise type(error)(f"genes of the {name} ({name}_gene_ids): {error}") from error


def _cut(adata: AnnData, columns: GeneColumns, shared: Sequence[str]) -> tuple[AnnData, float]:
    """Return an object with the shared genes alone, and their share of its counts."""
    number = {gene: place for place, gene in enumerate(columns.genes)}
    wanted = np.array([number[gene] for gene in shared], np.int64)
    X = adata.X if isinstance(adata.X, np.ndarray) else canonical_counts(adata.X, require_integers=False)
    cut = columns.sums(X)[:, wanted]
    first = columns.first[wanted]
    var = adata.var.iloc[first].copy()
    var.index = var.index.__class__(shared, name=adata.var.index.name)
    layers = {} if columns.summed else {name: layer[:, first] for name, layer in adata.layers.items()}
    total = float(X.sum(dtype=np.float64))
    share = float(cut.sum(dtype=np.float64)) / total if total else 0.0
    return make_anndata(cut, obs=adata.obs.copy(), var=var, layers=layers, uns=dict(adata.uns)), share
