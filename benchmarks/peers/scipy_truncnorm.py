"""Truncated normals with ``scipy.stats.truncnorm.rvs`` and arrays of bounds.

API: SciPy >= 1.9 (array bounds with ``random_state=Generator``).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import truncnorm

from workloads import TruncatedNormals


def draw(law: TruncatedNormals, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cells x genes, float64."""
    a, b = (law.lower - law.mean) / law.deviation, (law.upper - law.mean) / law.deviation
    return truncnorm.rvs(a, b, loc=law.mean, scale=law.deviation, size=(cells, law.mean.size), random_state=rng)
