"""What a tokenization did, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TokenizeSummary"]


@dataclass(frozen=True)
class TokenizeSummary:
    """What :func:`bulkgen.tokenize` did.

    Attributes
    ----------
    cells_in, cells_out
        Cells of the input, and cells of the token data set.
    cells_dropped_empty
        Cells dropped because no gene of the vocabulary was expressed.
    cells_kept_empty
        The same cells, where ``keep_empty`` kept them.
    empty_cells
        Ids (`obs_names`) of the first ten empty cells, dropped or kept.
    cells_saturated
        Cells that express at least as many genes as the context holds; what lies beyond is cut.
    genes_in
        Columns of the input.
    genes_mapped
        Columns that carry a gene of the vocabulary.
    genes_versioned
        Mapped columns whose Ensembl version (``.5``) was stripped.
    genes_collapsed
        Mapped columns that were added to an earlier column of the same gene.
    mapped_fraction
        ``genes_mapped / genes_in``.
    gene_ids
        Column of `var` that held the gene ids; ``None`` for `var_names`.
    tokens_total
        Tokens of all cells, special tokens included.
    tokens_median
        Median tokens per cell, special tokens included.
    tokens_max
        Most tokens of a cell, special tokens included.
    """

    cells_in: int
    cells_out: int
    cells_dropped_empty: int
    cells_kept_empty: int
    empty_cells: tuple[str, ...]
    cells_saturated: int
    genes_in: int
    genes_mapped: int
    genes_versioned: int
    genes_collapsed: int
    mapped_fraction: float
    gene_ids: str | None
    tokens_total: int
    tokens_median: float
    tokens_max: int

    @property
    def tokens_mean(self) -> float:
        """Mean tokens per cell, special tokens included; 0 for an empty data set."""
        return self.tokens_total / self.cells_out if self.cells_out else 0.0

    def to_dict(self) -> dict[str, object]:
        """Return the numbers as a dictionary that JSON can hold."""
        return asdict(self) | {"empty_cells": list(self.empty_cells)}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> TokenizeSummary:
        """Make a summary from what :meth:`to_dict` gave; names it does not know are left out."""
        known = {field.name: values[field.name] for field in fields(cls)}
        known["empty_cells"] = tuple(cast("list[str]", known["empty_cells"]))
        return cls(**known)  # type: ignore[arg-type]
