"""The few-cells curve: what real cells reach alone, and together with synthetic ones, as their number grows.

With few real cells, synthetic ones help; with many, they can hurt. So a synthetic cell's weight in the loss is chosen
by cross-validation among the real training cells, 0 included: the test cells have no say. The synthetic cells of a fold
are made anew, from bulk and reference without the fold's cells: with more genes than cells, a bulk profile knows the
cells that are in it, and the synthetic cells would recognise them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics import balanced_accuracy_score, f1_score

from bulkgen.fidelity.results import FEW_CELLS_COLUMNS
from bulkgen.rng import key_from_rng
from bulkgen.training import LinearConfig
from bulkgen.training.linear import LinearClassifier, rank_features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from bulkgen.fidelity.cells import Cells
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = [
    "FOLDS",
    "SIZES",
    "WEIGHTS",
    "Augmentation",
    "Features",
    "choose_weight",
    "few_cells_curve",
    "held_out_probabilities",
]

#: Real cells per class; ``"all"`` is every training cell.
SIZES: tuple[int | Literal["all"], ...] = (0, 5, 10, 20, 60, "all")
#: Weights of a synthetic cell in the loss, where a real one weighs 1.
WEIGHTS = (0.0, 0.1, 0.3, 1.0)
#: Folds of the cross-validation that chooses the weight; fewer where there are fewer groups of real cells.
FOLDS = 3


@dataclass(frozen=True, eq=False)
class Features:
    """Rank features of cells with their classes.

    Attributes
    ----------
    rows
        Cells x vocabulary.
    classes
        Class of each cell.
    """

    rows: sp.csr_matrix
    classes: Int64Array

    @classmethod
    def of(cls, cells: Cells, labels: Sequence[str]) -> Features:
        """Make the features of cells, whose classes are places in `labels`; cells without a token stay, as zeros."""
        assert cells.tokens is not None
        place = {label: i for i, label in enumerate(labels)}
        classes = np.fromiter((place[label] for label in cells.labels), dtype=np.int64, count=len(cells))
        return cls(rank_features(cells.tokens, top_k=LinearConfig().top_k), classes)

    def take(self, rows: Int64Array) -> Features:
        """Return these cells."""
        return Features(self.rows[rows], self.classes[rows])


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Synthetic cells of a method.

    Attributes
    ----------
    cells
        Made from all training cells.
    without_fold
        For each fold: made without the training cells of that fold.
    """

    cells: Features
    without_fold: tuple[Features, ...]


