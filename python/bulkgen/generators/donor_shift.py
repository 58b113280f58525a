"""Real control cells, moved gene by gene by the ratio of the bulk to the control's bulk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from bulkgen.elementary import power
from bulkgen.errors import LabelError
from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.learning import LearnsFromControls, ReferenceCells
from bulkgen.generators.ratios import ratios_of
from bulkgen.kernels.donor_shift import Donors, DonorShiftPlan, donors_of_cells
from bulkgen.kernels.rows import Rows

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["DonorShift", "response_law"]


@dataclass(frozen=True)
class FittedDonorShift(SparseGenerator):
    """Donors, and how those of each stratum are moved.

    Attributes
    ----------
    donors
        All donors.
    reference_rows
        Number of each donor among the reference cells.
    pools
        The donors of each stratum.
    plans
        One per stratum.
    shared
        Whether cells of the same number have the same donor in every stratum.
    """

    donors: Donors
    reference_rows: Int64Array
    pools: tuple[Int64Array, ...]
    plans: tuple[DonorShiftPlan, ...]
    shared: bool

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.donors.n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Move the donors of cells of a stratum."""
        address = cell_address(stratum, first_cell)
        donor = self._donors(stratum, rows.indptr.size - 1, key=key, first_cell=first_cell)
        return self.plans[stratum].draw(rows, self.donors, donor, key=key, first_cell=address)

    def cell_columns(self, stratum: int, n_cells: int, *, key: int, first_cell: int) -> dict[str, np.ndarray]:
        """Return the reference cell that each cell is made from."""
        return {"donor": self.reference_rows[self._donors(stratum, n_cells, key=key, first_cell=first_cell)]}

    def _donors(self, stratum: int, n_cells: int, *, key: int, first_cell: int) -> Int64Array:
        return donors_of_cells(
            self.pools[stratum], n_cells, shared=self.shared, key=key, first_cell=cell_address(stratum, first_cell)
        )


def response_law(heterogeneity: float) -> tuple[float, float] | None:
    """Return the shape of the Beta law of the cells' responses, ``None`` where all respond in full."""
    return None if heterogeneity == 0 else (2.0 / heterogeneity - 1.0, 1.0)


class DonorShift(LearnsFromControls):
    """A real control cell whose genes are thinned (ratio below 1) or added to (above 1) by the bulk's ratio.

    If the control's counts of a gene are negative binomial with mean μ, those of the new cell are exactly negative
    binomial with mean r·μ and the same dispersion, while the donor's library size, correlations and state stay.

    Attributes
    ----------
    pairing
        ``shared``: cells of the same number have the same donor in every stratum. ``disjoint``: every stratum has
        donors of its own, so that no two classes hold versions of one cell.
    renoise
        Share of each donor's molecules that is drawn anew, in every stratum and the control alike, so that the noise
        of the generator is no cue to the class. Cells move away from their donors; at 0.2 nearly all can still be led
        back to them.
    heterogeneity
        How unevenly cells respond, from 0 (alike) to 1: a cell is moved by r^w, w ~ Beta(2 / heterogeneity − 1, 1),
        of mean 1 − heterogeneity / 2 and uniform at 1; r is set so that the mean over cells stays the bulk's.
    dose
        Move by r^dose, scaled so that the library size stays: 0.5 is half of the way, in log ratios.
    """

    fitted_type: ClassVar = FittedDonorShift

    pairing: Literal["shared", "disjoint"] = "shared"
    renoise: float = Field(0.0, ge=0, lt=1)
    heterogeneity: float = Field(0.0, ge=0, le=1)
    dose: float = Field(1.0, ge=0, allow_inf_nan=False)

    def fit(self, bulk: Bulk, reference: Reference) -> FittedDonorShift:
        """Estimate how each stratum differs from its control, and keep the control cells as donors."""
        if self.control is None:
            raise ValueError(
                "donor_shift needs control=, the label of the cells that others are made from (--set control=LABEL)"
            )
        learned = self.cells_of(bulk, reference)
        groups = list({id(cells): cells for cells in learned}.values())
        first = dict(zip(map(id, groups), np.cumsum([0, *(cells.rows.size for cells in groups)]), strict=False))
        plans = []
        for ratio, cells in zip(ratios_of(self, bulk, learned), learned, strict=True):
            moved = power(ratio, self.dose)
            # ratios of exactly one stay so
            moved *= cells.profile.sum() / (moved * cells.profile).sum()
            plans.append(
                DonorShiftPlan.of(
                    moved,
                    cells.profile,
                    cells.dispersion,
                    renoise=self.renoise,
                    response=response_law(self.heterogeneity),
                )
            )
        return FittedDonorShift(
            Donors.of(sp.vstack([cells.counts for cells in groups], format="csr")),
            np.concatenate([cells.rows for cells in groups]),
            tuple(first[id(cells)] + pool for cells, pool in zip(learned, self._pools(learned), strict=True)),
            tuple(plans),
            self.pairing == "shared",
        )

    def _pools(self, learned: list[ReferenceCells]) -> list[Int64Array]:
        """Donors of each stratum among its control cells."""
        if self.pairing == "shared":
            return [np.arange(cells.rows.size) for cells in learned]
        pools = []
        for stratum, cells in enumerate(learned):
            sharing = [other for other, others in enumerate(learned) if others is cells]
            pool = np.arange(sharing.index(stratum), cells.rows.size, len(sharing))
            if pool.size == 0:
                raise LabelError(
                    f"{cells.rows.size} control cells cannot be shared out to {len(sharing)} strata; use "
                    "pairing='shared'"
                )
            pools.append(pool)
        return pools
