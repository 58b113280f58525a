"""Sums and moments of groups with scanpy.

API: ``scanpy.get.aggregate`` (public, scanpy >= 1.10); ``scanpy.preprocessing._utils._get_mean_var`` (private; the pass
over the matrix behind ``highly_variable_genes`` and ``scale``, compiled by Numba on all threads, and the fastest mean
and variance that scanpy 1.11 has).
"""

from __future__ import annotations

import numpy as np
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData


def group_sums(adata: AnnData, by: str) -> np.ndarray:
    """Return groups x genes, dense."""
    return sc.get.aggregate(adata, by, func="sum").layers["sum"]


def mean_and_variance(adata: AnnData, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of each gene in each group."""
    moments = sc.get.aggregate(adata, by, func=["mean", "var"])
    return moments.layers["mean"], moments.layers["var"]


def mean_and_variance_private(matrix: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of each gene over all cells."""
    from scanpy.preprocessing._utils import _get_mean_var

    return _get_mean_var(matrix, axis=0)