def few_cells_curve(
    training: Features,
    test: Features,
    synthetic: Mapping[str, Augmentation],
    fold: Int64Array,
    *,
    sizes: Sequence[int | Literal["all"]] = SIZES,
    weights: Sequence[float] = WEIGHTS,
    rng: np.random.SeedSequence,
    advance: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Train the linear model on ever more real cells, alone and with each method's synthetic cells.

    The real cells of a size are among those of the next, and are of every fold alike: were more cells of a class in one
    fold than of the others, that class would be rare where the fold is predicted, and real cells alone would do worse
    in the folds than they do.

    Parameters
    ----------
    training, test
        Real cells.
    synthetic
        Cells of each method.
    fold
        Fold of each training cell.
    sizes
        Real cells per class; a class with fewer gives all that it has.
    weights
        Weights to choose from; with no real cells, the largest.
    rng
        Seed of the order of the cells.
    advance
        Called after each size.

    Returns
    -------
    pandas.DataFrame
        See :data:`bulkgen.fidelity.results.FEW_CELLS_COLUMNS`, less the seed. Without any cell the answer is a guess:
        balanced accuracy is 1 / classes, macro-F1 is not known.
    """
    order = np.random.default_rng(key_from_rng(rng)).permutation(len(training.classes))
    n_classes = int(training.classes.max()) + 1
    nothing = training.take(order[:0])
    found = []
    for size in sizes:
        rows = np.sort(_first_of_each(order, training.classes, fold, None if size == "all" else size))
        real = training.take(rows)
        n = len(rows) // n_classes if size == "all" else size
        alone = held_out_probabilities(real, fold[rows], (), 0.0) if len(rows) else None
        for name in ("", *synthetic):
            made, weight = nothing, 0.0
            if name:
                made = synthetic[name].cells
                weight = choose_weight(real, fold[rows], synthetic[name].without_fold, weights, alone=alone)
            scores = (1 / n_classes, float("nan"))
            if len(rows) or weight > 0:
                scores = _accuracy(test.classes, _predict(real, made, weight, test, n_classes))
            found.append((n, size == "all", name, weight, *scores))
        advance()
    return pd.DataFrame(found, columns=list(FEW_CELLS_COLUMNS[1:]))


def choose_weight(
    real: Features,
    fold: Int64Array,
    without_fold: Sequence[Features],
    weights: Sequence[float],
    *,
    alone: Float64Array | None = None,
) -> float:
    """Choose a synthetic cell's weight by cross-validation on the real cells.

    For each fold the model is trained on the other folds' real cells and the synthetic ones made without the fold, and
    predicts the fold's real cells. A weight has to earn its place: it is taken only if it recognises more of the real
    cells (classes weighed alike) than weight 0 does, by more than one standard error of that difference. Of those that
    do, the best is taken; among equals the one to which the true labels are most probable, then the smallest.

    Parameters
    ----------
    real
        Real cells.
    fold
        Fold of each.
    without_fold
        Synthetic cells by fold.
    weights
        To choose from; 0 is always among them. Without real cells the largest is taken.
    alone
        What :func:`held_out_probabilities` gives for weight 0, if it is known: it is the same for all methods.
    """
    if not len(real.classes):
        return max(weights)
    sizes = np.bincount(real.classes)
    share = 1 / (np.count_nonzero(sizes) * sizes[real.classes])
    alone = held_out_probabilities(real, fold, without_fold, 0.0) if alone is None else alone
    right = alone.argmax(axis=1) == real.classes
    best, best_score = 0.0, (0.0, 0.0)
    for weight in sorted({*weights} - {0.0}):
        found = held_out_probabilities(real, fold, without_fold, weight)
        gain = (found.argmax(axis=1) == real.classes).astype(float) - right
        mean = float(gain @ share)
        error = float(np.sqrt((gain - mean) ** 2 @ share**2))
        own = found[np.arange(len(real.classes)), real.classes]
        score = (round(mean, 9), float(share @ np.log(np.maximum(own, 1e-12))))
        if mean > error and (best == 0.0 or score > best_score):
            best, best_score = weight, score
    return best


def held_out_probabilities(
    real: Features, fold: Int64Array, without_fold: Sequence[Features], weight: float
) -> Float64Array:
    """Return the probabilities of the classes of each real cell, from a model that never saw its fold.

    Parameters
    ----------
    real, fold, without_fold
        As in :func:`choose_weight`.
    weight
        Of a synthetic cell; with 0 these play no part.
    """
    # looser than the final fit: only the order of the weights matters
    config = LinearConfig(tolerance=1e-3)
    probabilities: Float64Array = np.zeros((len(real.classes), int(real.classes.max()) + 1))
    for number in np.unique(fold):
        held = np.flatnonzero(fold == number)
        rest = real.take(np.flatnonzero(fold != number))
        synthetic = without_fold[number] if weight > 0 else rest
        probabilities[held] = _predict(rest, synthetic, weight, real.take(held), probabilities.shape[1], config=config)
    return probabilities


def _predict(
    real: Features,
    synthetic: Features,
    weight: float,
    test: Features,
    n_classes: int,
    *,
    config: LinearConfig | None = None,
) -> Float64Array:
    """Train on real and weighted synthetic cells; return the probabilities of all classes of `test`."""
    parts = [(real, 1.0)] + ([(synthetic, weight)] if weight > 0 else [])
    classes = np.concatenate([part.classes for part, _ in parts])
    probabilities: Float64Array = np.zeros((len(test.classes), n_classes))
    present = np.unique(classes)
    if len(present) < 2:
        # nothing to tell apart: the one class there is, or a guess
        probabilities[:, present] = 1.0
        return probabilities
    trained, _ = LinearClassifier.train_on_features(
        sp.vstack([part.rows for part, _ in parts], format="csr"),
        np.searchsorted(present, classes),
        config or LinearConfig(),
        sample_weight=np.concatenate([np.full(len(part.classes), each) for part, each in parts]),
    )
    probabilities[:, present] = trained.probabilities_of_features(test.rows)
    return probabilities


def _accuracy(classes: Int64Array, probabilities: Float64Array) -> tuple[float, float]:
    """Balanced accuracy and macro-F1."""
    predicted = probabilities.argmax(axis=1)
    macro_f1 = f1_score(classes, predicted, average="macro", labels=np.unique(classes), zero_division=0.0)
    return float(balanced_accuracy_score(classes, predicted)), float(macro_f1)


def _first_of_each(order: Int64Array, classes: Int64Array, fold: Int64Array, n: int | None) -> Int64Array:
    """Return the first `n` cells of each class in an order, taken from its folds in turn; all cells for ``None``."""
    if n is None:
        return order
    chosen = []
    for label in np.unique(classes):
        rows = order[classes[order] == label]
        turn = np.zeros(rows.size, np.int64)
        for number in np.unique(fold[rows]):
            here = fold[rows] == number
            turn[here] = np.arange(np.count_nonzero(here))
        chosen.append(rows[np.lexsort((fold[rows], turn))][:n])
    return np.concatenate(chosen)
