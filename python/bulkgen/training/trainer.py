"""Training of a transformer, through the Trainer of Hugging Face."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import math
import random
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from bulkgen.io.atomic import check_interrupt
from bulkgen.progress import progress_bar
from bulkgen.training.batches import Cells, LengthGroupedSampler
from bulkgen.training.metrics import score
from bulkgen.training.model import quiet_transformers
from bulkgen.training.transformer import cpu_threads, make_collator, pick_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt
    from transformers import EvalPrediction, TrainerControl, TrainerState

    from bulkgen.tokens import TokenDataset
    from bulkgen.training.config import TransformerConfig
    from bulkgen.training.labels import LabelMap
    from bulkgen.training.model import SequenceClassifier

__all__ = ["TransformerFit", "train_transformer"]

#: Scores of an epoch, or a point of the loss curve, by name.
Record: TypeAlias = dict[str, float]

#: Points of the loss curve in an epoch.
_LOGS_PER_EPOCH = 10
_SCHEDULERS = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
_VALIDATION_SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True)
class TransformerFit:
    """How a training went.

    Attributes
    ----------
    history
        Per epoch: ``epoch`` (from 1), ``training_loss`` (mean over its steps) and, with validation cells,
        ``validation_loss``, ``validation_accuracy``, ``validation_balanced_accuracy``, ``validation_macro_f1``.
    loss_curve
        About ten points per epoch: ``step``, ``epoch``, ``loss`` (mean since the point before),
        ``learning_rate``.
    best_epoch
        The epoch whose weights are kept: that of the best validation macro-F1, the first of several; the last
        without validation cells.
    steps, warmup_steps
        Optimizer steps in all, and those of the warm-up.
    device
        What it ran on: ``"cpu"`` or ``"cuda:0"``.
    threads
        Threads of torch.
    """

    history: tuple[Record, ...]
    loss_curve: tuple[Record, ...]
    best_epoch: int
    steps: int
    warmup_steps: int
    device: str
    threads: int


def train_transformer(
    model: SequenceClassifier,
    tokens: TokenDataset,
    classes: npt.NDArray[np.int64],
    config: TransformerConfig,
    *,
    labels: LabelMap,
    validation: tuple[TokenDataset, npt.NDArray[np.int64]] | None,
    checkpoints: Path,
) -> TransformerFit:
    """Train a model in place.

    Parameters
    ----------
    model
        The network; holds the weights of the best epoch afterwards.
    tokens, classes
        Training cells and the class of each.
    config
        The configuration.
    labels
        The classes.
    validation
        Validation cells and the class of each, scored after every epoch.
    checkpoints
        Folder for the weights of the best and the latest epoch.

    Raises
    ------
    ValueError
        If the loss is no longer finite, or there is no such device.
    """
    pick_device(config.device)
    steps_per_epoch = math.ceil(len(tokens) / config.batch_size)
    epochs = config.passes(steps_per_epoch)
    steps = steps_per_epoch * epochs
    cells = Cells(tokens, context=config.context, classes=classes)
    # sorted by length, because the Trainer evaluates in order
    held_out = validation and Cells(validation[0], context=config.context, classes=validation[1], sort_by_length=True)
    with quiet_transformers(), _random_state_kept(), cpu_threads(config.threads) as threads:
        arguments = _arguments(config, checkpoints, epochs=epochs, steps=steps, validate=held_out is not None)
        with progress_bar("fine-tuning", steps) as advance:
            trainer = _Trainer(
                model=model,
                args=arguments,
                data_collator=make_collator(model, tokens),
                train_dataset=cells,
                eval_dataset=held_out,
                compute_metrics=partial(_validation_scores, labels=labels),
                callbacks=[_Watch(advance)],
            )
            # prints every log as a dictionary on standard output
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        history, curve = _history(trainer.state.log_history, validated=held_out is not None)
        best = max(history, key=lambda epoch: epoch.get("validation_macro_f1", epoch["epoch"]))
        return TransformerFit(
            history=history,
            loss_curve=curve,
            best_epoch=int(best["epoch"]),
            steps=steps,
            warmup_steps=config.warmup(steps),
            device=str(arguments.device),
            threads=threads,
        )


def _arguments(
    config: TransformerConfig, folder: Path, *, epochs: int, steps: int, validate: bool
) -> TrainingArguments:
    on_cpu = pick_device(config.device) == "cpu"
    each = "epoch" if validate else "no"
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.evaluation_batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type=_SCHEDULERS[config.schedule],
        warmup_steps=config.warmup(steps),
        optim="adamw_torch",
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=1e-8,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_gradient_norm,
        seed=config.seed,
        use_cpu=on_cpu,
        fp16=False,
        bf16=False,
        eval_strategy=each,
        save_strategy=each,
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=validate,
        metric_for_best_model="macro_f1" if validate else None,
        greater_is_better=True if validate else None,
        logging_strategy="steps",
        logging_steps=max(1, round(steps / epochs / _LOGS_PER_EPOCH)),
        logging_nan_inf_filter=False,
        log_level="error",
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
    )
    # one device: DataParallel would multiply the batch size by the number of GPUs
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class _Trainer(Trainer):
    """The Trainer with batches of cells of like length, in an order that seed and epoch decide."""

    def _get_train_sampler(self, *_: object) -> LengthGroupedSampler:
        cells = cast("Cells", self.train_dataset)
        return LengthGroupedSampler(cells.lengths, batch_size=self.args.train_batch_size, seed=self.args.seed)


class _Watch(TrainerCallback):
    """Moves the progress bar, closes the loss curve at each epoch's end, and stops a training that diverged."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        # an interrupt that arrives in a callback of the garbage collector is swallowed: a step is where it is found
        check_interrupt()
        self._advance(1)

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Record | None = None,
        **_: object,
    ) -> None:
        # of training steps, or of a validation
        loss = (logs or {}).get("loss", (logs or {}).get("eval_loss", 0.0))
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss became {loss} at step {state.global_step}; use a lower learning_rate "
                f"(--learning-rate), now {args.learning_rate:g}"
            )


def _validation_scores(prediction: EvalPrediction, *, labels: LabelMap) -> Record:
    scores = score(
        np.asarray(prediction.label_ids),
        np.argmax(prediction.predictions, axis=-1),
        labels=labels.names,
        majority=labels.majority,
    )
    return {name: getattr(scores, name) for name in _VALIDATION_SCORES[1:]}


def _history(log: list[Record], *, validated: bool) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
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
    history = {
        epoch: {"epoch": epoch, "training_loss": sum(x * n for x, n in points) / sum(n for _, n in points)}
        for epoch, points in losses.items()
    }
    if validated:
        for entry in log:
            if "eval_macro_f1" in entry:
                history[round(entry["epoch"])].update(
                    {f"validation_{name}": entry[f"eval_{name}"] for name in _VALIDATION_SCORES}
                )
    return tuple(history.values()), curve


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Give Python, NumPy and torch their global random states back: the Trainer seeds them all."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is the global state
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002
