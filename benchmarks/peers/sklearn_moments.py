"""Mean and variance of genes with scikit-learn.

API: ``sklearn.utils.sparsefuncs.mean_variance_axis`` (public, scikit-learn >= 0.16).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import mean_variance_axis


def mean_and_variance(matrix: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n) of each gene over all cells."""
    return mean_variance_axis(matrix, axis=0)
