"""Training of a transformer, through the Trainer of Hugging Face."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import math
import os
import random
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch.nn import functional
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.trainer_callback import PrinterCallback

from bulkgen.io.atomic import check_interrupt
from bulkgen.progress import progress_bar
from bulkgen.tokens import TokenDataset
from bulkgen.training.adaptation import adapted
from bulkgen.training.batches import Cells, LengthGroupedSampler, ProcessBatches, TrainingLoader
from bulkgen.training.device import cpu_threads, pick_device, pick_precision
from bulkgen.training.logs import LOG_FILE, TENSORBOARD_FOLDER, VALIDATION_SCORES, EpochLog, history, tensorboard_log
from bulkgen.training.metrics import score
from bulkgen.training.model import (
    activations_computed_again,
    quiet_transformers,
    without_flash_attention,
)
from bulkgen.training.resume import CheckpointKeeper, check_resumable
from bulkgen.training.transformer import make_collator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt
    from transformers import EvalPrediction, TrainerControl, TrainerState
    from transformers.trainer_utils import EvalLoopOutput

    from bulkgen.training.config import TransformerConfig
    from bulkgen.training.distributed import Processes
    from bulkgen.training.labels import LabelMap
    from bulkgen.training.logs import Record
    from bulkgen.training.model import SequenceClassifier
    from bulkgen.training.resume import Checkpoints
    from bulkgen.training.synthetic_tokens import SyntheticLoader, SyntheticTokens

__all__ = ["TransformerFit", "train_transformer"]

#: Points of the loss curve in an epoch.
_LOGS_PER_EPOCH = 10
#: Processes that make synthetic cells for a GPU: each makes about 10,000 a second.
_LOADER_WORKERS = 4
_SCHEDULERS = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


@dataclass(frozen=True)
class TransformerFit:
    """How a training went.

    Attributes
    ----------
    history
        Per epoch: ``epoch`` (from 1), ``training_loss`` (mean over its steps) and, with validation cells,
        ``validation_loss``, ``validation_accuracy``, ``validation_balanced_accuracy``, ``validation_macro_f1``.
        Both losses weigh the classes as the training does.
    loss_curve
        About ten points per epoch: ``step``, ``epoch``, ``loss`` (mean since the point before),
        ``learning_rate``.
    best_epoch
        The epoch whose weights are kept: that of the best validation macro-F1, the first of several; the last
        without validation cells.
    stopped_early
        Whether the training ended before its last epoch, for want of a better score.
    steps, warmup_steps
        Optimizer steps that were made, and those of the warm-up.
    trained_parameters
        Weights that the training moved, those of adapters included.
    device
        What it ran on: ``"cpu"`` or ``"cuda:0"``.
    precision
        Of matrix products: ``"float32"``, ``"bf16"``, or ``"tf32"`` where float32 was asked for on a CUDA device and
        torch was set to let TensorFloat-32 stand for it.
    attention
        What computed the attention.
    threads
        Threads of torch, in each process.
    processes
        Processes that trained together: a step took so many times ``batch_size * accumulation`` cells.
    resumed_step
        Steps that an interrupted training had made already; ``None`` for none.
    """

    history: tuple[Record, ...]
    loss_curve: tuple[Record, ...]
    best_epoch: int
    stopped_early: bool
    steps: int
    warmup_steps: int
    trained_parameters: int
    device: str
    precision: str
    attention: str
    threads: int
    processes: int
    resumed_step: int | None


def train_transformer(
    model: SequenceClassifier,
    tokens: TokenDataset | SyntheticTokens,
    classes: npt.NDArray[np.int64] | None,
    config: TransformerConfig,
    *,
    labels: LabelMap,
    validation: tuple[TokenDataset, npt.NDArray[np.int64]] | None,
    checkpoints: Checkpoints,
    records: Path,
    processes: Processes,
) -> TransformerFit:
    """Train a model in place.

    Parameters
    ----------
    model
        The network; holds the weights of the best epoch afterwards.
    tokens, classes
        Training cells and the class of each; synthetic cells, which are other ones in every epoch, know their classes.
    config
        The configuration.
    labels
        The classes.
    validation
        Validation cells and the class of each, scored after every epoch.
    checkpoints
        Where the best and the latest checkpoint go, and the one to go on from.
    records
        Folder for ``log.csv`` and ``tensorboard/``.
    processes
        The processes that train it together.

    Raises
    ------
    ValueError
        If the loss is no longer finite, there is no such device or precision, or more layers are frozen than there
        are.
    """
    place = pick_device(config.device)
    precision = pick_precision(config.precision, place)
    cells_per_step = config.cells_per_step * processes.count
    n_cells = len(tokens) if isinstance(tokens, TokenDataset) else tokens.cells
    steps_per_epoch = math.ceil(n_cells / cells_per_step)
    epochs = config.passes(steps_per_epoch)
    steps = steps_per_epoch * epochs
    validated = validation is not None
    # sorted by length, because the Trainer evaluates in order
    held_out = validation and Cells(validation[0], context=config.context, classes=validation[1], sort_by_length=True)
    with (
        quiet_transformers(),
        _random_state_kept(),
        _mixed_precision(precision),
        cpu_threads(config.threads) as threads,
        adapted(model, config),
        activations_computed_again(model) if config.gradient_checkpointing else nullcontext(),
    ):
        arguments = _arguments(config, checkpoints, epochs=epochs, steps=steps, validate=validated)
        if checkpoints.stopped:
            # all that is left to do is to load the best weights
            arguments.max_steps = cast("int", checkpoints.step)
        trained_parameters = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
        collate = make_collator(model, tokens)
        loader = _training_loader(
            tokens,
            classes,
            config,
            processes=processes,
            collate=collate,
            pin_memory=arguments.dataloader_pin_memory,
        )
        with progress_bar("fine-tuning", steps, enabled=processes.first) as advance:
            callbacks: list[TrainerCallback] = [_Watch(advance), EpochLog(records / LOG_FILE, validated=validated)]
            if checkpoints.complete:
                check_resumable(len(loader), accumulation=config.accumulation)
                callbacks.append(CheckpointKeeper(checkpoints, processes=processes, steps_per_epoch=steps_per_epoch))
            if config.patience is not None:
                callbacks.append(EarlyStoppingCallback(config.patience))
            if config.tensorboard and processes.first:
                callbacks.append(tensorboard_log(records / TENSORBOARD_FOLDER))
            trainer = _Trainer(
                model=model,
                args=arguments,
                data_collator=collate,
                train_dataset=loader.dataset,
                eval_dataset=held_out,
                compute_metrics=partial(_validation_scores, labels=labels),
                compute_loss_func=_make_loss(labels.class_weights(config.class_weights), device=arguments.device),
                callbacks=callbacks,
            )
            trainer.loader = loader
            # where batches of an epoch are skipped, transformers does not tell fresh cells which epoch it is
            loader.set_epoch((checkpoints.step or 0) // steps_per_epoch)
            # prints every log as a dictionary on standard output
            trainer.remove_callback(PrinterCallback)
            # all processes were seeded alike; their cells are others, and so shall be what dropout drops
            torch.manual_seed(config.seed + processes.rank)
            trainer.train(resume_from_checkpoint=None if checkpoints.last is None else str(checkpoints.last))
        # the first process may remove the checkpoints when all have the best weights
        processes.wait()
        # for mixed precision accelerate has put a forward of its own in the model's place
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
        attention = without_flash_attention(model)
    epoch_scores, curve = history(trainer.state.log_history, validated=validated)
    best = max(epoch_scores, key=lambda epoch: epoch.get("validation_macro_f1", epoch["epoch"]))
    return TransformerFit(
        history=epoch_scores,
        loss_curve=curve,
        best_epoch=int(best["epoch"]),
        stopped_early=len(epoch_scores) < epochs,
        steps=trainer.state.global_step,
        warmup_steps=config.warmup(steps),
        trained_parameters=trained_parameters,
        device=str(arguments.device),
        precision="tf32" if place == "cuda" and precision == "float32" and _tf32() else precision,
        attention=attention,
        threads=threads,
        processes=processes.count,
        resumed_step=checkpoints.step,
    )


def _arguments(
    config: TransformerConfig, checkpoints: Checkpoints, *, epochs: int, steps: int, validate: bool
) -> TrainingArguments:
    on_cpu = pick_device(config.device) == "cpu"
    precision = pick_precision(config.precision, "cpu" if on_cpu else "cuda")
    each = "epoch" if validate else "no"
    arguments = TrainingArguments(
        output_dir=str(checkpoints.folder),
        num_train_epochs=epochs,
        # transformers 4 would count too few where the last step of an epoch is a short one
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
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
        bf16=precision == "bf16",
        eval_strategy=each,
        save_strategy=each,
        # complete checkpoints are removed by their keeper
        save_total_limit=None if checkpoints.complete else 1,
        save_only_model=not checkpoints.complete,
        restore_callback_states_from_checkpoint=True,
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
        # the loss of a step is the mean over the cells of all processes
        average_tokens_across_devices=True,
        ddp_find_unused_parameters=False,
    )
    # one device per process: DataParallel would multiply the batch size by the number of GPUs
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _training_loader(
    tokens: TokenDataset | SyntheticTokens,
    classes: npt.NDArray[np.int64] | None,
    config: TransformerConfig,
    *,
    processes: Processes,
    collate: Callable[..., dict[str, torch.Tensor]],
    pin_memory: bool,
) -> TrainingLoader | SyntheticLoader:
    """Return this process's batches of every epoch."""
    if isinstance(tokens, TokenDataset):
        cells = Cells(tokens, context=config.context, classes=classes)
        order = LengthGroupedSampler(
            cells.lengths,
            batch_size=config.cells_per_step * processes.count,
            seed=config.seed,
            balance=classes if config.sampling == "balanced" else None,
        )
        batches = ProcessBatches(
            order, batch_size=config.batch_size, accumulation=config.accumulation, processes=processes
        )
        return TrainingLoader(cells, batches, collate=collate, pin_memory=pin_memory)
    # on a CPU the training takes the processors that workers would need
    workers = 0 if pick_device(config.device) == "cpu" else _LOADER_WORKERS
    return tokens.batched(config.batch_size, context=config.context).loader(workers=workers, pin_memory=pin_memory)


