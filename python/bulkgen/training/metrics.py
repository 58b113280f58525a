"""How well labels were predicted, beside what the majority class alone would reach.

Every number comes from the confusion matrix, by the definitions of scikit-learn. Classes that the model knows but
that no cell of the test set has are left out of the means (a recall of 0 / 0 says nothing), and stay in the
confusion matrix, where a cell may have been put into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import pandas as pd

from bulkgen.arguments import checked
from bulkgen.display import with_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

__all__ = ["ClassScores", "MajorityScores", "Scores", "score"]


class ClassScores(TypedDict):
    """Scores of one class; each is 0 where its denominator is 0."""

    precision: float
    recall: float
    f1: float
    support: int


class MajorityScores(TypedDict):
    """Scores of a classifier that gives every cell the commonest label of the training data."""

    label: str
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """Scores of predicted labels against true ones.

    Attributes
    ----------
    n
        Number of cells.
    labels
        The labels of the training data, sorted: what the model can say.
    accuracy
        Share of cells with the right label.
    balanced_accuracy
        Mean recall over the labels that occur among the true ones.
    macro_f1
        Mean F1 over the labels that occur among the true ones.
    per_class
        Precision, recall, F1 and number of true cells (support) of each label of `labels`.
    confusion
        Number of cells, shape (labels, labels): rows are the true label, columns the predicted one.
    majority
        The baseline: the same scores for the commonest training label given to every cell.
    """

    n: int
    labels: tuple[str, ...]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    per_class: dict[str, ClassScores]
    confusion: npt.NDArray[np.int64]
    majority: MajorityScores

    def __repr__(self) -> str:
        baseline = self.majority
        return (
            f"Scores({self.n:,} cells, {len(self.labels)} labels; beside always {baseline['label']!r}: "
            f"balanced accuracy {self.balanced_accuracy:.3f} ({baseline['balanced_accuracy']:.3f}), "
            f"macro-F1 {self.macro_f1:.3f} ({baseline['macro_f1']:.3f}), "
            f"accuracy {self.accuracy:.3f} ({baseline['accuracy']:.3f}))"
        )

    def _repr_html_(self) -> str:
        return with_table(self, pd.DataFrame(self.per_class).T.astype({"support": int}))

    @property
    def present(self) -> tuple[str, ...]:
        """The labels that occur among the true ones; the means are over these."""
        return tuple(label for label in self.labels if self.per_class[label]["support"])

    @property
    def chance(self) -> float:
        """Balanced accuracy that any constant or random guess is expected to reach: 1 / labels that occur."""
        return 1 / len(self.present)

    @property
    def balanced_accuracy_margin(self) -> float:
        """Half the width of a 95 % interval of the balanced accuracy, from the number of cells alone.

        Recalls are independent binomials; (x + 1) / (n + 2) in the variance keeps it positive at 0 and n.
        """
        support = self.confusion.sum(axis=1)
        hits, support = np.diag(self.confusion)[support > 0], support[support > 0]
        p = (hits + 1.0) / (support + 2.0)
        return float(1.96 * np.sqrt(np.sum(p * (1.0 - p) / support)) / len(support))

    def to_dict(self) -> dict[str, object]:
        """Return the scores as JSON can hold them.

        Returns
        -------
        dict
            What ``bulkgen evaluate --json`` prints; :meth:`from_dict` gives the scores back.
        """
        return {
            "n": self.n,
            "labels": list(self.labels),
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "chance": self.chance,
            "majority": dict(self.majority),
            "per_class": {label: dict(scores) for label, scores in self.per_class.items()},
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    @checked
    def from_dict(cls, values: Mapping[str, object]) -> Scores:
        """Make scores from what :meth:`to_dict` gave.

        Parameters
        ----------
        values
            The dictionary.

        Returns
        -------
        Scores

        Raises
        ------
        KeyError
            If something is missing from it.
        """
        missing = [name for name in ("majority", "confusion", "labels") if name not in values]
        if missing:
            raise KeyError(f"these are no scores: {missing[0]!r} is missing")
        majority = cast("MajorityScores", values["majority"])
        confusion = np.asarray(values["confusion"], dtype=np.int64)
        return _from_confusion(confusion, cast("Sequence[str]", values["labels"]), majority["label"])


def score(
    true: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    *,
    labels: Sequence[str],
    majority: str,
) -> Scores:
    """Score predicted classes against true ones.

    Parameters
    ----------
    true, predicted
        Class of each cell, as its place in `labels`; shape (cells,), at least one cell.
    labels
        Names of the classes.
    majority
        The commonest label of the training data.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the shapes differ, there is no cell, or a class is out of range.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise ValueError(
            f"true and predicted must be vectors of one length, got shapes {true.shape} and {predicted.shape}"
        )
    if not len(true):
        raise ValueError("there is no cell to score: the data set is empty")
    classes = len(labels)
    for name, values in (("true", true), ("predicted", predicted)):
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(f"{name} holds classes from {values.min()} to {values.max()}, not 0 to {classes - 1}")
    pairs = true.astype(np.int64) * classes + predicted
    confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return _from_confusion(confusion.astype(np.int64), labels, majority)


def _from_confusion(confusion: npt.NDArray[np.int64], labels: Sequence[str], majority: str) -> Scores:
    precision, recall, f1, support = _per_class(confusion)
    accuracy, balanced, macro_f1 = _overall(confusion)
    # the majority classifier puts every cell in one column
    constant = np.zeros_like(confusion)
    constant[:, list(labels).index(majority)] = support
    baseline = _overall(constant)
    return Scores(
        n=int(support.sum()),
        labels=tuple(labels),
        accuracy=accuracy,
        balanced_accuracy=balanced,
        macro_f1=macro_f1,
        per_class={
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        confusion=confusion,
        majority={
            "label": majority,
            "accuracy": baseline[0],
            "balanced_accuracy": baseline[1],
            "macro_f1": baseline[2],
        },
    )


def _per_class(
    confusion: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Precision, recall, F1 and support of each class."""
    right, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return (
        right / np.maximum(predicted, 1),
        right / np.maximum(support, 1),
        # 2PR/(P + R) in counts, which has no 0/0 while a cell is in the class or put into it
        2 * right / np.maximum(support + predicted, 1),
        support,
    )


def _overall(confusion: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Accuracy, balanced accuracy and macro-F1 over the classes that occur."""
    _, recall, f1, support = _per_class(confusion)
    present = support > 0
    accuracy = np.diag(confusion).sum() / support.sum()
    return float(accuracy), float(recall[present].mean()), float(f1[present].mean())
