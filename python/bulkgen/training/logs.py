"""What a training records while it runs: scores per epoch, the loss curve, and their files."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, TypeAlias

from transformers import TrainerCallback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import TrainerControl, TrainerState, TrainingArguments

__all__ = ["LOG_FILE", "TENSORBOARD_FOLDER", "VALIDATION_SCORES", "EpochLog", "Record", "history", "tensorboard_log"]

#: Scores of an epoch, or a point of the loss curve, by name.
Record: TypeAlias = dict[str, float]

LOG_FILE = "log.csv"
TENSORBOARD_FOLDER = "tensorboard"
VALIDATION_SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1")


def history(log: Sequence[Record], *, validated: bool) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Split the Trainer's log into scores per epoch and the loss curve."""
    curve = tuple(
        {name: entry[name] for name in ("step", "epoch", "loss", "learning_rate")} for entry in log if "loss" in entry
    )
    losses: dict[int, list[tuple[float, float]]] = {}
    before = 0.0
    for point in curve:
        # a point is the mean over the steps since the one before; none reaches across two epochs
        epoch = math.ceil(point["epoch"] - 1e-9)
        losses.setdefault(epoch, []).append((point["loss"], point["step"] - before))
        before = point["step"]
    epochs = {
        epoch: {"epoch": epoch, "training_loss": sum(x * n for x, n in points) / sum(n for _, n in points)}
        for epoch, points in losses.items()
    }
    if validated:
        for entry in log:
            if "eval_macro_f1" in entry:
                epochs[round(entry["epoch"])].update(
                    {f"validation_{name}": entry[f"eval_{name}"] for name in VALIDATION_SCORES}
                )
    return tuple(epochs.values()), curve


class EpochLog(TrainerCallback):
    """Writes the scores of the epochs that are over into a CSV file.

    The file is a function of the Trainer's log, and so the same whether or not the training was interrupted.

    Parameters
    ----------
    file
        The file.
    validated
        Whether there are validation cells.
    """

    def __init__(self, file: Path, *, validated: bool) -> None:
        self._file = file
        self._validated = validated

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Write the epoch before, which is scored only after its end."""
        self._write(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Write the last epoch."""
        self._write(state)

    def _write(self, state: TrainerState) -> None:
        if not state.is_world_process_zero or not state.log_history:
            return
        epochs, _ = history(state.log_history, validated=self._validated)
        with self._file.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(epochs[0]))
            writer.writeheader()
            writer.writerows(epochs)


def tensorboard_log(folder: Path) -> TrainerCallback:
    """Return what writes the Trainer's log into a folder for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    return TensorBoardCallback(SummaryWriter(log_dir=str(folder)))
