"""Ratios of each stratum's bulk to that of its control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bulkgen.errors import LabelError
from bulkgen.estimation.ratios import information, shrunk_ratios
from bulkgen.generators.control import control_strata
from bulkgen.generators.learning import DrawsLibrarySizes, LearnsFromControls, ReferenceCells
from bulkgen.warning import warn

if TYPE_CHECKING:
    from bulkgen.generators.base import Bulk
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["MeanOfBulk", "bulk_ratios", "ratios_of"]


def ratios_of(generator: LearnsFromControls, bulk: Bulk, learned: list[ReferenceCells]) -> list[Float64Array]:
    """Return the ratio of each gene in each stratum to its control, Σ ratio · control profile = 1.

    The control's own ratios are exactly one. Where the bulk has no control, the sum of the control cells stands for it
    (with a warning: what bulk and single-cell protocols measure differently does then not cancel).
    """
    bulk.require_counts("how sure a ratio is depends on how many molecules were counted")
    assert generator.control is not None
    try:
        found = control_strata(
            bulk.strata, bulk.strata, control=generator.control, control_by=generator.control_by, where="bulk"
        )
    except LabelError as error:
        warn(f"{error}: the sum of the control cells takes its place; biases of the bulk's protocol do not cancel")
        found = None
    ratios = []
    for stratum, cells in enumerate(learned):
        controls = None if found is None else found[stratum]
        if controls is not None and stratum in controls:
            ratios.append(np.ones(bulk.counts.shape[1]))
            continue
        control = cells.sums if controls is None else bulk.counts[controls].sum(axis=0)
        control_cells = cells.rows.size if controls is None else int(bulk.cells[controls].sum())
        ratios.append(
            bulk_ratios(
                bulk.counts[stratum],
                control,
                cells,
                treated_cells=int(bulk.cells[stratum]),
                control_cells=control_cells,
            )
        )
    return ratios


def bulk_ratios(
    treated: Float64Array, control: Float64Array, cells: ReferenceCells, *, treated_cells: int, control_cells: int
) -> Float64Array:
    """Return shrunk ratios of two profiles, Σ ratio · profile of the reference cells = 1.

    Parameters
    ----------
    treated, control
        Counts of the profiles.
    cells
        The reference cells that the ratios are for; their dispersion says how much profiles of few cells vary.
    treated_cells, control_cells
        Cells behind each profile, 0 where not known: its counts are then all that is uncertain.
    """
    known = []
    for counts, n_cells in ((treated, treated_cells), (control, control_cells)):
        if n_cells == 0:
            known.append(information(counts))
            continue
        molecules = n_cells * cells.library_sizes.mean() * counts / counts.sum()
        known.append(information(counts, molecules=molecules, dispersion=cells.dispersion, samples=n_cells))
    return shrunk_ratios(
        treated, control, treated_information=known[0], control_information=known[1], reference=cells.profile
    )


class MeanOfBulk(DrawsLibrarySizes):
    """Base of the generators that draw every gene from a law with a mean.

    Attributes
    ----------
    mean
        ``absolute``: the bulk's profile times the library size. ``ratio``: the control cells' profile times the ratio
        of the bulk to the control's bulk, in which what bulk and single-cell protocols measure differently cancels to
        first order.
    """

    mean: Literal["absolute", "ratio"] = "absolute"

    def profiles(self, bulk: Bulk, learned: list[ReferenceCells]) -> list[Float64Array]:
        """Return the profile of each stratum's cells.

        Raises
        ------
        ValueError
            If ratios are asked for without a control.
        """
        if self.mean == "absolute":
            return list(bulk.profile)
        if self.control is None:
            raise ValueError("mean='ratio' needs control=, the label of the control cells")
        moved = zip(ratios_of(self, bulk, learned), learned, strict=True)
        return [ratio * cells.profile / (ratio * cells.profile).sum() for ratio, cells in moved]
