"""Small cells for the tests of the data layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def make_cells(X, **obs: object) -> ad.AnnData:
    """Cells c0, c1, ... and genes g0, g1, ... of a matrix; keywords are columns of obs."""
    n_cells, n_genes = X.shape
    return ad.AnnData(
        X,
        obs=pd.DataFrame(obs, index=pd.Index([f"c{i}" for i in range(n_cells)], dtype=object)),
        var=pd.DataFrame(index=pd.Index([f"g{i}" for i in range(n_genes)], dtype=object)),
    )


def random_counts(seed: int, n_cells: int, n_genes: int, *, dtype: type = np.float32, mean: float = 1.0):
    """Over-dispersed counts in CSR with genes of very different means, some cells and genes empty."""
    rng = np.random.default_rng(seed)
    rates = mean * rng.gamma(0.5, 2.0, n_genes) * rng.gamma(3.0, 1 / 3, (n_cells, 1))
    counts = rng.poisson(rates)
    counts[rng.random(n_cells) < 0.05] = 0
    counts[:, rng.random(n_genes) < 0.05] = 0
    return sp.csr_matrix(counts.astype(dtype))


def labelled_cells(
    seed: int, sizes: Mapping[str, int], n_genes: int = 12, *, doses: Sequence[str] = ("low", "high"), **options
) -> ad.AnnData:
    """Cells in random order with obs columns ``label`` (of the given sizes) and ``dose``."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(list(sizes), list(sizes.values())))
    return make_cells(
        random_counts(seed, labels.size, n_genes, **options),
        label=labels.astype(object),
        dose=rng.choice(list(doses), labels.size).astype(object),
    )


def matrix_bytes(X) -> tuple[bytes, ...]:
    """Every bit of a matrix, sparse or dense."""
    arrays = (X.data, X.indices, X.indptr) if sp.issparse(X) else (np.ascontiguousarray(X),)
    return tuple(str(array.dtype).encode() + array.tobytes() for array in arrays)
