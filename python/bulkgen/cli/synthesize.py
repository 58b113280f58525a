"""``bulkgen synthesize``: bulk profiles to synthetic cells or their tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bulkgen.cli.generator_options import GroupedBy, Method, ReferenceCells, Set, parameters_of
from bulkgen.cli.options import (
    Columns,
    GeneIds,
    Json,
    KeepEmpty,
    Label,
    Layer,
    Output,
    Overwrite,
    Rng,
    Threads,
    VocabularyPaths,
    print_result,
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

__all__ = ["synthesize"]


def synthesize(
    out: Output,
    bulk: Annotated[
        Path | None,
        typer.Argument(metavar="BULK", help="Real cells to aggregate (.h5ad or .zarr, with --by), or bulk profiles."),
    ] = None,
    fitted: Annotated[Path | None, typer.Option(help="Draw from what bulkgen fit stored, in place of BULK.")] = None,
    by: GroupedBy = None,
    reference: ReferenceCells = None,
    method: Method = None,
    n_cells: Annotated[int, typer.Option("--n-cells", "-n", min=1, help="Cells per stratum.")] = 1000,
    set_: Set = None,
    tokens: Annotated[
        bool,
        typer.Option(
            "--tokens", help="Write a folder of tokens, cell by cell, without ever holding a matrix of cells."
        ),
    ] = False,
    vocabulary: Annotated[
        str | None,
        typer.Option(help="With --tokens: V1 (default) or V2 (Geneformer), or a saved vocabulary."),
    ] = None,
    vocabulary_path: VocabularyPaths = None,
    label: Label = None,
    columns: Columns = None,
    gene_ids: GeneIds = None,
    keep_empty: KeepEmpty = False,
    shard_size: ShardSize = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="h5ad|zarr", help="Of shards of cells (default: h5ad).")
    ] = None,
    resume: Resume = False,
    shard: Shard = "1/1",
    dask: DaskAddress = None,
    force: Force = False,
    layer: Layer = None,
    rng: Rng = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Generate synthetic cells from bulk profiles, or their tokens."""
    import bulkgen
    from bulkgen.io import check_cells_output, check_output

    for_tokens = {
        "--vocabulary": vocabulary,
        "--vocabulary-path": vocabulary_path,
        "--label": label,
        "--columns": columns,
        "--gene-ids": gene_ids,
        "--keep-empty": keep_empty,
    }
    given = [name for name, value in for_tokens.items() if value]
    if given and not tokens:
        raise typer.BadParameter("is for tokens: add --tokens", param_hint=given[0])
    share = read_shard(shard)
    if shard_size is None:
        of_shards = {"--format": format_, "--resume": resume, "--shard": share != (1, 1), "--dask": dask}
        for_shards_only(of_shards | {"--force": force and tokens})
        (check_output if tokens else check_cells_output)(out, overwrite=overwrite)
    how: dict[str, Any] = {
        **parameters_of(set_),
        "fitted": fitted,
        "reference": None if reference is None else bulkgen.open_cells(reference, layer=layer),
        "by": by or None,
        "method": method,
        "n_cells": n_cells,
        "rng": rng,
        "threads": threads,
        "force": force,
    }
    profiles = None if bulk is None else bulkgen.open_cells(bulk, layer=layer)
    if tokens:
        how |= {
            "to": "tokens",
            "vocabulary": vocabulary or "V1",
            "vocabulary_path": vocabulary_path or None,
            "label": label,
            "columns": split_columns(columns),
            "gene_ids": gene_ids,
            "keep_empty": keep_empty,
        }
    if tokens or shard_size is not None:
        how |= {"out": out, "overwrite": overwrite}
    if shard_size is not None:
        with shard_job(dask):
            made = bulkgen.synthesize(
                profiles, shard_size=shard_size, format=format_, resume=resume, shard=share, **how
            )
        print_shards(made, out, as_json=json_)
        return
    if tokens:
        print_tokens(bulkgen.synthesize(profiles, **how), out, as_json=json_)
        return
    cells = bulkgen.synthesize(profiles, **how)
    bulkgen.write(cells, out, overwrite=overwrite)
    print_result(
        {
            "method": json.loads(cells.uns["bulkgen"]["parameters"])["method"],
            "strata": cells.n_obs // n_cells,
            "cells": cells.n_obs,
            "genes": cells.n_vars,
            "out": str(out),
        },
        as_json=json_,
        then=("tokenize", out, "--label", cells.obs.columns[0], "-o", out.with_suffix(".dataset")),
    )
