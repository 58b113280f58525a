"""Ratios of each stratum's bulk to that of its control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.errors import LabelError
from bulkgen.estimation.ratios import estimate_ratios
from bulkgen.generators.control import control_strata
from bulkgen.warning import warn

if TYPE_CHECKING:
    from bulkgen.generators.base import Bulk
    from bulkgen.generators.learning import LearnsFromControls, ReferenceCells
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["moved_profiles", "ratios_of"]


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
        control_counts = cells.sums if controls is None else bulk.counts[controls].sum(axis=0)
        control_cells = cells.rows.size if controls is None else int(bulk.cells[controls].sum())
        ratios.append(
            estimate_ratios(
                bulk.counts[stratum],
                control_counts,
                cells=int(bulk.cells[stratum]),
                control_cells=control_cells,
                profile=cells.profile,
                dispersion=cells.dispersion,
                library_size=float(cells.library_sizes.mean()),
            )
        )
    return ratios


def moved_profiles(generator: LearnsFromControls, bulk: Bulk, learned: list[ReferenceCells]) -> list[Float64Array]:
    """Return the profile of each stratum: that of its control cells times the ratios."""
    return [
        ratio * cells.profile / (ratio * cells.profile).sum()
        for ratio, cells in zip(ratios_of(generator, bulk, learned), learned, strict=True)
    ]
