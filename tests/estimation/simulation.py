"""Cells with known dispersions."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def negative_binomial_cells(seed: int, n_cells: int, mean, dispersion, *, cv: float = 0.4) -> sp.csr_matrix:
    """Cells x genes with log-normal library sizes of coefficient of variation about `cv`."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0.0, cv, (n_cells, 1))
    size /= size.mean()
    mean, dispersion = np.broadcast_arrays(np.asarray(mean, float), np.asarray(dispersion, float))
    counts = np.empty((n_cells, mean.size), np.float32)
    for g in range(mean.size):
        rate = rng.gamma(1 / dispersion[g], dispersion[g], (n_cells, 1)) if dispersion[g] > 0 else 1.0
        counts[:, g : g + 1] = rng.poisson(rate * mean[g] * size)
    return sp.csr_matrix(counts)
