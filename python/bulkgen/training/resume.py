"""An interrupted training goes on from its last checkpoint, to the weights that it would have had anyway."""

# transformers is typed in part only
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import transformers
from filelock import FileLock, Timeout
from transformers import TrainerCallback

from bulkgen.errors import ResumeError
from bulkgen.io.atomic import atomic_file, sync_folder
from bulkgen.training.distributed import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from bulkgen.training.model import SequenceClassifier

__all__ = [
    "CheckpointKeeper",
    "Checkpoints",
    "PartialRun",
    "check_resumable",
    "partial_path",
    "partial_run",
    "weights_sha256",
]

_TRAINING_FILE = "training.json"
_LOCK_FILE = "lock"
_RECORDS_FOLDER = "records"
#: The Trainer's own names.
_CHECKPOINT = "checkpoint-"
_STATE_FILE = "trainer_state.json"
#: Says that all files of a checkpoint are on the disk.
_SEAL = "complete"
_DIFFERENCES_SHOWN = 5
#: transformers 4 counts epochs by whole steps, and goes on in the wrong place where the last one is short of batches.
_RESUMES_SHORT_STEPS = int(transformers.__version__.partition(".")[0]) >= 5


@dataclass(frozen=True)
class Checkpoints:
    """Where a training puts its checkpoints.

    Attributes
    ----------
    folder
        The folder, the same for every process.
    complete
        Whether they hold all that a training needs to go on, or only weights to choose the best from.
    every_steps
        Least steps from one to the next within an epoch; ``None`` for the ends of epochs alone.
    last
        The one to go on from.
    """

    folder: Path
    complete: bool = False
    every_steps: int | None = None
    last: Path | None = None

    @property
    def step(self) -> int | None:
        """Steps that were made until the last checkpoint."""
        return None if self.last is None else _step(self.last)

    @property
    def stopped(self) -> bool:
        """Whether the training had come to its end there, be it an early one."""
        if self.last is None:
            return False
        state = json.loads((self.last / _STATE_FILE).read_text(encoding="utf-8"))
        return bool(state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"])


class CheckpointKeeper(TrainerCallback):
    """Has the Trainer save checkpoints to go on from, seals them, and keeps the latest and the best.

    Within an epoch they are saved only where the loss curve has a point: the losses since the last point are in no
    checkpoint, and would be missing from the history.

    Parameters
    ----------
    checkpoints
        Where, and how often.
    processes
        The processes that train; each saves its random state.
    steps_per_epoch
        Steps of the optimizer in an epoch.
    """

    def __init__(self, checkpoints: Checkpoints, *, processes: Processes, steps_per_epoch: int) -> None:
        self._checkpoints = checkpoints
        self._processes = processes
        self._steps_per_epoch = steps_per_epoch
        self._saved = checkpoints.step or 0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Save between the ends of epochs."""
        every = self._checkpoints.every_steps
        # the end of an epoch is saved after its validation
        within = state.global_step % self._steps_per_epoch != 0
        if every is not None and within and control.should_log and state.global_step - self._saved >= every:
            control.should_save = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Save the end of an epoch."""
        control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Seal the checkpoint, and remove those that nothing needs any more."""
        self._saved = state.global_step
        # until every process has saved its random state
        self._processes.wait()
        if not self._processes.first:
            return
        latest = self._checkpoints.folder / f"{_CHECKPOINT}{state.global_step}"
        sync_folder(latest)
        (latest / _SEAL).touch()
        sync_folder(latest)
        needed = {latest.name, Path(state.best_model_checkpoint or latest).name}
        for checkpoint in _all(self._checkpoints.folder):
            if checkpoint.name not in needed:
                _remove(checkpoint)


@dataclass(frozen=True)
class PartialRun:
    """The folder beside a run folder that holds a training until it is finished.

    Attributes
    ----------
    folder
        The folder.
    processes
        The processes that train.
    """

    folder: Path
    processes: Processes

    @property
    def records(self) -> Path:
        """Folder for the logs of all sessions."""
        return self.folder / _RECORDS_FOLDER

    def begin(self, training: Mapping[str, object], *, every_steps: int | None) -> Checkpoints:
        """Begin a training, or go on with it.

        Parameters
        ----------
        training
            All that determines the result, for JSON.
        every_steps
            See :class:`Checkpoints`.

        Raises
        ------
        ResumeError
            If the folder holds another training.
        """
        last = None
        if self.processes.first:
            self._check_same(training)
            for checkpoint in _all(self.folder):
                if not (checkpoint / _SEAL).is_file():
                    _remove(checkpoint)
            last = max(_all(self.folder), key=_step, default=None)
            if last is not None:
                _correct_place(last)
            self.records.mkdir(exist_ok=True)
        return Checkpoints(self.folder, complete=True, every_steps=every_steps, last=self.processes.share(last))

    def _check_same(self, training: Mapping[str, object]) -> None:
        file = self.folder / _TRAINING_FILE
        if not file.is_file():
            with atomic_file(file) as temporary:
                temporary.write_text(json.dumps(training, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            return
        before = _flat(json.loads(file.read_text(encoding="utf-8")))
        now = _flat(json.loads(json.dumps(training)))
        differences = [
            f"{name} {before.get(name, 'absent')} then, {now.get(name, 'absent')} now"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        if differences:
            more = len(differences) - _DIFFERENCES_SHOWN
            raise ResumeError(
                f"{self.folder} holds an interrupted training that was another one: "
                f"{'; '.join(differences[:_DIFFERENCES_SHOWN])}{f'; and {more} more' if more > 0 else ''}. Repeat "
                f"its command, choose another output, or give it up with: rm -r {self.folder}"
            )


def partial_path(out: str | Path) -> Path:
    """Return the folder of the interrupted training of a run folder."""
    # the best checkpoint is known by its path, which must not depend on the current folder
    path = Path(out).absolute()
    return path.with_name(f".{path.name}.partial")


@contextmanager
def partial_run(out: str | Path, *, processes: Processes) -> Iterator[PartialRun]:
    """Yield the folder of the training of a run folder; it is removed when the body has finished.

    An exception or a signal that cannot be caught leaves it, if there is a checkpoint in it.

    Parameters
    ----------
    out
        The run folder; it has to exist when the body has finished.
    processes
        The processes that train.

    Raises
    ------
    ResumeError
        If another training of this run folder is running.
    """
    folder = partial_path(out)
    if not processes.first:
        yield PartialRun(folder, processes)
        return
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ResumeError(f"another process is training into {out}; wait for it, or choose another output") from None
    finished = False
    try:
        yield PartialRun(folder, processes)
        finished = True
    except KeyboardInterrupt:
        if _any_sealed(folder):
            raise KeyboardInterrupt(f"the checkpoint in {folder} was kept; go on with --resume") from None
        raise
    finally:
        lock.release()
        if finished or not _any_sealed(folder):
            shutil.rmtree(folder, ignore_errors=True)


def check_resumable(batches: int, *, accumulation: int) -> None:
    """Refuse what the installed transformers would resume to other weights.

    Parameters
    ----------
    batches
        Batches of an epoch.
    accumulation
        Batches of a step.

    Raises
    ------
    ValueError
        If an epoch ends with a step of fewer batches.
    """
    if batches % accumulation and not _RESUMES_SHORT_STEPS:
        raise ValueError(
            f"transformers {transformers.__version__} cannot resume epochs of {batches} batches with accumulation="
            f"{accumulation}, which does not divide them; pip install 'transformers>=5', or use accumulation=1"
        )


def weights_sha256(model: SequenceClassifier) -> str:
    """Return a hash of the names and values of a model's weights."""
    digest = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _all(folder: Path) -> list[Path]:
    return list(folder.glob(f"{_CHECKPOINT}*"))


def _any_sealed(folder: Path) -> bool:
    return any((checkpoint / _SEAL).is_file() for checkpoint in _all(folder))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(_CHECKPOINT))


def _remove(checkpoint: Path) -> None:
    # first the seal: what is removed in part must not pass for complete
    (checkpoint / _SEAL).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def _correct_place(checkpoint: Path) -> None:
    """Tell the Trainer where the best checkpoint is now; it would train on without one that was moved."""
    file = checkpoint / _STATE_FILE
    state = json.loads(file.read_text(encoding="utf-8"))
    best = state["best_model_checkpoint"]
    if best is not None and Path(best).parent != checkpoint.parent:
        state["best_model_checkpoint"] = str(checkpoint.parent / Path(best).name)
        with atomic_file(file, overwrite=True) as temporary:
            temporary.write_text(json.dumps(state), encoding="utf-8")


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Name nested entries by their path."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(cast("dict[str, object]", value), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
