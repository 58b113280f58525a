"""``bulkgen tokenize``: cells to rank-value tokens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bulkgen.cli.options import (
    Columns,
    GeneIds,
    InputCells,
    Json,
    KeepEmpty,
    Label,
    Layer,
    Output,
    Overwrite,
    Threads,
    VocabularyPaths,
    split_columns,
)
from bulkgen.cli.shards import (
    DaskAddress,
    Force,
    Resume,
    Shard,
    ShardSize,
    for_shards_only,
    print_shards,
    read_shard,
    shard_job,
)
from bulkgen.cli.token_result import print_tokens

__all__ = ["tokenize"]

_FIT = "fit"


def tokenize(
    cells: InputCells,
    out: Output,
    vocabulary: Annotated[
        str,
        typer.Option(
            help="V1 or V2 (Geneformer), a saved vocabulary.json or a folder that holds one, "
            "or 'fit' to fit one to this data."
        ),
    ] = "V1",
    vocabulary_path: VocabularyPaths = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a cell, for --vocabulary fit (default 2048).")
    ] = None,
    label: Label = None,
    columns: Columns = None,
    gene_ids: GeneIds = None,
    keep_empty: KeepEmpty = False,
    counts: Annotated[bool, typer.Option("--counts", help="Add the counts per 10,000 of each token's gene.")] = False,
    allow_fractional: Annotated[
        bool, typer.Option("--allow-fractional", help="Accept small fractional values as counts.")
    ] = False,
    shard_size: ShardSize = None,
    resume: Resume = False,
    shard: Shard = "1/1",
    dask: DaskAddress = None,
    force: Force = False,
    layer: Layer = None,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Turn cells into rank-value tokens, in a folder that Hugging Face datasets.load_from_disk reads."""
    if context is not None and vocabulary != _FIT:
        raise typer.BadParameter(f"only --vocabulary {_FIT} takes it", param_hint="--context")
    if vocabulary == _FIT and vocabulary_path:
        raise typer.BadParameter(f"--vocabulary {_FIT} does not take it", param_hint="--vocabulary-path")
    from bulkgen.io import check_output, open_cells
    from bulkgen.tokens import Vocabulary
    from bulkgen.tokens import tokenize as encode

    share = read_shard(shard)
    if shard_size is None:
        for_shards_only({"--resume": resume, "--shard": share != (1, 1), "--dask": dask, "--force": force})
        check_output(out, overwrite=overwrite)
    opened = open_cells(cells, layer=layer)
    fitted: Vocabulary | None = None
    if vocabulary == _FIT:
        fitted = Vocabulary.fit(opened, context=context or 2048, gene_ids=gene_ids, allow_fractional=allow_fractional)
    how: dict[str, Any] = {
        "vocabulary": fitted or vocabulary,
        "vocabulary_path": vocabulary_path or None,
        "label": label,
        "columns": split_columns(columns),
        "gene_ids": gene_ids,
        "keep_empty": keep_empty,
        "counts": counts,
        "allow_fractional": allow_fractional,
        "threads": threads,
        "out": out,
        "overwrite": overwrite,
    }
    if shard_size is None:
        print_tokens(encode(opened, **how), out, as_json=json_)
        return
    with shard_job(dask):
        made = encode(opened, shard_size=shard_size, resume=resume, shard=share, force=force, **how)
    print_shards(made, out, as_json=json_)
