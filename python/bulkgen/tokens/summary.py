"""What a tokenization did, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, cast

import numpy as np

from bulkgen.errors import CountsError, LabelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Self

    import numpy.typing as npt

    from bulkgen.tokens.genes import GeneMap

__all__ = ["Tally", "TokenizeSummary", "refuse_lost"]

#: Empty cells that the summary names.
LISTED_CELLS = 10


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


@dataclass
class Tally:
    """Sums that a summary is made of; those of parts of a data set add up.

    Attributes
    ----------
    cells_in, saturated, empty
        Cells, those that fill the context, and those that express no gene of the vocabulary.
    empty_cells
        Names of the first empty cells.
    cells_by_length
        Cells with so many tokens, by that number; cells that were dropped are not among them.
    """

    cells_in: int = 0
    saturated: int = 0
    empty: int = 0
    empty_cells: list[str] = field(default_factory=list)
    cells_by_length: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))

    @property
    def cells_out(self) -> int:
        """Cells of the token data set."""
        return int(self.cells_by_length.sum())

    def add_lengths(self, lengths: npt.NDArray[np.int64]) -> None:
        """Count cells by their number of tokens."""
        self._add(np.bincount(lengths, minlength=1))

    def _add(self, cells_by_length: npt.NDArray[np.int64]) -> None:
        fewer, more = sorted((self.cells_by_length, cells_by_length), key=len)
        more = more.copy()
        more[: len(fewer)] += fewer
        self.cells_by_length = more

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """Return the tally of all parts, in their order."""
        total = cls()
        for part in parts:
            total.cells_in += part.cells_in
            total.saturated += part.saturated
            total.empty += part.empty
            total.empty_cells = (total.empty_cells + part.empty_cells)[:LISTED_CELLS]
            total._add(part.cells_by_length)
        return total

    def to_dict(self) -> dict[str, object]:
        """Return the sums as a dictionary that JSON can hold."""
        lengths = np.flatnonzero(self.cells_by_length)
        by_length = [lengths.tolist(), self.cells_by_length[lengths].tolist()]
        return vars(self) | {"cells_by_length": by_length}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Make a tally from what :meth:`to_dict` gave."""
        known = {one.name: values[one.name] for one in fields(cls)}
        lengths, cells = cast("list[list[int]]", known["cells_by_length"])
        by_length = np.zeros(max(lengths, default=0) + 1, dtype=np.int64)
        by_length[lengths] = cells
        return cls(**{**known, "cells_by_length": by_length})  # type: ignore[arg-type]

    def summary(self, genes: GeneMap, *, keep_empty: bool) -> TokenizeSummary:
        """Return the summary."""
        ends = np.cumsum(self.cells_by_length)
        cells = int(ends[-1])
        # the one in the middle, or the mean of both
        middle = np.searchsorted(ends, [(cells - 1) // 2, cells // 2], side="right")
        return TokenizeSummary(
            cells_in=self.cells_in,
            cells_out=cells,
            cells_dropped_empty=0 if keep_empty else self.empty,
            cells_kept_empty=self.empty if keep_empty else 0,
            empty_cells=tuple(self.empty_cells),
            cells_saturated=self.saturated,
            genes_in=len(genes.token),
            genes_mapped=genes.mapped,
            genes_versioned=genes.versioned,
            genes_collapsed=genes.collapsed,
            mapped_fraction=genes.fraction,
            gene_ids=genes.gene_ids,
            tokens_total=int(self.cells_by_length @ np.arange(len(self.cells_by_length))),
            tokens_median=float(middle.mean()) if cells else 0.0,
            tokens_max=int(np.flatnonzero(self.cells_by_length).max(initial=0)),
        )


def refuse_lost(tally: Tally, seen: Collection[str], *, label: str | None, names: Sequence[str]) -> None:
    """Refuse a data set without cells, or with a label of which no cell was `seen`.

    Raises
    ------
    CountsError
        If every cell was empty.
    LabelError
        If every cell of one of the labels `names` was empty.
    """
    if tally.cells_out == 0:
        raise CountsError(
            f"none of the {tally.cells_in} cells expresses a gene of the vocabulary; pass keep_empty=True "
            f"(--keep-empty) to keep them all the same"
        )
    lost = [name for name in names if name not in seen]
    if lost:
        raise LabelError(
            f"label: every cell of {', '.join(map(repr, lost))} in {label!r} is empty (expresses no gene of "
            f"the vocabulary); remove these cells, or pass keep_empty=True (--keep-empty)"
        )
