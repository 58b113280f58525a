"""``bulkgen tokenize``: cells to rank-value tokens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulkgen.cli.options import InputCells, Json, Layer, Output, Overwrite, Threads, print_result

if TYPE_CHECKING:
    from bulkgen.tokens import TokenDataset

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
    vocabulary_path: Annotated[
        list[Path] | None,
        typer.Option(help="Where the dictionaries of V1 or V2 are: a folder, or the files (repeat the option)."),
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a cell, for --vocabulary fit (default 2048).")
    ] = None,
    label: Annotated[str | None, typer.Option(help="obs column to predict.")] = None,
    columns: Annotated[str | None, typer.Option(help="Further obs columns to carry along: a,b,c.")] = None,
    gene_ids: Annotated[
        str | None, typer.Option(help="var column that holds the gene ids (default: var_names).")
    ] = None,
    keep_empty: Annotated[
        bool, typer.Option("--keep-empty", help="Keep cells that express no gene of the vocabulary.")
    ] = False,
    counts: Annotated[bool, typer.Option("--counts", help="Add the counts per 10,000 of each token's gene.")] = False,
    allow_fractional: Annotated[
        bool, typer.Option("--allow-fractional", help="Accept small fractional values as counts.")
    ] = False,
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
    from bulkgen.io import check_output, read
    from bulkgen.tokens import Vocabulary
    from bulkgen.tokens import tokenize as encode

    check_output(out, overwrite=overwrite)
    # as it is, the file is read by rows; a layer, or a vocabulary to fit, needs it whole
    whole = layer is not None or vocabulary == _FIT
    adata = read(cells, layer=layer, counts="any") if whole else cells
    fitted: Vocabulary | None = None
    if vocabulary == _FIT:
        fitted = Vocabulary.fit(adata, context=context or 2048, gene_ids=gene_ids, allow_fractional=allow_fractional)
    tokens = encode(
        adata,
        vocabulary=fitted or vocabulary,
        vocabulary_path=vocabulary_path or None,
        label=label,
        columns=[name.strip() for name in columns.split(",")] if columns else None,
        gene_ids=gene_ids,
        keep_empty=keep_empty,
        counts=counts,
        allow_fractional=allow_fractional,
        threads=threads,
        out=out,
        overwrite=overwrite,
    )
    print_result(_for_machines(tokens, out) if json_ else _for_people(tokens, out), as_json=json_)


def _for_machines(tokens: TokenDataset, out: Path) -> dict[str, object]:
    return {
        "out": str(out),
        "vocabulary": tokens.vocabulary.name,
        "vocabulary_fingerprint": tokens.vocabulary.fingerprint,
        "context": tokens.vocabulary.context,
        "label": tokens.label,
        "label_names": list(tokens.label_names) if tokens.label is not None else [],
        **tokens.summary.to_dict(),
    }


def _for_people(tokens: TokenDataset, out: Path) -> dict[str, object]:
    summary, vocabulary = tokens.summary, tokens.vocabulary
    result: dict[str, object] = {
        "cells": f"{summary.cells_out:,}",
        "dropped_empty": f"{summary.cells_dropped_empty:,}",
        "genes_mapped": f"{summary.genes_mapped:,} of {summary.genes_in:,} columns ({summary.mapped_fraction:.1%})",
        "tokens_per_cell": f"median {summary.tokens_median:,.0f}, mean {summary.tokens_mean:,.1f}, "
        f"most {summary.tokens_max:,}",
        "saturated": f"{summary.cells_saturated:,} cells fill the context of {vocabulary.context:,}",
        "vocabulary": f"{vocabulary.name} ({len(vocabulary):,} genes, {vocabulary.fingerprint[:12]})",
    }
    if summary.cells_kept_empty:
        result["kept_empty"] = f"{summary.cells_kept_empty:,}"
    if summary.empty_cells:
        result["empty_cells"] = ", ".join(summary.empty_cells)
    if summary.genes_versioned:
        result["versions_stripped"] = f"{summary.genes_versioned:,} columns"
    if summary.genes_collapsed:
        result["columns_added"] = f"{summary.genes_collapsed:,} (several columns of one gene)"
    if tokens.label is not None:
        result["label"] = f"{tokens.label}: {', '.join(tokens.label_names)}"
    return result | {"written": str(out)}
