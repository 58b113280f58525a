"""Cells as seen in the representation of real training cells, class by class; what metrics share is kept."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bulkgen.fidelity.representation import column_moments
from bulkgen.io import library_sizes

if TYPE_CHECKING:
    import numpy.typing as npt
    import scipy.sparse as sp

    from bulkgen.fidelity.cells import Cells
    from bulkgen.fidelity.representation import Representation
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["MIN_CELLS", "ClassView", "GeneMeans", "TokenUse", "Undefined", "View"]

#: Fewer cells of a class than this, real or synthetic, say nothing about its distribution.
MIN_CELLS = 10


class Undefined(Exception):  # noqa: N818 - not an error: the metric has no value here, for the reason that is told
    """A metric has no value for a class; the message says why, and stands in the note of the result."""


class GeneMeans(NamedTuple):
    """What differential expression is calculated from, per gene.

    Attributes
    ----------
    profile
        Mean counts per cell, cells weighted by their library size, for a cell of the target library size.
    mean, variance
        Of the log-normalised counts.
    n_cells
        Number of cells.
    """

    profile: Float64Array
    mean: Float64Array
    variance: Float64Array
    n_cells: int


class TokenUse(NamedTuple):
    """How the cells of a class use tokens; special tokens left out.

    Attributes
    ----------
    per_cell
        Number of tokens of each cell.
    cells
        Number of cells that hold each token, shape (vocabulary size,).
    earliness
        1 less the mean relative rank of each token: 1 if it is first in every cell, 0 if in none.
    """

    per_cell: Int64Array
    cells: Int64Array
    earliness: Float64Array


class ClassView:
    """The cells of one label; see :class:`View`.

    Parameters
    ----------
    view
        The view it is a part of.
    label
        The label.

    Attributes
    ----------
    rows
        Rows of the cells within the view.
    counts
        Their counts, without explicit zeros.
    """

    def __init__(self, view: View, label: str) -> None:
        self._view = view
        self.label = label
        self.rows = view.cells.rows(label)
        self.counts: sp.csr_matrix = view.cells.counts[self.rows]
        self.counts.eliminate_zeros()

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.rows)

    @cached_property
    def library_sizes(self) -> Float64Array:
        """Total counts of each cell."""
        return library_sizes(self.counts)

    @property
    def genes_found(self) -> Int64Array:
        """Number of genes with counts of each cell."""
        found: Int64Array = np.diff(self.counts.indptr).astype(np.int64)
        return found

    @cached_property
    def coordinates(self) -> Float64Array:
        """The cells in the space of the training cells, shape (cells, axes)."""
        return self._view.representation.coordinates(self.counts)

    @cached_property
    def moments(self) -> tuple[Float64Array, Float64Array]:
        """Mean and variance of each gene's counts."""
        return column_moments(self.counts)

    @cached_property
    def gene_means(self) -> GeneMeans:
        """What differential expression is calculated from."""
        total = self.library_sizes.sum()
        if not total > 0:
            raise Undefined("no cell has counts")
        representation = self._view.representation
        profile = self.moments[0] * len(self) / total * representation.target
        return GeneMeans(profile, *column_moments(representation.log_normalised(self.counts)), len(self))

    @cached_property
    def token_use(self) -> TokenUse:
        """How the cells use tokens."""
        tokens = self._view.cells.tokens
        if tokens is None:
            raise Undefined("the cells come without tokens")
        flat, offsets = tokens.flat()
        inside = np.zeros(len(offsets) - 1, dtype=bool)
        inside[self.rows] = True
        special = np.fromiter(tokens.vocabulary.special_tokens.values(), dtype=flat.dtype)
        kept = np.repeat(inside, np.diff(offsets)) & ~np.isin(flat, special)
        before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))[offsets]
        per_cell = np.diff(before)[self.rows]
        values = flat[kept].astype(np.int64)
        starts = np.cumsum(per_cell) - per_cell
        rank = np.arange(len(values)) - np.repeat(starts, per_cell)
        size = tokens.vocabulary.size
        earliness = np.bincount(values, weights=1 - rank / np.repeat(per_cell, per_cell), minlength=size) / len(self)
        return TokenUse(per_cell, np.bincount(values, minlength=size), earliness)

    @cached_property
    def fold_groups(self) -> Int64Array:
        """Number of the group that each cell belongs to, -1 for a cell by itself."""
        cells, training_group = self._view.cells, self._view.training_group
        if cells.donor is not None:
            donor = cells.donor[self.rows]
            groups = donor if training_group is None else training_group[donor]
            return np.where(donor >= 0, groups, -1)
        if cells.group is not None:
            return cells.group[self.rows]
        return np.full(len(self), -1, dtype=np.int64)

    def some(self, n_cells: int) -> Int64Array:
        """Return the places of up to `n_cells` cells among :attr:`rows`, drawn by the view's seed, ascending."""
        if n_cells >= len(self):
            return np.arange(len(self))
        seed = np.random.SeedSequence([self._view.key, int(self.rows[0]), len(self)])
        return np.sort(np.random.default_rng(seed).permutation(len(self))[:n_cells])

    def variable_values(self, places: Int64Array, *, genes: int) -> npt.NDArray[np.float32]:
        """Return the log-normalised counts of the most variable genes of some cells, dense."""
        return self._view.representation.variable_values(self.counts[places], genes=genes)


class View:
    """Cells in a representation.

    Parameters
    ----------
    representation
        Learnt from the real training cells.
    cells
        The cells to look at.
    training_group
        Group of each training cell, for the donors of synthetic cells.
    key
        Decides which cells are drawn where not all are used.
    """

    def __init__(
        self, representation: Representation, cells: Cells, *, training_group: Int64Array | None, key: int
    ) -> None:
        self.representation = representation
        self.cells = cells
        self.training_group = training_group
        self.key = key
        self._classes: dict[str, ClassView] = {}

    def __getitem__(self, label: str) -> ClassView:
        """Return the cells of a label.

        Raises
        ------
        LabelError
            If there are none.
        """
        if label not in self._classes:
            self._classes[label] = ClassView(self, label)
        return self._classes[label]
