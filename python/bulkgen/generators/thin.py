"""The bulk itself, thinned to the depth of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.sparse as sp

from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.learning import LearnsFromControls
from bulkgen.kernels import get_kernels
from bulkgen.kernels.rows import Rows
from bulkgen.rng import Purpose
from bulkgen.thinning import bootstrap_sizes

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["Thin"]


@dataclass(frozen=True)
class FittedThin(SparseGenerator):
    """The counts of each stratum, and the library sizes to thin them to."""

    counts: sp.csr_matrix
    totals: Float64Array
    sizes: tuple[Float64Array, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.counts.shape[1])

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Thin the profile once for each cell."""
        address = cell_address(stratum, first_cell)
        sizes = bootstrap_sizes(self.sizes[stratum], rows.n_cells, key=key, first_cell=address)
        profile = self.counts[[stratum]]
        once, pointers = np.zeros(2, np.int64), profile.indptr.astype(np.int64)
        thin_rows = get_kernels().thin_rows
        for cell, keep in enumerate(np.minimum(1.0, sizes / self.totals[stratum])):
            start = rows.indptr[cell]
            # the profile itself, row after row: a copy for each cell would be larger than the cells
            written = thin_rows(
                once,
                rows.columns[start:],
                rows.values[start:],
                pointers,
                profile.indices,
                profile.data,
                np.full(1, keep),
                key=key,
                purpose=int(Purpose.THIN),
                first_cell=address + cell,
            )
            if written == 0:
                return cell
            rows.indptr[cell + 1] = start + once[1]
        return rows.n_cells


class Thin(LearnsFromControls):
    """The molecules of the bulk, each kept with the same chance, down to the library size of a random real cell.

    The cells differ by chance alone: no more than a Poisson law allows, less where the bulk is hardly deeper than a
    cell.
    """

    fitted_type: ClassVar = FittedThin

    def fit(self, bulk: Bulk, reference: Reference) -> FittedThin:
        """Keep the profiles, and the library sizes of the reference."""
        bulk.require_counts("thinning keeps or drops single molecules")
        counts = sp.csr_matrix(np.rint(bulk.counts))
        totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
        return FittedThin(counts, totals, tuple(cells.library_sizes for cells in self.cells_of(bulk, reference)))
