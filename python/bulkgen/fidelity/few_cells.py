"""The few-cells curve: what real cells reach alone, and together with synthetic ones, as their number grows.

With few real cells, synthetic ones help; with many, they can hurt. So a synthetic cell's weight in the loss is chosen
by cross-validation among the real training cells, 0 included: the test cells have no say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold

from bulkgen.fidelity.results import FEW_CELLS_COLUMNS
from bulkgen.rng import key_from_rng
from bulkgen.training import LinearConfig
from bulkgen.training.linear import LinearClassifier, rank_features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from bulkgen.fidelity.cells import Cells
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["SIZES", "WEIGHTS", "Features", "choose_weight", "few_cells_curve"]

#: Real cells per class; ``"all"`` is every training cell.
SIZES: tuple[int | Literal["all"], ...] = (0, 5, 10, 20, 60, "all")
#: Weights of a synthetic cell in the loss, where a real one weighs 1.
WEIGHTS = (0.0, 0.1, 0.3, 1.0)
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Features:
    """Rank features of cells with their classes.

    Attributes
    ----------
    rows
        Cells x vocabulary.
    classes
        Class of each cell.
    donor
        Training cell that each cell was made from (-1: none), or ``None`` where that is not known.
    """

    rows: sp.csr_matrix
    classes: Int64Array
    donor: Int64Array | None = None

    @classmethod
    def of(cls, cells: Cells, labels: Sequence[str]) -> Features:
        """Make the features of cells, whose classes are places in `labels`; cells without a token stay, as zeros."""
        assert cells.tokens is not None
        place = {label: i for i, label in enumerate(labels)}
        classes = np.fromiter((place[label] for label in cells.labels), dtype=np.int64, count=len(cells))
        config = LinearConfig()
        return cls(rank_features(cells.tokens, top_k=config.top_k), classes, cells.donor)

    def take(self, rows: Int64Array) -> Features:
        """Return these cells."""
        donor = None if self.donor is None else self.donor[rows]
        return Features(self.rows[rows], self.classes[rows], donor)


def few_cells_curve(
    training: Features,
    test: Features,
    synthetic: Mapping[str, Features],
    *,
    sizes: Sequence[int | Literal["all"]] = SIZES,
    weights: Sequence[float] = WEIGHTS,
    rng: np.random.SeedSequence,
    advance: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Train the linear model on ever more real cells, alone and with each method's synthetic cells.

    The real cells of a size are among those of the next.

    Parameters
    ----------
    training, test
        Real cells.
    synthetic
        Cells of each method.
    sizes
        Real cells per class; a class with fewer gives all that it has.
    weights
        Weights to choose from; with no real cells, the largest.
    rng
        Seed of the order of the cells and of the folds.
    advance
        Called after each size.

    Returns
    -------
    pandas.DataFrame
        See :data:`bulkgen.fidelity.results.FEW_CELLS_COLUMNS`, less the seed. Without any cell the answer is a guess:
        balanced accuracy is 1 / classes, macro-F1 is not known.
    """
    key = key_from_rng(rng)
    order = np.random.default_rng(key).permutation(len(training.classes))
    n_classes = int(training.classes.max()) + 1
    found = []
    for size in sizes:
        rows = np.sort(_first_of_each(order, training.classes, None if size == "all" else size))
        real = replace(training.take(rows), donor=rows)
        n = len(rows) // n_classes if size == "all" else size
        for name in ("", *synthetic):
            if name:
                made = synthetic[name]
                weight = choose_weight(real, made, weights, key=key) if len(rows) else max(weights)
            else:
                made, weight = training.take(rows[:0]), 0.0
            scores = (1 / n_classes, float("nan"))
            if len(rows) or weight > 0:
                predicted = _predict(*_joined(real, made, weight), test.rows)
                scores = _accuracy(test.classes, predicted)
            found.append((n, size == "all", name, weight, *scores))
        advance()
    return pd.DataFrame(found, columns=list(FEW_CELLS_COLUMNS[1:]))


