"""From the ids of a matrix's columns to tokens and medians."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.ensembl import has_version, is_gene, strip_version
from bulkgen.errors import GeneOverlapError
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from bulkgen.tokens.vocabulary import Vocabulary

__all__ = ["GeneMap", "column_ids", "map_genes", "resolve", "resolve_columns"]

#: Below this fraction of mapped columns tokens are refused, and below the second they are warned about.
MIN_MAPPED = 0.1
FEW_MAPPED = 0.5

#: Ids as Cell Ranger writes them for references of several species: GRCh38_ENSG..., hg19___...
_OF_SPECIES = re.compile(r"(GRCh|GRCm|hg|mm)[0-9]+_+", re.IGNORECASE)


@dataclass(frozen=True)
class GeneMap:
    """What the encoder needs to know of each column, and what became of the ids.

    Attributes
    ----------
    token
        Token of each column's gene, -1 for none; int32, shape (columns,).
    median
        Median of each column's gene, 1 for none; float64, shape (columns,).
    first_column
        For each column the first column of the same gene, itself for most; int32, empty where no gene has two.
    mapped, versioned, collapsed
        Columns that carry a gene of the vocabulary; of those, columns whose version was stripped, and columns
        that add to an earlier one.
    gene_ids
        Column of `var` that held the ids, or ``None`` for `var_names`.
    """

    token: npt.NDArray[np.int32]
    median: npt.NDArray[np.float64]
    first_column: npt.NDArray[np.int32]
    mapped: int
    versioned: int
    collapsed: int
    gene_ids: str | None

    @property
    def fraction(self) -> float:
        """Columns that carry a gene of the vocabulary, of all columns."""
        return self.mapped / len(self.token) if len(self.token) else 0.0


def resolve(gene: str, vocabulary: Vocabulary) -> str | None:
    """Return the gene of the vocabulary that an id stands for, or None.

    With a mapping, ids are compared upper-case and symbols, aliases and retired ids are followed. Without one
    an id stands for itself, and Ensembl ids alone may differ in case.
    """
    if not gene:
        return None
    found = _look_up(gene, vocabulary)
    if found is None and "." in gene:
        found = _look_up(strip_version(gene), vocabulary)
    return found


def _look_up(gene: str, vocabulary: Vocabulary) -> str | None:
    if vocabulary.mapping is None and gene in vocabulary.tokens:
        return gene
    upper = gene.upper()
    if vocabulary.mapping is not None and upper in vocabulary.mapping:
        return vocabulary.mapping[upper]
    if upper in vocabulary.tokens and (vocabulary.mapping is not None or is_gene(upper)):
        return upper
    return None


def column_ids(var: pd.DataFrame, gene_ids: str | None) -> list[str]:
    """Return the id of each column, empty where it is missing.

    Raises
    ------
    ValueError
        If `var` has no column `gene_ids`.
    """
    if gene_ids is None:
        values = var.index.to_series()
    elif gene_ids in var.columns:
        values = var[gene_ids]
    else:
        have = ", ".join(map(repr, map(str, var.columns))) or "no columns"
        raise ValueError(f"gene_ids={gene_ids!r} is not a column of var, which has {have}; leave it out for var_names")
    known = values.notna().tolist()
    return [str(value).strip() if here else "" for value, here in zip(values.tolist(), known, strict=True)]


def resolve_columns(
    var: pd.DataFrame, vocabulary: Vocabulary, *, gene_ids: str | None = None
) -> tuple[list[str], list[str | None]]:
    """Return the id of each column, and the gene of the vocabulary that it stands for.

    Parameters
    ----------
    var, vocabulary, gene_ids
        As of :func:`map_genes`.

    Raises
    ------
    ValueError, GeneOverlapError
        As :func:`map_genes`.
    """
    ids = column_ids(var, gene_ids)
    found = [resolve(identifier, vocabulary) for identifier in ids]
    mapped = sum(gene is not None for gene in found)
    if mapped < MIN_MAPPED * max(1, len(ids)):
        raise GeneOverlapError(_overlap_message(var, ids, mapped, gene_ids, vocabulary))
    return ids, found


def map_genes(var: pd.DataFrame, vocabulary: Vocabulary, *, gene_ids: str | None = None) -> GeneMap:
    """Find the token and median of every column.

    Parameters
    ----------
    var
        Annotation of the columns.
    vocabulary
        Where tokens and medians come from.
    gene_ids
        Column of `var` that holds the ids; by default `var_names`.

    Returns
    -------
    GeneMap

    Raises
    ------
    ValueError
        If `var` has no column `gene_ids`.
    GeneOverlapError
        If under 10 % of the columns carry a gene of the vocabulary; names a column of `var` that does better.

    Warns
    -----
    UserWarning
        If under 50 % do.
    """
    ids, found = resolve_columns(var, vocabulary, gene_ids=gene_ids)
    tokens, medians = vocabulary.tokens, vocabulary.medians
    seen: dict[str, int] = {}
    first_column = [column if gene is None else seen.setdefault(gene, column) for column, gene in enumerate(found)]
    mapped = sum(gene is not None for gene in found)
    versioned = sum(gene is not None and has_version(identifier) for identifier, gene in zip(ids, found, strict=True))
    genes = GeneMap(
        token=np.array([-1 if gene is None else tokens[gene] for gene in found], dtype=np.int32),
        median=np.array([1.0 if gene is None else medians[gene] for gene in found], dtype=np.float64),
        first_column=np.array(first_column if mapped > len(seen) else [], dtype=np.int32),
        mapped=mapped,
        versioned=versioned,
        collapsed=mapped - len(seen),
        gene_ids=gene_ids,
    )
    if genes.fraction < FEW_MAPPED:
        warn(
            f"only {mapped} of {len(ids)} columns ({genes.fraction:.1%}) carry a gene of vocabulary "
            f"{vocabulary.name!r}; the counts of the others are not seen by the model",
        )
    return genes


def _overlap_message(
    var: pd.DataFrame, ids: Sequence[str], mapped: int, gene_ids: str | None, vocabulary: Vocabulary
) -> str:
    """Say that too few ids are known, and which column of `var` knows more."""
    place = "var_names" if gene_ids is None else f"var[{gene_ids!r}]"
    shown = ", ".join(ids[:3]) or "none"
    message = (
        f"only {mapped} of {len(ids)} ids in {place} ({shown}, ...) are genes of vocabulary "
        f"{vocabulary.name!r}, whose ids look like {next(iter(vocabulary.tokens))}"
    )
    best, most = None, MIN_MAPPED
    others = [None, *(str(c) for c in var.columns if var[c].dtype.kind not in "biufcmM")]
    for name in others:
        if name != gene_ids:
            known = sum(resolve(gene, vocabulary) is not None for gene in column_ids(var, name))
            if known / max(len(ids), 1) >= most:
                best, most = name or "var_names", known / len(ids)
    if best is None:
        return f"{message}; no column of var does better: {_why_unknown(ids, vocabulary)}"
    remedy = "leave gene_ids out" if best == "var_names" else f"pass gene_ids={best!r} (--gene-ids {best!r})"
    return f"{message}; {best!r} maps {most:.1%}: {remedy}"


def _why_unknown(ids: Sequence[str], vocabulary: Vocabulary) -> str:
    """Guess from their form why ids are none of the vocabulary."""
    if sum(_OF_SPECIES.match(gene) is not None for gene in ids) > len(ids) / 2:
        return (
            "the ids carry the name of a genome, as references of two species do; keep the human cells, and take it "
            "away: adata.var_names = adata.var_names.str.replace('^.*?_+', '', regex=True)"
        )
    other = sum(is_gene(gene) and not gene.upper().startswith("ENSG") for gene in ids)
    if other > len(ids) / 2:
        return (
            "these are genes of another species; map them to their human orthologs first, or fit a vocabulary of "
            "your own (bulkgen.Vocabulary.fit, --vocabulary fit)"
        )
    # annotations name by its id what has no symbol
    if vocabulary.mapping is None and sum(map(is_gene, ids)) < len(ids) / 2:
        return (
            "most are no Ensembl ids; if they are human symbols, Geneformer's V2 maps them (vocabulary='V2', "
            "--vocabulary V2)"
        )
    return (
        "is this human data, are the rows cells and the columns genes, and is it the right vocabulary? Genes that no "
        "vocabulary has, as those of simulated cells, need one of their own (bulkgen.Vocabulary.fit, --vocabulary fit)"
    )
