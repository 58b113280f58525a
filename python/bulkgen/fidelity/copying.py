"""Copying: whether synthetic cells are nearer to training cells than new real cells are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
CELLS = 1_000
LOW_QUANTILE = 0.05
#: Training cells compared at once.
_BLOCK = 4_096
#: Similarities in single precision differ by this much without meaning it.
_ROUNDING = 1e-5


def copying_metrics(space: Space, synthetic: View, label: str) -> dict[str, float | Undefined]:
    """Compare the distances of a class to the closest training cell, of any class, with those of held-out real cells.

    Distances are 1 - cosine over the log-normalised variable genes: all of them, not the axes of the space, which
    leave out most of what makes a cell itself; a cosine, which does not change much when a copy is thinned. At most
    1,000 cells of each kind.

    Returns
    -------
    dict
        ``nearest_is_donor``: share of the cells that have a donor whose nearest training cell it is; undefined for
        methods without donors. ``closest_record_median``, ``closest_record_low``: median and 5 % quantile of the
        distance over those of held-out (real test) cells; below 1 for copies, but also for cells with too little noise,
        which are near to all. ``singled_out``: share of cells whose distance to the closest training cell, over that
        to the second closest, is below the 5 % quantile of held-out cells; copies single out one training cell, cells
        with too little noise none.
    """
    real, made = space.pair(synthetic, label)
    held_out = _closest(space, real, real.some(CELLS))
    places = made.some(CELLS)
    donor = None if synthetic.cells.donor is None else synthetic.cells.donor[made.rows[places]]
    found = _closest(space, made, places, donor)
    median, low = np.median(held_out.first), np.quantile(held_out.first, LOW_QUANTILE)
    if low <= _ROUNDING:
        raise Undefined(f"{LOW_QUANTILE:.0%} of the held-out cells or more are also among the training cells")
    nearest_is_donor: float | Undefined = Undefined("the cells have no donors")
    if donor is not None and (donor >= 0).any():
        # not by the number of the nearest: several training cells may be alike
        nearest_is_donor = float(np.mean((found.donor <= found.first + _ROUNDING)[donor >= 0]))
    return {
        "nearest_is_donor": nearest_is_donor,
        "closest_record_median": float(np.median(found.first) / median),
        "closest_record_low": float(np.quantile(found.first, LOW_QUANTILE) / low),
        "singled_out": float(np.mean(found.ratio < np.quantile(held_out.ratio, LOW_QUANTILE))),
    }


class _Closest(NamedTuple):
    """Distances of cells to their closest and second closest training cell, and to their donor (2 without one)."""

    first: Float32Array
    second: Float32Array
    donor: Float32Array

    @property
    def ratio(self) -> Float32Array:
        """The first distance over the second; 1 where both are 0."""
        return np.divide(self.first, self.second, out=np.ones_like(self.first), where=self.second > 0)


def _closest(space: Space, cells: ClassView, places: Int64Array, donor: Int64Array | None = None) -> _Closest:
    training = space.training_directions
    directions = space.representation.directions(cells.counts[places]).toarray().T
    largest = np.zeros((2, len(places)), np.float32)
    to_donor = np.full(len(places), -1, np.float32)
    for first in range(0, training.shape[0], _BLOCK):
        block: sp.csr_matrix = training[first : first + _BLOCK]
        similarity = block.toarray() @ directions
        if donor is not None:
            here = np.flatnonzero((donor >= first) & (donor < first + block.shape[0]))
            to_donor[here] = similarity[donor[here] - first, here]
        largest = np.partition(np.concatenate([largest, similarity]), (-2, -1), axis=0)[-2:]
    # a cosine is rounded, and may come out above 1
    return _Closest(*np.maximum(0, 1 - np.stack([largest[1], largest[0], to_donor])))
