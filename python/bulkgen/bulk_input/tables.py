"""Tables of bulk values: which axis holds the genes, and which columns are samples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd

from bulkgen.bulk_input.report import shown
from bulkgen.tokens.genes import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

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
    annotation
        Columns that went to `var` (or, with genes in columns, to `obs`) because they hold no values.
    summary_rows
        Rows left out because they count reads outside genes.
    """

    values: np.ndarray
    obs: pd.DataFrame
    var: pd.DataFrame
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
    table = table.rename(columns=str)
    if table.columns.has_duplicates:
        raise ValueError(f"column {table.columns[table.columns.duplicated()][0]!r} of the table occurs more than once")
    if table.empty:
        raise ValueError(f"the table is empty: {table.shape[0]} rows, {table.shape[1]} columns")
    if gene_ids is not None and gene_ids not in table.columns:
        raise ValueError(
            f"gene_ids={gene_ids!r} is not a column of the table, which has {shown(table.columns)}; "
            "leave it out where the ids are the first column or the header"
        )
    if genes not in (None, "rows", "columns"):
        raise ValueError(f"genes must be 'rows' or 'columns', got {genes!r}")
    if genes == "columns" and gene_ids is not None:
        raise ValueError("gene_ids names a column of ids, so genes must be 'rows'")

    def known(name: str) -> bool:
        return bool(_ENSEMBL_GENE.fullmatch(name)) or (vocabulary is not None and resolve(name, vocabulary) is not None)

    names = _row_names(table, sample_names)
    if genes is None:
        genes = "rows" if gene_ids is not None else _axis_of_genes(table, names, known, sample_names)
    if genes == "columns":
        return _samples_by_genes(table, names, sample_names)
    if gene_ids is not None:
        ids = _text(table[gene_ids])
    else:
        if not names:
            raise ValueError("no column of the table holds gene ids: name it with gene_ids= (--gene-ids)")
        ids = max(names, key=lambda candidate: _share(candidate, known))
    return _genes_by_samples(table, ids, sample_names)


def _row_names(table: pd.DataFrame, sample_names: Collection[str]) -> list[pd.Series]:
    """Return what may name the rows: the index, unless it just counts, and columns of text."""
    counts = isinstance(table.index, pd.RangeIndex)
    columns = [c for c in table if not pd.api.types.is_numeric_dtype(table[c]) and c not in sample_names]
    first = table.columns[0]
    # samples or genes that are called 1, 2, 3
    if counts and not columns and (first.startswith("Unnamed: ") or first.lower() in ("sample", "sample_id", "id")):
        columns = [first]
    index = [] if counts else [pd.Series(_text(table.index.to_series()).to_numpy(), index=table.index)]
    return index + [_text(table[c]) for c in columns]


def _text(values: pd.Series) -> pd.Series:
    """Return names as text, missing ones empty."""
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def _share(names: Iterable[str], known: Callable[[str], bool]) -> float:
    """Share of names that are known, of the first few thousand."""
    looked_at = [name for name, _ in zip(names, range(_LOOKED_AT), strict=False)]
    return sum(map(known, looked_at)) / max(1, len(looked_at))


def _axis_of_genes(
    table: pd.DataFrame, names: list[pd.Series], known: Callable[[str], bool], sample_names: Collection[str]
) -> Axis:
    columns = [str(c) for c in table if pd.api.types.is_numeric_dtype(table[c])]
    # the sample table knows best
    in_rows, in_columns = _shares(names, columns, sample_names.__contains__)
    if _clearly(in_columns, in_rows):
        return "rows"
    if _clearly(in_rows, in_columns):
        return "columns"
    in_rows, in_columns = _shares(names, columns, known)
    if _clearly(in_rows, in_columns):
        return "rows"
    if _clearly(in_columns, in_rows):
        return "columns"
    rows = shown(names[0]) if names else "none"
    raise ValueError(
        f"cannot tell which axis of the table holds the genes: {in_rows:.0%} of the names of rows ({rows}) and "
        f"{in_columns:.0%} of those of columns ({shown(columns)}) are known as genes; say genes='rows' or "
        "genes='columns' (--genes rows), or pass a vocabulary that knows such ids (V2 for symbols)"
    )


def _shares(names: list[pd.Series], columns: Iterable[str], known: Callable[[str], bool]) -> tuple[float, float]:
    """Share of the names of rows, of their best candidate, and of columns that are known."""
    return max((_share(column, known) for column in names), default=0.0), _share(columns, known)


def _clearly(share: float, other: float) -> bool:
    return share >= _LEAST_SHARE and share > _CLEARLY * other


def _genes_by_samples(table: pd.DataFrame, ids: pd.Series, sample_names: Collection[str]) -> BulkMatrix:
    outside = ids.map(lambda name: _SUMMARY_ROW.fullmatch(name) is not None).to_numpy(bool)
    summary_rows = tuple(ids[outside])
    table, ids = table[~outside], ids[~outside]
    annotation = [str(c) for c in table if c not in sample_names and _describes_genes(str(c), table[c])]
    if ids.name is not None and ids.name not in annotation:
        annotation.insert(0, str(ids.name))
    samples = [c for c in table if c not in annotation]
    if not samples:
        raise ValueError("the table has no column of numbers, so no sample")
    values = _numbers(table[samples], ids)
    var = table[annotation].drop(columns=[] if ids.name is None else [ids.name])
    for column in var:
        if not pd.api.types.is_numeric_dtype(var[column]):
            var[column] = _text(var[column])
    var.index = pd.Index(ids, dtype=object)
    obs = pd.DataFrame(index=pd.Index(samples, dtype=object))
    return BulkMatrix(np.ascontiguousarray(values.T), obs, var, tuple(map(str, var.columns)), summary_rows)


def _samples_by_genes(table: pd.DataFrame, names: list[pd.Series], sample_names: Collection[str]) -> BulkMatrix:
    # where a sample table is given its words decide, else the first column without repeats
    fitting = [column for column in names if column.is_unique and (column != "").all()]
    if not fitting:
        raise ValueError("genes are columns, but no column names the samples, each once")
    samples = max(fitting, key=lambda column: _share(column, lambda name: name in sample_names))
    about = [str(c) for c in table if c != samples.name and _is_text(table[c])]
    values = table.drop(columns=[*about, *([] if samples.name is None else [samples.name])])
    if values.shape[1] == 0:
        raise ValueError("the table has no column of numbers, so no gene")
    obs = table[about].set_axis(pd.Index(samples, dtype=object))
    var = pd.DataFrame(index=pd.Index(values.columns, dtype=object))
    return BulkMatrix(_numbers(values, samples), obs, var, tuple(about))


def _describes_genes(name: str, column: pd.Series) -> bool:
    return name.lower() in _ANNOTATION or name.startswith("Unnamed: ") or _is_text(column)


def _is_text(column: pd.Series) -> bool:
    """Whether no value of a column is a number, and some are there."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    numbers = pd.to_numeric(column, errors="coerce")
    return bool(numbers.isna().all() and column.notna().any())


def _numbers(columns: pd.DataFrame, rows: pd.Series) -> np.ndarray:
    for name in columns:
        if not pd.api.types.is_numeric_dtype(columns[name]):
            wrong = (pd.to_numeric(columns[name], errors="coerce").isna() & columns[name].notna()).to_numpy()
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ValueError(
                    f"column {name!r} holds {columns[name].iloc[at]!r} in row {rows.iloc[at]!r}, which is no number"
                )
    values: np.ndarray = columns.apply(pd.to_numeric).to_numpy(np.float64, na_value=np.nan)
    return values
