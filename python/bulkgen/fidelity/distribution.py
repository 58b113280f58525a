"""Distances between the distributions of real and synthetic cells in the space of the real training cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist

if TYPE_CHECKING:
    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import View
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["distribution_metrics", "energy_distance", "mmd2", "neighbourhoods", "sliced_wasserstein"]

#: Cells of each kind, at most; the cost is their square.
CELLS = 2_000
DIRECTIONS = 200
NEIGHBOURS = 5


def distribution_metrics(space: Space, synthetic: View, label: str) -> dict[str, float]:
    """Compare the distribution of a class in the space of the training cells: as many cells of both, at most 2,000.

    Distances are in units of the median distance between training cells. Equal numbers, for the radius of a
    neighbourhood depends on them.

    Returns
    -------
    dict
        ``energy_distance``, ``mmd2``, ``sliced_wasserstein``, ``precision``, ``recall``, ``density``, ``coverage``; see
        the functions of this module.
    """
    pair = space.pair(synthetic, label)
    equal = min(*map(len, pair), CELLS)
    x, y = (cells.coordinates[cells.some(equal)] for cells in pair)
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    directions = space.rng(0).standard_normal((x.shape[1], DIRECTIONS))
    return {
        "energy_distance": energy_distance(xx, yy, xy),
        "mmd2": mmd2(xx, yy, xy),
        "sliced_wasserstein": sliced_wasserstein(x, y, directions),
        **neighbourhoods(xx, yy, xy, k=NEIGHBOURS),
    }


def energy_distance(xx: Float64Array, yy: Float64Array, xy: Float64Array) -> float:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| without bias: a cell is not compared with itself.

    Parameters
    ----------
    xx, yy, xy
        Distances within the first sample, within the second, and between them.

    References
    ----------
    Székely & Rizzo, J Stat Plan Inference 143:1249 (2013).
    """
    return float(2 * xy.mean() - _mean_of_pairs(xx) - _mean_of_pairs(yy))


def mmd2(xx: Float64Array, yy: Float64Array, xy: Float64Array, *, bandwidth: float = 1.0) -> float:
    """Return the unbiased squared maximum mean discrepancy with kernel exp(-distance² / 2 bandwidth²).

    Parameters
    ----------
    xx, yy, xy
        As of :func:`energy_distance`.
    bandwidth
        In the space of a :class:`Space` 1 is the median distance of training cells.

    References
    ----------
    Gretton et al., JMLR 13:723 (2012), MMD²_u.
    """

    def kernel(distance: Float64Array) -> Float64Array:
        return np.exp(-0.5 * (distance / bandwidth) ** 2)

    return float(_mean_of_pairs(kernel(xx)) + _mean_of_pairs(kernel(yy)) - 2 * kernel(xy).mean())


def sliced_wasserstein(x: Float64Array, y: Float64Array, directions: Float64Array) -> float:
    """Return the mean over directions of the one-dimensional Wasserstein distance of the projections.

    Parameters
    ----------
    x, y
        Equally many points, shape (n, dimensions).
    directions
        Shape (dimensions, directions), of any length.

    References
    ----------
    Bonneel et al., J Math Imaging Vis 51:22 (2015).
    """
    unit = directions / np.linalg.norm(directions, axis=0)
    # of two samples of one size the best transport pairs them in order
    return float(np.abs(np.sort(x @ unit, axis=0) - np.sort(y @ unit, axis=0)).mean())


def neighbourhoods(xx: Float64Array, yy: Float64Array, xy: Float64Array, *, k: int) -> dict[str, float]:
    """Return precision, recall, density and coverage.

    The neighbourhood of a cell is the ball up to its k-th nearest cell of its own kind.

    Parameters
    ----------
    xx, yy, xy
        Distances within the real cells, within the synthetic ones, and between real (rows) and synthetic ones.
    k
        At least one less than the cells of either kind.

    References
    ----------
    Kynkäänniemi et al., NeurIPS 2019 (precision, recall); Naeem et al., ICML 2020 (density, coverage).
    """
    # the nearest to a cell is itself
    real_radius = np.partition(xx, k, axis=1)[:, k]
    synthetic_radius = np.partition(yy, k, axis=1)[:, k]
    inside = xy < real_radius[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((xy < synthetic_radius).any(axis=1).mean()),
        "density": float(inside.sum() / (k * xy.shape[1])),
        "coverage": float(inside.any(axis=1).mean()),
    }


def _mean_of_pairs(matrix: Float64Array) -> float:
    """Mean over pairs of different cells."""
    n = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1)))
