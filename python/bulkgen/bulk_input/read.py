"""Measured bulk samples in."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.arguments import checked
from bulkgen.bulk_input.genes import gene_columns
from bulkgen.bulk_input.report import EXAMPLES, BulkReport, shown
from bulkgen.bulk_input.samples import read_sample_table, sample_rows, words_of
from bulkgen.bulk_input.tables import BulkMatrix, matrix_of_table
from bulkgen.bulk_input.units import checked_values
from bulkgen.io import canonical_counts, make_anndata, provenance, read, read_table
from bulkgen.tokens.encode import load_vocabulary
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from bulkgen.bulk_input.genes import GeneColumns
    from bulkgen.bulk_input.tables import Axis
    from bulkgen.bulk_input.units import Unit
    from bulkgen.tokens import Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["read_bulk"]


@checked
def read_bulk(
    source: str | Path | AnnData | pd.DataFrame,
    *,
    unit: Unit = "counts",
    samples: str | Path | pd.DataFrame | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = None,
    gene_ids: str | None = None,
    genes: Axis | None = None,
    round: bool = False,
    layer: str | None = None,
) -> AnnData:
    """Read measured bulk RNA-seq: one row per sample, ready for :func:`bulkgen.bulk_profiles`.

    ``bulkgen.bulk_profiles(samples, by=...)`` adds the samples (replicates) of each stratum to a profile; for
    :func:`bulkgen.synthesize` samples with ``by=`` do as well.

    Parameters
    ----------
    source
        ``.h5ad`` or ``.zarr`` (samples x genes); a table ``.csv``, ``.tsv``, ``.txt``, ``.gct`` (also ``.gz``) or
        ``.parquet``; an AnnData; or a DataFrame. A table may have genes as rows (usual) or as columns. Columns that
        describe genes (``gene_name``, ``Length``, ...) go to `var`, rows such as ``__no_feature`` are left out.
    unit
        ``counts``: reads or molecules, whole numbers. ``tpm``: transcripts per million.
    samples
        Table with one row per sample, found by the names of the samples in any of its columns; becomes `obs`.
    vocabulary
        ``"V1"`` or ``"V2"``, a :class:`bulkgen.Vocabulary`, or the path of one that was saved: gene ids are led to its
        genes (V2 knows symbols, aliases and retired ids), and others left out. By default ids stay, without their
        versions.
    vocabulary_path
        Where the dictionaries of V1 or V2 are (:meth:`bulkgen.Vocabulary.load`).
    gene_ids
        Column that holds the gene ids (of `var`, for an AnnData). By default `var_names`; in a table, the column whose
        values look most like gene ids.
    genes
        Axis of a table that holds the genes: ``rows`` or ``columns``. By default found from the sample table, then from
        the ids.
    round
        Round expected counts (RSEM, Salmon, kallisto) to whole numbers.
    layer
        Take the values of an AnnData from this layer instead of ``X``.

    Returns
    -------
    anndata.AnnData
        Samples x genes, dense: int64 counts or float64 TPM; ids of one gene added. ``obs``: the sample table, and
        ``sample``. ``uns["bulkgen"]``: kind ``bulk_samples`` with the unit, and the report of what became of genes and
        samples, which :func:`bulkgen.bulk_input.bulk_report` reads.

    Raises
    ------
    CountsError
        If the values are not of the declared unit (log-transformed, TPM as counts, counts as TPM, fractional, negative,
        missing), or a sample is empty.
    GeneOverlapError
        If under 10 % of the ids lead to genes of the vocabulary.
    LabelError
        If the sample table does not name the samples, or names one twice.
    VocabularyError
        If the vocabulary cannot be found or read.
    FileNotFoundError, OSError
        If a file does not exist or cannot be read.
    ValueError
        If a table's axes or columns cannot be understood; the message says which argument settles it.

    Warns
    -----
    UserWarning
        For ids and samples that are left out, columns taken for annotation, and TPM that sum to less than a million.
    """
    if unit not in ("counts", "tpm"):
        raise ValueError(f"unit must be 'counts' or 'tpm', got {unit!r}")
    if round and unit == "tpm":
        raise ValueError("round=True makes expected counts whole; TPM stay fractional: leave it out, or unit='counts'")
    if vocabulary is None and vocabulary_path is not None:
        raise ValueError("vocabulary_path says where V1 or V2 is: pass vocabulary='V1' or 'V2' too")
    if isinstance(source, os.PathLike):
        source = Path(source)
    loaded = None if vocabulary is None else load_vocabulary(vocabulary, vocabulary_path)
    table = None if samples is None else read_sample_table(samples)
    matrix = _matrix(source, table, loaded, genes=genes, gene_ids=gene_ids, layer=layer)
    if matrix.annotation:
        described = ", ".join(map(repr, matrix.annotation))
        warn(f"columns taken for annotation, not for values: {described}")
    left_out: tuple[str, ...] = ()
    obs, values = matrix.obs, matrix.values
    if table is not None:
        rows, left_out = sample_rows(table, list(obs.index))
        values = values[obs.index.isin(rows.index)]
        obs = rows.join(obs[[column for column in obs if column not in rows]])
    if "sample" not in obs:
        obs = obs.assign(sample=obs.index.to_numpy())
    columns = gene_columns(matrix.var, loaded, gene_ids=matrix.gene_ids)
    checked = checked_values(values, unit, round=round, samples=list(obs.index), genes=columns.ids)
    raw = _anndata(values, obs, matrix.var)
    report = _report(matrix, columns, checked, left_out)
    if report.unmapped:
        where = "empty" if loaded is None else f"not in vocabulary {loaded.name!r}"
        warn(
            f"{report.unmapped} of {report.ids} gene ids, with {report.unmapped_share:.2%} of the {unit}, are {where} "
            f"and left out: {shown(columns.ids[i] for i in np.flatnonzero(columns.gene < 0))}"
        )
    parameters = {
        "source": Path(source).name if isinstance(source, str | Path) else type(source).__name__,
        "unit": unit,
        "vocabulary": None if loaded is None else loaded.name,
        "vocabulary_fingerprint": None if loaded is None else loaded.fingerprint,
        "round": round,
        "report": report.to_dict(),
    }
    return make_anndata(
        columns.sums(checked),
        obs=obs,
        var=matrix.var.iloc[columns.first].set_axis(pd.Index(columns.genes, dtype=object)),
        uns={"bulkgen": provenance("bulk_samples", parameters, key=None, source=raw)},
    )


def _matrix(
    source: str | Path | AnnData | pd.DataFrame,
    samples: pd.DataFrame | None,
    vocabulary: Vocabulary | None,
    *,
    genes: Axis | None,
    gene_ids: str | None,
    layer: str | None,
) -> BulkMatrix:
    if isinstance(source, str | Path) and Path(source).suffix not in (".h5ad", ".h5", ".zarr"):
        source = read_table(source)
    if isinstance(source, pd.DataFrame):
        if layer is not None:
            raise ValueError("a table has no layers; leave layer out")
        return matrix_of_table(
            source,
            genes=genes,
            gene_ids=gene_ids,
            vocabulary=vocabulary,
            sample_names=set() if samples is None else words_of(samples),
        )
    if genes is not None:
        raise ValueError("an AnnData is samples x genes; genes says which axis of a table holds them: leave it out")
    if isinstance(source, str | Path):
        source, layer = read(source, layer=layer, counts="any"), None
    return _matrix_of_anndata(source, layer, gene_ids)


def _matrix_of_anndata(adata: AnnData, layer: str | None, gene_ids: str | None) -> BulkMatrix:
    if layer is not None and layer not in adata.layers:
        found = ", ".join(map(repr, adata.layers)) or "none"
        raise ValueError(f"source has no layer {layer!r}; layers: {found}")
    X = adata.X if layer is None else adata.layers[layer]
    if X is None:
        raise ValueError("source has no matrix X; name a layer: layer='counts'")
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()][0]
        raise ValueError(f"sample names must be unique, but {twice!r} occurs more than once")
    if not isinstance(X, np.ndarray):
        names = {"cell_names": adata.obs_names, "gene_names": adata.var_names}
        X = canonical_counts(X, require_integers=False, **names).toarray()
    return BulkMatrix(X, adata.obs, adata.var, gene_ids)


def _anndata(values: np.ndarray, obs: pd.DataFrame, var: pd.DataFrame) -> AnnData:
    """Return the input as an AnnData, whose content identifies it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        return make_anndata(values, obs=obs[[]], var=var[[]])


def _report(
    matrix: BulkMatrix, columns: GeneColumns, values: np.ndarray, samples_left_out: tuple[str, ...]
) -> BulkReport:
    unmapped = np.flatnonzero(columns.gene < 0)
    return BulkReport(
        samples=len(values),
        genes=len(columns.genes),
        ids=len(columns.ids),
        versions_stripped=columns.versioned,
        ids_summed=columns.summed,
        unmapped=len(unmapped),
        unmapped_examples=tuple(columns.ids[column] for column in unmapped[:EXAMPLES]),
        unmapped_share=float(values[:, unmapped].sum() / values.sum()),
        annotation=matrix.annotation,
        summary_rows=matrix.summary_rows,
        samples_left_out=samples_left_out,
    )
