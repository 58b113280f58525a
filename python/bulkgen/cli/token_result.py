"""What the commands that make tokens print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkgen.cli.options import print_result

if TYPE_CHECKING:
    from pathlib import Path

    from bulkgen.tokens import TokenDataset

__all__ = ["print_tokens"]

#: Labels that are listed.
_MOST_LABELS = 12


def print_tokens(tokens: TokenDataset, out: Path, *, as_json: bool) -> None:
    """Print what a token data set holds and where it is.

    What comes next is not said: training, for some, and only testing for others.
    """
    print_result(_for_machines(tokens, out) if as_json else _for_people(tokens, out), as_json=as_json)


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
        names = tokens.label_names
        more = f" and {len(names) - _MOST_LABELS} more" if len(names) > _MOST_LABELS else ""
        result["label"] = f"{tokens.label}: {', '.join(names[:_MOST_LABELS])}{more}"
    return result | {"out": str(out)}
