"""Counts to rank-value tokens."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, overload

import pyarrow as pa

from bulkgen.arguments import checked
from bulkgen.errors import CountsError
from bulkgen.io import check_output, open_cells, provenance_of
from bulkgen.io.shard_jobs import check_shard_arguments
from bulkgen.progress import progress_bar
from bulkgen.tokens.arrow import load_dataset, plain_provenance, write_folder
from bulkgen.tokens.dataset import TokenDataset
from bulkgen.tokens.encoder import Encoder
from bulkgen.tokens.genes import map_genes
from bulkgen.tokens.obs import label_names, obs_table
from bulkgen.tokens.sharded import tokenize_shards
from bulkgen.tokens.summary import refuse_lost
from bulkgen.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from bulkgen.io import Cells
    from bulkgen.io.executors import Executor
    from bulkgen.io.shard_jobs import Shards
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["collect", "load_vocabulary", "tokenize", "with_progress"]


@overload
def tokenize(
    adata: Cells,
    *,
    vocabulary: str | Path | Vocabulary = ...,
    label: str | None = ...,
    columns: Sequence[str] | None = ...,
    gene_ids: str | None = ...,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = ...,
    keep_empty: bool = ...,
    counts: bool = ...,
    allow_fractional: bool = ...,
    threads: int | None = ...,
    out: str | Path | None = ...,
    overwrite: bool = ...,
) -> TokenDataset: ...


@overload
def tokenize(
    adata: Cells,
    *,
    vocabulary: str | Path | Vocabulary = ...,
    label: str | None = ...,
    columns: Sequence[str] | None = ...,
    gene_ids: str | None = ...,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = ...,
    keep_empty: bool = ...,
    counts: bool = ...,
    allow_fractional: bool = ...,
    threads: int | None = ...,
    out: str | Path,
    shard_size: int,
    resume: bool = ...,
    shard: tuple[int, int] = ...,
    executor: Executor | object | None = ...,
    force: bool = ...,
) -> Shards[TokenDataset]: ...


@checked
def tokenize(
    adata: Cells,
    *,
    vocabulary: str | Path | Vocabulary = "V1",
    label: str | None = None,
    columns: Sequence[str] | None = None,
    gene_ids: str | None = None,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = None,
    keep_empty: bool = False,
    counts: bool = False,
    allow_fractional: bool = False,
    threads: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    shard_size: int | None = None,
    resume: bool = False,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | object | None = None,
    force: bool = False,
) -> TokenDataset | Shards[TokenDataset]:
    """Turn cells into tokens: their expressed genes by descending count / median.

    A cell's value of a gene is its count per 10,000 divided by the gene's median in the vocabulary. Genes
    are ranked by float64 count / float64 median (the cell's constants do not change the order), ties by
    column, and cut to the context. Columns without a gene of the vocabulary are left out; columns of the same
    gene are added first.

    Parameters
    ----------
    adata
        Counts, cells × genes: an AnnData, the ``.h5ad`` or ``.zarr`` that holds them, or
        :func:`bulkgen.open_cells` of these. Dense, CSR, CSC, backed and lazy `X` give the same tokens; what is not
        in memory is read block by block. Means of groups are welcome; log-normalised values are refused.
    vocabulary
        ``"V1"`` or ``"V2"`` (Geneformer), a :class:`Vocabulary`, or the path of one that was saved.
    label
        `obs` column to predict. Class ids follow the sorted labels.
    columns
        Further `obs` columns to carry along. The cells' names always come along, as ``cell_id``.
    gene_ids
        `var` column that holds the gene ids; by default `var_names`.
    vocabulary_path
        Where the dictionaries of V1 or V2 are (:meth:`Vocabulary.load`).
    keep_empty
        Keep cells that express no gene of the vocabulary; by default they are dropped, counted and listed.
    counts
        Add a column ``counts``: counts per 10,000 of the cell's library size over all columns of `X`, in the
        order of the tokens, 0 for special tokens. ``obs["n_counts"]`` is not read: it may be of other genes.
    allow_fractional
        Accept fractional values below 20 from an unknown source, which are refused as log-normalised
        otherwise (data that bulkgen made says so itself).
    threads
        Threads to use; the tokens do not depend on it. By default the CPUs available.
    out
        Write the data set to this folder, in the layout of :func:`datasets.load_from_disk`, block by block;
        the result is then read from there as it is needed.
    overwrite
        Replace `out` if it exists.
    shard_size
        Write the tokens of so many cells at a time to shards in the folder `out`; the cells are in a file. The shards
        are the same bytes whatever is interrupted, in whatever order and by however many processes they are made.
    resume, shard, executor, force
        Of shards, as in :func:`bulkgen.synthesize`; the workers see the file of the cells, too.

    Returns
    -------
    TokenDataset
        Or, with `shard_size`, :class:`bulkgen.Shards`: where they are and how many are done; ``open()`` gives all of
        them as one.

    Raises
    ------
    CountsError
        If values are negative, NaN, infinite or log-normalised, or every cell is empty.
    GeneOverlapError
        If under 10 % of the columns carry a gene of the vocabulary.
    LabelError
        If the label column is missing, cells lack a label, or all cells of a label are empty.
    VocabularyError
        If the vocabulary cannot be found or read.
    OutputExistsError
        If `out` exists and `overwrite` is false; if it holds shards and `resume` is false.
    ResumeError
        If `out` holds the shards of something else; the message names the difference.
    ShardError
        If a shard could not be made; those that are done stay.
    ResourcesError
        If there is not enough space for shards, unless `force`.

    Warns
    -----
    UserWarning
        If under 50 % of the columns carry a gene of the vocabulary.

    References
    ----------
    Theodoris et al., Nature 618:616 (2023).
    """
    shard_size = check_shard_arguments(
        shard_size,
        out=out,
        overwrite=overwrite,
        shard=shard,
        of_shards={"resume": resume, "executor": executor, "force": force},
    )
    if out is not None and shard_size is None:
        check_output(out, overwrite=overwrite)
    vocabulary = load_vocabulary(vocabulary, vocabulary_path)
    cells = open_cells(adata)
    if cells.n_obs == 0:
        raise CountsError("adata has no cells")
    if out is not None and shard_size is not None:
        return tokenize_shards(
            cells,
            out,
            vocabulary=vocabulary,
            label=label,
            columns=columns,
            gene_ids=gene_ids,
            keep_empty=keep_empty,
            counts=counts,
            allow_fractional=allow_fractional,
            shard_size=shard_size,
            resume=resume,
            shard=shard,
            executor=executor,
            threads=threads,
            force=force,
        )
    genes = map_genes(cells.var, vocabulary, gene_ids=gene_ids)
    obs = obs_table(cells.obs, label=label, columns=columns or ())
    names = label_names(obs, label) if label is not None else ()
    encoder = Encoder(vocabulary, genes, keep_empty=keep_empty, counts=counts, threads=threads)
    batches = encoder.encode_cells(cells, obs, allow_fractional=allow_fractional)
    return collect(
        with_progress("tokenize", batches, encoder, total=cells.n_obs),
        encoder,
        obs.schema,
        label=label,
        names=names,
        provenance=provenance_of(cells) or {},
        out=out,
        overwrite=overwrite,
    )


def load_vocabulary(
    vocabulary: str | Path | Vocabulary, path: VocabularyPath | Sequence[VocabularyPath] | None
) -> Vocabulary:
    """Load a vocabulary by name or path, or take the one that is given."""
    if not isinstance(vocabulary, Vocabulary):
        return Vocabulary.load(vocabulary, path=path)
    if path is not None:
        raise ValueError("vocabulary_path says where V1 or V2 is, but vocabulary is a Vocabulary; pass one of the two")
    return vocabulary


def collect(
    batches: Generator[pa.RecordBatch],
    encoder: Encoder,
    obs_schema: pa.Schema,
    *,
    label: str | None,
    names: Sequence[str],
    provenance: Mapping[str, object],
    out: str | Path | None,
    overwrite: bool,
) -> TokenDataset:
    """Make the data set of an encoder's batches, in memory or in a folder.

    Raises
    ------
    CountsError
        If every cell was empty.
    LabelError
        If every cell of one of the labels `names` was empty.
    """
    schema = encoder.schema(obs_schema)
    origin = plain_provenance(provenance)
    checked = _with_every_label(batches, encoder, label=label, names=names)
    if out is None:
        table = pa.Table.from_batches(checked, schema=schema)
        return TokenDataset(table, encoder.vocabulary, label, encoder.summary(), origin)
    write_folder(
        out,
        checked,
        schema=schema,
        vocabulary=encoder.vocabulary,
        label=label,
        label_names=names,
        provenance=origin,
        summarize=encoder.summary,
        overwrite=overwrite,
    )
    return load_dataset(out, vocabulary=encoder.vocabulary)


def with_progress(
    title: str, batches: Iterator[pa.RecordBatch], encoder: Encoder, *, total: int
) -> Generator[pa.RecordBatch]:
    """Pass the batches of an encoder on, and show how many of the cells are done."""
    with progress_bar(title, total) as advance:
        before = 0
        for batch in batches:
            yield batch
            advance(encoder.tally.cells_in - before)
            before = encoder.tally.cells_in


def _with_every_label(
    batches: Generator[pa.RecordBatch], encoder: Encoder, *, label: str | None, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Pass the batches on; at the end, refuse what has no cells or lost a label."""
    seen: set[str] = set()
    with closing(batches):
        for batch in batches:
            if label is not None:
                seen.update(batch.column(label).unique().to_pylist())
            yield batch
    refuse_lost(encoder.tally, seen, label=label, names=names)
