"""Tables of bulk values: which axis holds the genes, and which columns are samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bulkgen.bulk_input.report import shown
from bulkgen.io.tables import UNNAMED
from bulkgen.tokens.genes import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from bulkgen.tokens import Vocabulary

__all__ = ["Axis", "BulkMatrix", "matrix_of_table"]

Axis: TypeAlias = Literal["rows", "columns"]

#: Names of columns that describe genes, as the programs that make bulk tables spell them.
_ANNOTATION = frozenset(
    (
        "gene",
        "geneid",
        "gene_id",
        "gene_name",
        "gene_symbol",
        "gene_type",
        "gene_biotype",
        "gene_length",
        "symbol",
        "hgnc_symbol",
        "hgnc_id",
        "external_gene_name",
        "name",
        "description",
        "biotype",
        "length",
        "effective_length",
        "effectivelength",
        "chr",
        "chrom",
        "chromosome",
        "seqname",
        "seqnames",
        "start",
        "end",
        "strand",
        "width",
        "entrez",
        "entrezid",
        "entrez_id",
        "entrezgene",
        "ncbi_gene_id",
        "transcript_id",
        "transcript_id(s)",
        "transcripts",
    )
)
_SAMPLE = frozenset(("sample", "sample_id", "sample_name", "id"))
#: Rows that HTSeq (``__``) and STAR (``N_``) add below or above the genes.
_SUMMARY_ROW = re.compile(r"__\w+|N_(unmapped|multimapping|noFeature|ambiguous)")
_ENSEMBL_GENE = re.compile(r"ENS[A-Z]*G[0-9]+(\.[0-9]+)?(_PAR_Y)?", re.IGNORECASE)
#: An axis holds genes if this share of its names are, and this many times the share of the other axis.
_LEAST_SHARE = 0.1
_CLEARLY = 5.0
#: Names that are looked at of an axis.
_LOOKED_AT = 5000


@dataclass(frozen=True)
class BulkMatrix:
    """Bulk values as they are in the input.

    Attributes
    ----------
    values
        Samples x gene ids.
    obs, var
        What the input says of samples and of genes, by name.
    gene_ids
        Column of `var` that holds the ids, or ``None`` for its index.
    annotation
        Columns that went to `var` (or, with genes in columns, to `obs`) because they hold no values.
    summary_rows
        Rows left out because they count reads outside genes.
    """

    values: np.ndarray
    obs: pd.DataFrame
    var: pd.DataFrame
    gene_ids: str | None = None
    annotation: tuple[str, ...] = ()
    summary_rows: tuple[str, ...] = ()


def matrix_of_table(
    table: pd.DataFrame,
    *,
    genes: Axis | None,
    gene_ids: str | None,
    vocabulary: Vocabulary | None,
    sample_names: Collection[str],
) -> BulkMatrix:
    """Find samples and genes in a table.

    Parameters
    ----------
    table
        Genes x samples or samples x genes, row names in the index or in a column.
    genes
        Axis of the genes; found if not given.
    gene_ids
        Column that holds the gene ids, where genes are rows; found if not given.
    vocabulary
        Knows genes, beside ids that look like Ensembl's.
    sample_names
        Words that may name samples (all of the sample table).

    Raises
    ------
    ValueError
        If the axis of the genes cannot be told, a name is missing or occurs twice, or a value is no number.
    """
    labels = [str(label).strip() for label in table.columns]
    if table.empty:
        raise ValueError(f"the table is empty: {table.shape[0]} rows, {table.shape[1]} columns")
    if gene_ids is not None and gene_ids not in labels:
        raise ValueError(
            f"gene_ids={gene_ids!r} is not a column of the table, which has {shown(labels)}; leave it out where "
            "the ids are the first column or the header"
        )
    if genes not in (None, "rows", "columns"):
        raise ValueError(f"genes must be 'rows' or 'columns', got {genes!r}")
    if genes == "columns" and gene_ids is not None:
        raise ValueError("gene_ids names a column of ids, so genes must be 'rows'")

    def known(name: str) -> bool:
        return bool(_ENSEMBL_GENE.fullmatch(name)) or (vocabulary is not None and resolve(name, vocabulary) is not None)

    # columns by place: genes as columns may have one name twice
    parts = _Parts(table.set_axis(range(len(labels)), axis=1), labels, sample_names)
    if genes is None:
        genes = "rows" if gene_ids is not None else parts.axis_of_genes(known)
    if genes == "columns":
        return parts.samples_by_genes()
    names = parts.row_names
    ids = _text(parts.table[labels.index(gene_ids)]) if gene_ids is not None else _best(names, known)
    if ids is None:
        raise ValueError("no column of the table holds gene ids: name it with gene_ids= (--gene-ids)")
    return parts.genes_by_samples(ids)


@dataclass(frozen=True)
class _Parts:
    """A table and what its columns may be.

    Attributes
    ----------
    table
        Its columns are called by their place.
    labels
        Names of the columns.
    sample_names
        Words that may name samples.
    """

    table: pd.DataFrame
    labels: list[str]
    sample_names: Collection[str]

    @cached_property
    def row_names(self) -> list[pd.Series]:
        """What may name the rows: the index, unless it just counts, and columns of text."""
        counts = isinstance(self.table.index, pd.RangeIndex)
        columns = [
            place
            for place, label in enumerate(self.labels)
            if not is_numeric_dtype(self.table[place]) and label not in self.sample_names
        ]
        # samples or genes that are called 1, 2, 3
        if counts and not columns and (self.labels[0].startswith(UNNAMED) or self.labels[0].lower() in _SAMPLE):
            columns = [0]
        index = [] if counts else [_text(self.table.index.to_series().rename(None))]
        return index + [_text(self.table[place]) for place in columns]

    def axis_of_genes(self, known: Callable[[str], bool]) -> Axis:
        """Find the axis of the genes, from the names of samples and then from those of genes."""
        columns = [label for place, label in enumerate(self.labels) if is_numeric_dtype(self.table[place])]
        in_rows, in_columns = _shares(self.row_names, columns, self.sample_names.__contains__)
        if _clearly(in_columns, in_rows):
            return "rows"
        if _clearly(in_rows, in_columns):
            return "columns"
        in_rows, in_columns = _shares(self.row_names, columns, known)
        if _clearly(in_rows, in_columns):
            return "rows"
        if _clearly(in_columns, in_rows):
            return "columns"
        rows = shown(self.row_names[0]) if self.row_names else "none"
        raise ValueError(
            f"cannot tell which axis of the table holds the genes: {in_rows:.0%} of the names of rows ({rows}) and "
            f"{in_columns:.0%} of those of columns ({shown(columns)}) are known as genes; say genes='rows' or "
            "genes='columns' (--genes rows), or pass a vocabulary that knows such ids (V2 for symbols)"
        )

    def genes_by_samples(self, ids: pd.Series) -> BulkMatrix:
        """Take rows as genes."""
        outside = ids.map(lambda name: _SUMMARY_ROW.fullmatch(name) is not None).to_numpy(bool)
        table = self.table[~outside]
        annotation = [
            place
            for place, label in enumerate(self.labels)
            if place != ids.name and label not in self.sample_names and _describes_genes(label, self.table[place])
        ]
        samples = [place for place in range(len(self.labels)) if place != ids.name and place not in annotation]
        if not samples:
            raise ValueError("the table has no column of numbers, so no sample")
        names = [self.labels[place] for place in samples]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"sample {twice!r} occurs more than once in the header")
        values = _numbers(table[samples], names, ids[~outside])
        var = table[annotation].set_axis([self.labels[place] for place in annotation], axis=1)
        var = var.loc[:, ~var.columns.duplicated()]
        for column in var:
            if not is_numeric_dtype(var[column]):
                var[column] = _text(var[column])
        var.index = pd.Index(ids[~outside], dtype=object)
        described = tuple(map(str, var.columns))
        return BulkMatrix(np.ascontiguousarray(values.T), _frame(names), var, None, described, tuple(ids[outside]))

    def samples_by_genes(self) -> BulkMatrix:
        """Take columns as genes."""
        fitting = [column for column in self.row_names if column.is_unique and (column != "").all()]
        # without a sample table the first
        samples = _best(fitting, self.sample_names.__contains__)
        if samples is None:
            raise ValueError("genes are columns, but no column names the samples, each once")
        places = [place for place in range(len(self.labels)) if place != samples.name]
        about = [place for place in places if _is_text(self.table[place])]
        genes = [place for place in places if place not in about]
        if not genes:
            raise ValueError("the table has no column of numbers, so no gene")
        names = [self.labels[place] for place in genes]
        obs = self.table[about].set_axis([self.labels[place] for place in about], axis=1)
        obs = obs.loc[:, ~obs.columns.duplicated()]
        obs.index = pd.Index(samples, dtype=object)
        values = _numbers(self.table[genes], names, samples)
        return BulkMatrix(values, obs, _frame(names), None, tuple(map(str, obs.columns)))


def _frame(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(index=np.array(names, dtype=object))


def _text(values: pd.Series) -> pd.Series:
    """Return names as text, missing ones empty."""
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def _share(names: Iterable[str], known: Callable[[str], bool]) -> float:
    """Share of names that are known, of the first few thousand."""
    looked_at = list(islice(names, _LOOKED_AT))
    return sum(map(known, looked_at)) / max(1, len(looked_at))


def _best(candidates: Sequence[pd.Series], known: Callable[[str], bool]) -> pd.Series | None:
    """Return the names that are known best; of equals the first."""
    return max(candidates, key=lambda names: _share(names, known), default=None)


def _shares(rows: Sequence[pd.Series], columns: Iterable[str], known: Callable[[str], bool]) -> tuple[float, float]:
    """Share of the names of rows, of their best candidate, and of columns that are known."""
    return max((_share(names, known) for names in rows), default=0.0), _share(columns, known)


def _clearly(share: float, other: float) -> bool:
    return share >= _LEAST_SHARE and share > _CLEARLY * other


def _describes_genes(label: str, column: pd.Series) -> bool:
    return label.lower() in _ANNOTATION or label.startswith(UNNAMED) or _is_text(column)


def _is_text(column: pd.Series) -> bool:
    """Whether no value of a column is a number, and some are there."""
    if is_numeric_dtype(column):
        return False
    return bool(pd.to_numeric(column, errors="coerce").isna().all() and column.notna().any())


def _numbers(columns: pd.DataFrame, labels: Sequence[str], rows: pd.Series) -> np.ndarray:
    for place, label in zip(columns, labels, strict=True):
        column = columns[place]
        if not is_numeric_dtype(column):
            wrong = (pd.to_numeric(column, errors="coerce").isna() & column.notna()).to_numpy()
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ValueError(
                    f"column {label!r} holds {column.iloc[at]!r} in row {rows.iloc[at]!r}, which is no number"
                )
    values: np.ndarray = columns.apply(pd.to_numeric).to_numpy(np.float64, na_value=np.nan)
    return values
