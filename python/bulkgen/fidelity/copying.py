"""Copying: whether synthetic cells are nearer to training cells than new real cells are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.fidelity.representation import Float32Array
    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import ClassView, View
    from bulkgen.kernels.protocol import Int64Array

__all__ = ["copying_metrics"]

#: Cells of each kind, at most.
CELLS = 2_000
LOW_QUANTILE = 0.05
#: Training cells compared at once.
_BLOCK = 4_096
#: Similarities in single precision differ by this much without meaning it.
_ROUNDING = 1e-5


def copying_metrics(space: Space, synthetic: View, label: str) -> dict[str, float | Undefined]:
    """Compare the distances of a class to the closest training cell, of any class, with those of held-out real cells.

    Distances are 1 - cosine over the log-normalised variable genes: all of them, not the axes of the space, which
    leave out most of what makes a cell itself; a cosine, which does not change much when a copy is thinned. At most
    2,000 cells of each kind.

    Returns
    -------
    dict
        ``nearest_is_donor``: share of the cells that have a donor whose nearest training cell it is; undefined for
        methods without donors. ``closest_record_median``, ``closest_record_low``: median and 5 % quantile of the
        distance over those of held-out (real test) cells; below 1 cells are copied, far above it they are like no real
        one. ``closer_than_held_out``: share that is closer than the 5 % quantile of held-out cells.
    """
    real, made = space.pair(synthetic, label)
    held_out = 1 - _similarities(space, real, real.some(CELLS))[0]
    places = made.some(CELLS)
    donor = None if synthetic.cells.donor is None else synthetic.cells.donor[made.rows[places]]
    largest, to_donor = _similarities(space, made, places, donor)
    distance = 1 - largest
    median, low = np.median(held_out), np.quantile(held_out, LOW_QUANTILE)
    if low <= _ROUNDING:
        raise Undefined(f"{LOW_QUANTILE:.0%} of the held-out cells or more are also among the training cells")
    nearest_is_donor: float | Undefined = Undefined("the cells have no donors")
    if donor is not None and (donor >= 0).any():
        # not by the number of the nearest: several training cells may be alike
        nearest_is_donor = float(np.mean((to_donor >= largest - _ROUNDING)[donor >= 0]))
    return {
        "nearest_is_donor": nearest_is_donor,
        "closest_record_median": float(np.median(distance) / median),
        "closest_record_low": float(np.quantile(distance, LOW_QUANTILE) / low),
        "closer_than_held_out": float(np.mean(distance < low)),
    }


def _similarities(
    space: Space, cells: ClassView, places: Int64Array, donor: Int64Array | None = None
) -> tuple[Float32Array, Float32Array]:
    """Return the cosine of each cell with the most similar training cell, and with its donor (-1 without one)."""
    training = space.training_directions
    directions = space.representation.directions(cells.counts[places]).toarray().T
    largest = np.zeros(len(places), np.float32)
    to_donor = np.full(len(places), -1, np.float32)
    for first in range(0, training.shape[0], _BLOCK):
        block: sp.csr_matrix = training[first : first + _BLOCK]
        similarity = block.toarray() @ directions
        np.maximum(largest, similarity.max(axis=0), out=largest)
        if donor is not None:
            here = np.flatnonzero((donor >= first) & (donor < first + block.shape[0]))
            to_donor[here] = similarity[donor[here] - first, here]
    return largest, to_donor
