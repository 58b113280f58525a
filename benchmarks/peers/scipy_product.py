"""Sums of groups as the product of an indicator matrix and the counts.

API: ``scipy.sparse``, any version. The indicator has the type of the counts, which is the fastest; float32 adds counts
exactly up to 2^24.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def group_sums(matrix: sp.csr_matrix, codes: np.ndarray, groups: int) -> sp.csr_matrix:
    """Return groups x genes, sparse."""
    cells = codes.size
    indicator = sp.csr_matrix((np.ones(cells, matrix.dtype), (codes, np.arange(cells))), shape=(groups, cells))
    return indicator @ matrix
