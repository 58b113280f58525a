"""Truncated normals with NumPy: draw normals, draw again whatever fell outside, until all are inside.

API: NumPy >= 1.17, ``numpy.random.Generator``.
"""

from __future__ import annotations

import numpy as np

from workloads import TruncatedNormals


def draw(law: TruncatedNormals, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cells x genes as one would write it: ``Generator.normal`` and a mask, float64."""
    out = rng.normal(law.mean, law.deviation, (cells, law.mean.size))
    outside = (out < law.lower) | (out > law.upper)
    while outside.any():
        row, gene = np.nonzero(outside)
        again = rng.normal(law.mean[gene], law.deviation[gene])
        out[row, gene] = again
        outside[row, gene] = (again < law.lower[gene]) | (again > law.upper[gene])
    return out


def draw_tuned(law: TruncatedNormals, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cells x genes as fast as we could make NumPy do it.

    Standard normals in float32, scaled in place, flat positions of what is outside instead of a mask.
    """
    mean, deviation, lower, upper = (x.astype(np.float32) for x in (law.mean, law.deviation, law.lower, law.upper))
    out = rng.standard_normal((cells, mean.size), dtype=np.float32)
    out *= deviation
    out += mean
    flat = out.reshape(-1)
    outside = np.flatnonzero((out < lower) | (out > upper))
    while outside.size:
        gene = outside % mean.size
        again = rng.standard_normal(outside.size, dtype=np.float32)
        again *= deviation[gene]
        again += mean[gene]
        flat[outside] = again
        outside = outside[(again < lower[gene]) | (again > upper[gene])]
    return out
