"""Pseudo-bulk as a generator: sums of k real cells of the stratum, without end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from bulkgen.generators.base import Bulk, FittedGenerator, Generator, Reference, cell_address
from bulkgen.generators.control import same_stratum
from bulkgen.group_sums import group_sums
from bulkgen.io import library_sizes
from bulkgen.kernels.sampling import thin_matrix
from bulkgen.rng import Purpose
from bulkgen.splits import Groups, shuffled
from bulkgen.thinning import bootstrap_sizes, keep_probability

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["Pseudobulk"]


@dataclass(frozen=True)
class FittedPseudobulk(FittedGenerator):
    """Real cells, and which of them belong to each stratum.

    Cells are taken k at a time from a random order of the stratum; when it is used up, from another order of it.
    """

    counts: sp.csr_matrix
    rows: tuple[Int64Array, ...]
    k: int
    thin: bool

    def sample(self, stratum: int, n_cells: int, *, key: int, first_cell: int, threads: int | None) -> sp.csr_matrix:
        """Draw groups ``first_cell, first_cell + 1, …`` of a stratum."""
        rows = self.rows[stratum]
        size = min(self.k, rows.size)
        per_order = rows.size // size
        numbers = np.arange(first_cell, first_cell + n_cells)
        chosen = np.empty((n_cells, size), np.int64)
        for order in np.unique(numbers // per_order):
            here = numbers // per_order == order
            address = cell_address(stratum, int(order))
            cells = shuffled(rows, key=key, purpose=Purpose.PSEUDOBULK_GROUP, stratum=address)
            chosen[here] = cells[: per_order * size].reshape(per_order, size)[numbers[here] % per_order]
        groups = Groups(
            np.sort(chosen, axis=1).reshape(-1), np.arange(n_cells + 1) * size, np.zeros(n_cells, np.int64), 0
        )
        sums = group_sums(self.counts, groups, threads=threads)
        address = cell_address(stratum, first_cell)
        if self.thin:
            sizes = bootstrap_sizes(library_sizes(self.counts[rows]), n_cells, key=key, first_cell=address)
            return thin_matrix(sums, keep_probability(sums, sizes), key=key, first_cell=address, threads=threads)
        return sums.astype(np.float32)


class Pseudobulk(Generator):
    """Sums of k real cells of the same stratum, if asked for thinned back to the depth of one cell.

    It needs single cells of every stratum, and makes nothing from bulk: the poster's experiment, and a measure of what
    aggregation alone takes away. Unlike :func:`bulkgen.pseudobulk`, which uses each cell once, it regroups the cells
    as often as needed.

    Attributes
    ----------
    k
        Cells per group; a stratum with fewer gives one group of them all.
    thin
        Thin each group to the library size of a random cell of the stratum.
    """

    fitted_type: ClassVar = FittedPseudobulk
    from_cells: ClassVar = True

    k: int = Field(10, ge=1)
    thin: bool = False

    def fit(self, bulk: Bulk, reference: Reference) -> FittedPseudobulk:
        """Find the cells of every stratum of the bulk."""
        rows = []
        for row in bulk.strata.itertuples(index=False):
            stratum = same_stratum(tuple(row), reference.strata, otherwise=", and pseudo-bulk is made of them")
            rows.append(reference.rows([stratum]))
        return FittedPseudobulk(reference.counts, tuple(rows), self.k, self.thin)
