"""Logistic regression on the ranks of a cell's tokens: seconds to train, and hard to beat.

Feature g of a cell is (K - rank) / K if gene g is among its first K genes (rank from 0), else 0; special tokens do not
count. Why the features are neither centred nor scaled, and why there is no intercept, is told in
:class:`~bulkgen.training.config.LinearConfig`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from bulkgen.tokens import TokenDataset
    from bulkgen.training.config import Device, LinearConfig

__all__ = ["LinearClassifier", "LinearFit", "rank_features"]

_WEIGHTS_FILE = "linear.npz"


def rank_features(tokens: TokenDataset, *, top_k: int = 2048, presence: bool = False) -> sparse.csr_matrix:
    """Return the rank features of cells.

    Parameters
    ----------
    tokens
        The cells.
    top_k
        K: genes after the first K of a cell count as absent.
    presence
        1 for each of the first K genes, whatever its rank.

    Returns
    -------
    scipy.sparse.csr_matrix
        Shape (cells, vocabulary size), float64, (K - rank) / K; indices in the order of the ranks. The columns of
        special tokens are empty.
    """
    flat, offsets = tokens.flat()
    special = np.fromiter(tokens.vocabulary.special_tokens.values(), dtype=flat.dtype)
    genes = ~np.isin(flat, special)
    # genes before each position give both the rank within the cell and the new offsets
    before = np.concatenate(([0], np.cumsum(genes, dtype=np.int64)))
    starts = before[offsets]
    rank = before[:-1] - np.repeat(starts[:-1], np.diff(offsets))
    kept = genes & (rank < top_k)
    rank = rank[kept]
    values = np.ones(len(rank)) if presence else (top_k - rank) / top_k
    indptr = np.concatenate(([0], np.cumsum(np.minimum(np.diff(starts), top_k))))
    shape = (len(offsets) - 1, tokens.vocabulary.size)
    return sparse.csr_matrix((values, flat[kept].astype(np.int32), indptr), shape=shape)


@dataclass(frozen=True)
class LinearFit:
    """How the optimization ended.

    Attributes
    ----------
    iterations
        Iterations of L-BFGS.
    converged
        Whether it stopped by the tolerance, and not by the number of iterations.
    """

    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A trained logistic regression.

    Attributes
    ----------
    weights
        Shape (classes, vocabulary size).
    intercept
        Shape (classes,); zeros for a model without.
    config
        How it was trained; decides the features.
    """

    weights: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    config: LinearConfig

    @classmethod
    def train(
        cls,
        tokens: TokenDataset,
        classes: npt.NDArray[np.int64],
        config: LinearConfig,
        *,
        class_weights: npt.NDArray[np.float64] | None = None,
    ) -> tuple[LinearClassifier, LinearFit]:
        """Fit the weights to the classes of the cells; deterministic, on one thread.

        Parameters
        ----------
        tokens
            The cells.
        classes
            Class of each cell, shape (cells,); every class from 0 up has a cell.
        config
            The configuration.
        class_weights
            Weight of a cell of each class in the loss, shape (classes,); 1 by default.
        """
        weights = None if class_weights is None else class_weights[classes]
        return cls.train_on_features(_features(tokens, config), classes, config, sample_weight=weights)

    @classmethod
    def train_on_features(
        cls,
        features: sparse.csr_matrix,
        classes: npt.NDArray[np.int64],
        config: LinearConfig,
        *,
        sample_weight: npt.NDArray[np.float64] | None = None,
    ) -> tuple[LinearClassifier, LinearFit]:
        """Fit the weights to rank features, as :meth:`train` does to tokens.

        Parameters
        ----------
        features
            From :func:`rank_features`, by the settings of `config`.
        classes
            Class of each cell, shape (cells,); every class from 0 up has a cell.
        config
            The configuration.
        sample_weight
            Weight of each cell in the loss, shape (cells,); 1 by default.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        scale = _inverse_deviation(features) if config.scaling == "deviation" else np.ones(features.shape[1])
        model = LogisticRegression(
            C=config.inverse_regularization,
            fit_intercept=config.intercept,
            max_iter=config.max_iterations,
            tol=config.tolerance,
            solver="lbfgs",
        )
        # one thread: vectors this short only lose by more, and the bits do not depend on their number
        with warnings.catch_warnings(), threadpool_limits(limits=1):
            # reported as LinearFit.converged instead
            warnings.simplefilter("ignore", ConvergenceWarning)
            scaled = features @ sparse.diags(scale) if config.scaling != "none" else features
            model.fit(scaled, classes, sample_weight=sample_weight)
        weights, intercept = model.coef_ * scale, np.broadcast_to(model.intercept_, len(model.coef_))
        if len(weights) == 1:  # two classes: scikit-learn keeps the log-odds of the second against the first
            weights = np.concatenate((np.zeros_like(weights), weights))
            intercept = np.concatenate(([0.0], intercept))
        iterations = int(np.max(model.n_iter_))
        fit = LinearFit(iterations=iterations, converged=iterations < config.max_iterations)
        return cls(np.ascontiguousarray(weights), np.array(intercept, dtype=np.float64), config), fit

    def probabilities(
        self, tokens: TokenDataset, *, batch_size: int | None = None, device: Device | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the probability of each class, shape (cells, classes); `batch_size` and `device` play no part."""
        del batch_size, device
        return self.probabilities_of_features(_features(tokens, self.config))

    def probabilities_of_features(self, features: sparse.csr_matrix) -> npt.NDArray[np.float64]:
        """Return the probability of each class from rank features, shape (cells, classes)."""
        scores = features @ self.weights.T + self.intercept
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return np.asarray(scores, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write the weights into a folder that exists."""
        np.savez_compressed(folder / _WEIGHTS_FILE, weights=self.weights, intercept=self.intercept)

    @classmethod
    def load(cls, folder: Path, config: LinearConfig) -> LinearClassifier:
        """Read what :meth:`save` wrote; never executes anything (no pickle)."""
        with np.load(folder / _WEIGHTS_FILE, allow_pickle=False) as stored:
            return cls(stored["weights"], stored["intercept"], config)


def _features(tokens: TokenDataset, config: LinearConfig) -> sparse.csr_matrix:
    return rank_features(tokens, top_k=config.top_k, presence=config.features == "presence")


def _inverse_deviation(features: sparse.csr_matrix) -> npt.NDArray[np.float64]:
    """1 / standard deviation of each column over the cells; 0 for a column that does not vary."""
    cells = features.shape[0]
    mean = np.asarray(features.sum(axis=0)).ravel() / cells
    square = np.asarray(features.multiply(features).sum(axis=0)).ravel() / cells
    # a constant column leaves rounding error of the order of its square
    variance = np.where(square - mean**2 > 1e-12 * square, square - mean**2, np.inf)
    return 1 / np.sqrt(variance)