def choose_weight(real: Features, synthetic: Features, weights: Sequence[float], *, key: int) -> float:
    """Choose a synthetic cell's weight by stratified cross-validation on the real cells.

    In each fold the model is trained on the other folds' real cells and all synthetic ones, less those made from a cell
    of the fold, and predicts the fold's real cells. A weight has to earn its place: it is taken only if it recognises
    more of the real cells (classes weighed alike) than weight 0 does, by more than one standard error of that
    difference. Of those that do, the best is taken; among equals the one to which the true labels are most probable,
    then the smallest.

    Parameters
    ----------
    real
        Real cells; `donor` is their own row among the training cells.
    synthetic
        Synthetic cells.
    weights
        To choose from; 0 is always among them. With fewer than two real cells of a class nothing can be told, and the
        largest is taken.
    key
        Seed of the folds.
    """
    sizes = np.bincount(real.classes)
    folds = min(_FOLDS, int(sizes[sizes > 0].min()))
    if folds < 2:
        return max(weights)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=key & 0xFFFF_FFFF)
    # looser than the final fit: only the order of the weights matters
    config = LinearConfig(tolerance=1e-3)
    tried = sorted({0.0, *weights})
    share = 1 / (np.count_nonzero(sizes) * sizes[real.classes])
    hits = np.zeros((len(tried), len(real.classes)))
    likelihood = np.zeros(len(tried))
    for others, held in splitter.split(real.rows, real.classes):
        rest, out = real.take(others), real.take(held)
        made = synthetic
        if synthetic.donor is not None and out.donor is not None:
            made = synthetic.take(np.flatnonzero(~np.isin(synthetic.donor, out.donor)))
        for place, weight in enumerate(tried):
            probabilities = _predict(*_joined(rest, made, weight), out.rows, config=config)
            own = probabilities[np.arange(len(held)), out.classes]
            hits[place, held] = probabilities.argmax(axis=1) == out.classes
            likelihood[place] += share[held] @ np.log(np.maximum(own, 1e-12))
    gain = hits - hits[0]
    mean = gain @ share
    error = np.sqrt((gain - mean[:, None]) ** 2 @ share**2)
    candidates = [place for place in range(len(tried)) if mean[place] > error[place]]
    # stable: the first, smallest weight wins among equals
    best = max(candidates, key=lambda place: (round(mean[place], 9), likelihood[place]), default=0)
    return tried[best]


def _joined(real: Features, synthetic: Features, weight: float) -> tuple[sp.csr_matrix, Int64Array, Float64Array]:
    """Real and weighted synthetic cells together: features, classes, weights."""
    if weight == 0:
        return real.rows, real.classes, np.ones(len(real.classes))
    return (
        sp.vstack([real.rows, synthetic.rows], format="csr"),
        np.concatenate([real.classes, synthetic.classes]),
        np.concatenate([np.ones(len(real.classes)), np.full(len(synthetic.classes), weight)]),
    )


def _predict(
    rows: sp.csr_matrix,
    classes: Int64Array,
    sample_weight: Float64Array,
    test: sp.csr_matrix,
    *,
    config: LinearConfig | None = None,
) -> Float64Array:
    """Probabilities of the classes."""
    trained, _ = LinearClassifier.train_on_features(
        rows, classes, config or LinearConfig(), sample_weight=sample_weight
    )
    probabilities: Float64Array = trained.probabilities_of_features(test)
    return probabilities


def _accuracy(classes: Int64Array, probabilities: Float64Array) -> tuple[float, float]:
    """Balanced accuracy and macro-F1."""
    predicted = probabilities.argmax(axis=1)
    macro_f1 = f1_score(classes, predicted, average="macro", labels=np.unique(classes), zero_division=0.0)
    return float(balanced_accuracy_score(classes, predicted)), float(macro_f1)


def _first_of_each(order: Int64Array, classes: Int64Array, n: int | None) -> Int64Array:
    """Return the first `n` cells of each class in an order; all of them for ``None``."""
    if n is None:
        return order
    return np.concatenate([order[classes[order] == label][:n] for label in np.unique(classes)])