class _Trainer(Trainer):
    """The Trainer with a loader that it is given."""

    loader: TrainingLoader | SyntheticLoader

    def get_train_dataloader(self) -> TrainingLoader | SyntheticLoader:
        # not prepared by accelerate, which deals whole batches, and repeats cells until every process has as many
        return self.loader

    def evaluation_loop(self, *args: Any, **options: Any) -> EvalLoopOutput:  # noqa: ANN401 - handed on as they are
        output = super().evaluation_loop(*args, **options)
        # the Trainer's own is that of batches, in which cells are repeated until every process has as many
        logits, labels = (torch.as_tensor(x, device=self.args.device) for x in (output.predictions, output.label_ids))
        assert self.compute_loss_func is not None
        assert output.metrics is not None
        output.metrics["eval_loss"] = self.compute_loss_func(SequenceClassifierOutput(logits=logits), labels).item()
        return output


def _make_loss(weights: npt.NDArray[np.float64] | None, *, device: torch.device) -> Callable[..., torch.Tensor]:
    """Return the loss of a batch: its cross-entropy, over the cells of all batches of the step.

    The Trainer leaves the mean over the batches of a step to BERT, which does not take it: gradients would be as many
    times too large.
    """
    weight = None if weights is None else torch.as_tensor(weights, dtype=torch.float32, device=device)

    def loss(
        outputs: SequenceClassifierOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        logits = cast("torch.Tensor", outputs.logits).float()
        total = functional.cross_entropy(logits, labels, weight=weight, reduction="sum")
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


class _Watch(TrainerCallback):
    """Moves the progress bar, closes the loss curve at each epoch's end, and stops a training that diverged."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._advance(state.global_step)

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
    return {name: getattr(scores, name) for name in VALIDATION_SCORES[1:]}


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


@contextmanager
def _mixed_precision(precision: Literal["float32", "bf16"]) -> Iterator[None]:
    """Let the configuration alone decide the precision, not a variable that a launcher or training before left."""
    name = "ACCELERATE_MIXED_PRECISION"
    before = os.environ.get(name)
    os.environ[name] = "bf16" if precision == "bf16" else "no"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _tf32() -> bool:
    try:
        return torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:
        # torch refuses to say where fp32_precision was set, its newer name
        return str(torch.backends.cuda.matmul.fp32_precision) == "tf32"
