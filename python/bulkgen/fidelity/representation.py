"""What is learnt from real training cells alone, so that no test cell has a say in how it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from bulkgen.errors import CountsError
from bulkgen.io import library_sizes

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.kernels.protocol import Float64Array, Int64Array

    Float32Array = npt.NDArray[np.float32]

__all__ = ["Representation", "column_moments"]

#: Genes that are ever made dense: those of largest variance after log-normalisation.
VARIABLE_GENES = 2_000
#: The first of them, which the space is of; of more genes, more of each axis is noise of the cells it was fitted on.
SPACE_GENES = 500
#: Dimensions of the space, at most.
AXES = 50
#: Axes are kept while their variance over cells that they were not fitted on is, on average, at least this share of
#: that over the cells that they were fitted on. Else training cells, and copies of them, would stand out by their
#: distance from the centre.
KEPT_VARIANCE = 0.9
#: Cells that the axes and the scale are fitted on, at most.
FITTED_CELLS = 5_000
SCALED_CELLS = 2_000
_FOLDS = 5
#: A gene is expressed if this share of the training cells, and at least three of them, have it.
EXPRESSED_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Representation:
    """How counts become comparable numbers.

    Attributes
    ----------
    target
        Median library size of the training cells; counts are scaled to it before ``log1p``.
    expressed
        Columns of the genes that at least 1 % of the training cells (and three) express, ascending.
    variable
        Columns of the up to 2,000 genes whose ``log1p``-normalised counts vary most, the most variable first.
    center, axes
        Mean of the 500 most variable genes, and those of their principal axes that hold for cells that these were not
        fitted on, shape (genes, axes).
    scale
        Median distance between two training cells; coordinates are divided by it. So distances have no unit, and the
        median heuristic for the bandwidth of a kernel gives 1.
    """

    target: float
    expressed: Int64Array
    variable: Int64Array
    center: Float32Array
    axes: Float32Array
    scale: float

    @classmethod
    def fit(cls, counts: sp.csr_matrix, *, rng: np.random.Generator) -> Representation:
        """Learn from the counts of real training cells, explicit zeros eliminated.

        Raises
        ------
        CountsError
            If too few genes or cells have counts, or all cells are alike.
        """
        sizes = library_sizes(counts)
        if np.count_nonzero(sizes) < 3:
            raise CountsError(
                f"{np.count_nonzero(sizes)} of {len(sizes)} real training cells have counts; 3 are needed"
            )
        target = float(np.median(sizes[sizes > 0]))
        found = np.bincount(counts.indices, minlength=counts.shape[1])
        expressed = np.flatnonzero(found >= max(3, EXPRESSED_SHARE * counts.shape[0]))
        _, variance = column_moments(_log_normalised(counts, target))
        by_variance = np.argsort(-variance, kind="stable")[:VARIABLE_GENES]
        variable = by_variance[variance[by_variance] > 0]
        if len(expressed) < 3 or len(variable) < 3:
            raise CountsError(
                f"of {counts.shape[1]} genes, {len(expressed)} are found in at least 3 real training cells and "
                f"{len(variable)} vary; 3 of both are needed to compare cells by"
            )
        rows = np.sort(rng.permutation(counts.shape[0])[:FITTED_CELLS])
        dense = _log_normalised(counts[rows], target)[:, variable[:SPACE_GENES]].toarray()
        center, axes = _lasting_axes(dense, rng)
        scale = float(np.median(pdist((dense[:SCALED_CELLS] - center) @ axes)))
        if not scale > 0:
            raise CountsError("more than half of the real training cells are alike: there is no distance to compare by")
        return cls(target, expressed.astype(np.int64), variable.astype(np.int64), center, axes, scale)

    def log_normalised(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Return ``log1p(counts · target / library size)``, float32; a cell without counts stays empty."""
        return _log_normalised(counts, self.target)

    def variable_values(self, counts: sp.csr_matrix, *, genes: int) -> Float32Array:
        """Return the log-normalised counts of the most variable genes, dense, shape (cells, genes)."""
        values: Float32Array = self.log_normalised(counts)[:, self.variable[:genes]].toarray()
        return values

    def directions(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Return the log-normalised variable genes of each cell, scaled to length 1; 0 for a cell without any."""
        values = self.log_normalised(counts)[:, self.variable]
        length = np.sqrt(np.asarray(values.multiply(values).sum(axis=1))).ravel()
        inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
        values.data *= np.repeat(inverse, np.diff(values.indptr))
        return values

    def coordinates(self, counts: sp.csr_matrix) -> Float64Array:
        """Return the cells in the space of the training cells, shape (cells, axes)."""
        blocks = [
            (self.variable_values(counts[first : first + FITTED_CELLS], genes=SPACE_GENES) - self.center) @ self.axes
            for first in range(0, counts.shape[0], FITTED_CELLS)
        ]
        return np.concatenate(blocks).astype(np.float64) / self.scale


def column_moments(matrix: sp.csr_matrix) -> tuple[Float64Array, Float64Array]:
    """Return mean and variance (n - 1 below) of each column, from sums over the stored values."""
    n_rows, n_columns = matrix.shape
    data = matrix.data.astype(np.float64)
    mean = np.bincount(matrix.indices, weights=data, minlength=n_columns) / n_rows
    stored = np.bincount(matrix.indices, minlength=n_columns)
    # around the mean, with what the rows without a stored value add: E[x²] - E[x]² would cancel
    squares = np.bincount(matrix.indices, weights=(data - mean[matrix.indices]) ** 2, minlength=n_columns)
    return mean, (squares + (n_rows - stored) * mean**2) / max(1, n_rows - 1)


def _lasting_axes(dense: Float32Array, rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
    """Return the mean and the leading principal axes that hold for new cells of the same law; at least two axes."""
    n_axes = min(AXES, len(dense) * (_FOLDS - 1) // _FOLDS - 1, dense.shape[1] - 1)
    seed = int(rng.integers(2**31))

    def fit(cells: Float32Array) -> PCA:
        return PCA(n_axes, svd_solver="randomized", random_state=seed).fit(cells)

    fold = rng.permutation(len(dense)) % _FOLDS
    ratios = []
    for number in range(_FOLDS):
        pca = fit(dense[fold != number])
        others = (dense[fold == number] - pca.mean_) @ pca.components_.T
        ratios.append(np.mean(others**2, axis=0) / np.maximum(pca.explained_variance_, np.finfo(np.float32).tiny))
    # per number of axes, the mean share of variance that is left, a longer axis outside counting no more than 1
    left = np.cumsum(np.minimum(1, np.mean(ratios, axis=0))) / np.arange(1, n_axes + 1)
    kept = max(2, int(np.count_nonzero(left >= KEPT_VARIANCE)))
    pca = fit(dense)
    return np.asarray(pca.mean_, np.float32), np.ascontiguousarray(pca.components_[:kept].T, np.float32)


def _log_normalised(counts: sp.csr_matrix, target: float) -> sp.csr_matrix:
    sizes = library_sizes(counts)
    factors = np.divide(target, sizes, out=np.zeros_like(sizes), where=sizes > 0).astype(np.float32)
    values = np.log1p(counts.data * np.repeat(factors, np.diff(counts.indptr)))
    return sp.csr_matrix((values.astype(np.float32, copy=False), counts.indices, counts.indptr), shape=counts.shape)
