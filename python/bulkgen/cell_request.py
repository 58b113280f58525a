"""Cells asked for of a fit, by their numbers: whichever range of them is made, they are the same cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
import pandas as pd

from bulkgen.errors import LabelError
from bulkgen.io import make_anndata, provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData

    from bulkgen.fits import Fit
    from bulkgen.kernels.protocol import Int64Array, TokenArray
    from bulkgen.kernels.row_encoding import RowEncoding
    from bulkgen.tokens.encoder import Draw

__all__ = ["MOST_NUMBERS", "CellRequest", "cell_name", "cells_per_stratum"]

#: Of the cells of a stratum: a cell's number has 40 bits.
MOST_NUMBERS = 2**40

#: What a fit's record says of the reference.
_SOURCE = ("input_hash", "history", "simulated")


@dataclass(frozen=True)
class CellRequest:
    """Cells asked for of a fit: of every stratum so many, from the cell of a number on.

    Attributes
    ----------
    fit
        What they are drawn from.
    numbers
        Cells of each stratum.
    epoch
        The cells are those of this epoch of a training that never sees a cell twice: of a stratum with n cells in an
        epoch those from ``epoch * n`` on.
    """

    fit: Fit
    numbers: list[int]
    epoch: int = 0

    def strata(self) -> pd.DataFrame:
        """Return the ``obs`` row of the cells of each stratum."""
        strata = self.fit.strata.copy()
        strata["synthetic"] = True
        return strata

    def segments(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield stratum, first cell within it and number of cells of the parts of ``[first, last)`` in one stratum."""
        end = 0
        for stratum, number in enumerate(self.numbers):
            begin, end = end, end + number
            if max(first, begin) < min(last, end):
                start = max(first, begin)
                yield stratum, self.epoch * number + start - begin, min(last, end) - start

    def record(self, key: int) -> dict[str, str | int]:
        """Return the provenance of the cells."""
        parameters = {
            **self.fit.parameters,
            "n_cells": dict(zip(self.fit.strata.index, self.numbers, strict=True)),
        }
        if self.epoch:
            parameters["epoch"] = self.epoch
        made = provenance("synthetic", parameters, key=key, source=None)
        learned_from = {name: self.fit.record[name] for name in _SOURCE if name in self.fit.record}
        return {**made, **learned_from, "synthetic": 1}

    @property
    def total(self) -> int:
        """Cells of all strata."""
        return sum(self.numbers)

    def draw_tokens(self, key: int) -> Draw:
        """Return what makes the tokens of a range of the cells."""

        def draw(first: int, encoding: RowEncoding, tokens: TokenArray, lengths: Int64Array, genes: Int64Array) -> None:
            start = done = 0
            for stratum, first_cell, n in self.segments(first, first + lengths.size):
                here = slice(done, done + n)
                self.fit.fitted.sample_tokens(
                    stratum, encoding, tokens[start:], lengths[here], genes[here], key=key, first_cell=first_cell
                )
                start += int(lengths[here].sum())
                done += n

        return draw

    def cells(self, first: int, last: int, *, key: int, record: Mapping[str, object], threads: int | None) -> AnnData:
        """Make the cells ``[first, last)``, with `record` as their provenance."""
        segments = list(self.segments(first, last))
        fitted = self.fit.fitted
        matrix = fitted.sample_segments(segments, n_genes=len(self.fit.var), key=key, threads=threads)
        strata, _, numbers = zip(*segments, strict=True)
        obs = self.strata().iloc[np.repeat(strata, numbers)]
        known = [fitted.cell_columns(stratum, n, key=key, first_cell=begin) for stratum, begin, n in segments]
        for column in known[0]:
            obs[column] = np.concatenate([columns[column] for columns in known])
        obs.index = pd.Index([cell_name(i) for i in range(first, last)])
        return make_anndata(matrix, obs=obs, var=self.fit.var.copy(), uns={"bulkgen": dict(record)})


def cell_name(number: int) -> str:
    """Return the name of a cell by its number among all that were asked for."""
    return f"synthetic-{number}"


def cells_per_stratum(n_cells: int | Mapping[str, int], names: Sequence[str]) -> list[int]:
    """Return the cells of each stratum, from the same number for all or a mapping.

    Raises
    ------
    LabelError
        If the mapping names a stratum that there is not.
    TypeError, ValueError
        If a number is no integer, or negative, or there are no cells at all.
    """
    if _is_count(n_cells):
        numbers = [int(n_cells)] * len(names)
    elif not isinstance(n_cells, Mapping):
        raise TypeError(f"n_cells must be an integer, or a mapping from stratum to integer, got {n_cells!r}")
    else:
        unknown = [name for name in n_cells if name not in names]
        if unknown:
            raise LabelError(f"n_cells names the stratum {unknown[0]!r}; strata: {', '.join(map(repr, names))}")
        wrong = [name for name in n_cells if not _is_count(n_cells[name])]
        if wrong:
            raise TypeError(f"n_cells of stratum {wrong[0]!r} must be an integer, got {n_cells[wrong[0]]!r}")
        numbers = [int(n_cells.get(name, 0)) for name in names]
    if min(numbers) < 0 or sum(numbers) < 1:
        raise ValueError(f"n_cells must be at least 1, got {n_cells}")
    if max(numbers) > MOST_NUMBERS:
        raise ValueError(f"n_cells must be at most {MOST_NUMBERS} of a stratum, got {max(numbers)}")
    return numbers


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)
