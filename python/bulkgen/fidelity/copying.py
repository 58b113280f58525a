"""Copying: whether synthetic cells are nearer to training cells than new real cells are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.neighbors import NearestNeighbors

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import ClassView, View
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["copying_metrics"]

LOW_QUANTILE = 0.05


def copying_metrics(space: Space, synthetic: View, label: str) -> dict[str, float | Undefined]:
    """Compare the distances of a class to the closest training cell, of any class, with those of held-out real cells.

    Returns
    -------
    dict
        ``nearest_is_donor``: share of the cells that have a donor whose nearest training cell it is; undefined for
        methods without donors. ``closest_record_median``, ``closest_record_low``: median and 5 % quantile of the
        distance over those of held-out (real test) cells; below 1 cells are copied, far above it they are like no real
        one. ``closer_than_held_out``: share that is closer than the 5 % quantile of held-out cells.
    """
    real, made = space.pair(synthetic, label)
    held_out, distance = (_to_nearest(space, cells.coordinates) for cells in (real, made))
    median, low = np.median(held_out), np.quantile(held_out, LOW_QUANTILE)
    if not low > 0:
        raise Undefined(f"more than {LOW_QUANTILE:.0%} of the held-out cells are also among the training cells")
    return {
        "nearest_is_donor": _nearest_is_donor(space, synthetic, made, distance),
        "closest_record_median": float(np.median(distance) / median),
        "closest_record_low": float(np.quantile(distance, LOW_QUANTILE) / low),
        "closer_than_held_out": float(np.mean(distance < low)),
    }


def _nearest_is_donor(space: Space, synthetic: View, made: ClassView, distance: Float64Array) -> float | Undefined:
    donor = None if synthetic.cells.donor is None else synthetic.cells.donor[made.rows]
    if donor is None or not (donor >= 0).any():
        return Undefined("the cells have no donors")
    known = donor >= 0
    to_donor = np.linalg.norm(made.coordinates[known] - space.training_coordinates[donor[known]], axis=1)
    # by distances: of training cells that are alike a search names any. Last digits depend on how they were calculated
    return float(np.mean(to_donor <= distance[known] * (1 + 1e-6) + 1e-6))


def _to_nearest(space: Space, points: Float64Array) -> Float64Array:
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(space.training_coordinates)
    distance: Float64Array = search.kneighbors(points)[0][:, 0]
    return distance
