"""Scores of a trained model on labelled cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.arguments import checked
from bulkgen.tokens import TokenDataset
from bulkgen.training.metrics import Scores, score
from bulkgen.training.run import Run

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.training.config import Device

__all__ = ["Predictions", "evaluate", "evaluate_and_predict", "predict"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about cells.

    Attributes
    ----------
    labels
        Names of the classes, sorted.
    probabilities
        Probability of each class, shape (cells, classes).
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.probabilities)

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The most probable class of each cell (the first of several), shape (cells,)."""
        best: npt.NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return best

    @property
    def names(self) -> npt.NDArray[np.object_]:
        """The most probable label of each cell, shape (cells,)."""
        return np.array(self.labels, dtype=object)[self.classes]


def predict(
    run: str | Path | Run,
    tokens: TokenDataset | str | Path,
    *,
    batch_size: int | None = None,
    device: Device | None = None,
) -> Predictions:
    """Predict the labels of cells, which need none.

    Parameters
    ----------
    run
        Run folder of :func:`bulkgen.finetune`.
    tokens
        The cells, or the folder of their token data set.
    batch_size
        Cells per batch; by default the run's ``evaluation_batch_size``.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``; by default that of the training.

    Returns
    -------
    Predictions

    Raises
    ------
    VocabularyMismatchError
        If the tokens were made with another vocabulary than the model's.
    ValueError
        If the cells are longer than the model's positions.
    MissingExtraError
        If the model needs torch, which is not installed.
    """
    run, tokens = _open(run, tokens)
    probabilities = run.classifier.probabilities(tokens, batch_size=_checked(batch_size), device=device)
    return Predictions(run.labels.names, probabilities)


@checked
def evaluate(
    run: str | Path | Run,
    tokens: TokenDataset | str | Path,
    *,
    label: str | None = None,
    batch_size: int | None = None,
    device: Device | None = None,
) -> Scores:
    """Score a trained model on labelled cells, beside the majority baseline.

    Labels are matched by name, so that the test data may have its classes in another order, or lack some.

    Parameters
    ----------
    run
        Run folder of :func:`bulkgen.finetune`.
    tokens
        The cells, or the folder of their token data set.
    label
        Column of `tokens` that holds the labels; by default the data set's own label.
    batch_size
        Cells per batch; by default the run's ``evaluation_batch_size``.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``; by default that of the training.

    Returns
    -------
    Scores

    Raises
    ------
    VocabularyMismatchError
        If the tokens were made with another vocabulary than the model's.
    LabelError
        If cells have no label, or a label that training never saw.
    ValueError
        If the cells are longer than the model's positions, or there are none.
    MissingExtraError
        If the model needs torch, which is not installed.
    """
    return evaluate_and_predict(run, tokens, label=label, batch_size=batch_size, device=device)[0]


def evaluate_and_predict(
    run: str | Path | Run,
    tokens: TokenDataset | str | Path,
    *,
    label: str | None = None,
    batch_size: int | None = None,
    device: Device | None = None,
) -> tuple[Scores, Predictions]:
    """Return the scores of :func:`evaluate` together with the predictions behind them."""
    run, tokens = _open(run, tokens)
    true = run.labels.classes(tokens, label=label, what="test")
    if not len(tokens):
        raise ValueError("there is no cell to test on: the data set is empty")
    predicted = predict(run, tokens, batch_size=batch_size, device=device)
    scores = score(true, predicted.classes, labels=run.labels.names, majority=run.labels.majority)
    return scores, predicted


def _open(run: str | Path | Run, tokens: TokenDataset | str | Path) -> tuple[Run, TokenDataset]:
    if not isinstance(tokens, TokenDataset):
        tokens = TokenDataset.load(tokens)
    if not isinstance(run, Run):
        run = Run.load(run)
    tokens.vocabulary.check_same(run.vocabulary, this="the tokens", that="the model")
    return run, tokens


def _checked(batch_size: int | None) -> int | None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size
