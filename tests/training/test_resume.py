"""Interrupted trainings go on to the same end."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from filelock import FileLock  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import TrainerCallback  # noqa: E402

from bulkgen.errors import ResumeError  # noqa: E402
from bulkgen.training import finetune  # noqa: E402
from bulkgen.training import resume as resume_module  # noqa: E402
from bulkgen.training import trainer as trainer_module  # noqa: E402


class Interrupt(BaseException):
    """Ends a training as a signal does: nothing but clean-up code runs afterwards."""


@pytest.fixture
def interrupt(monkeypatch):
    """Let the next training end after a step, or on saving at a step."""

    def at(step, *, event="on_step_end"):
        class Watch(trainer_module._Watch):
            pass

        def end(self, args, state, control, **_):
            getattr(super(Watch, self), event)(args, state, control)
            if state.global_step >= step:
                raise Interrupt

        setattr(Watch, event, end)
        monkeypatch.setattr(trainer_module, "_Watch", Watch)

    yield at
    monkeypatch.undo()


def weights(out):
    return load_file(out / "model" / "model.safetensors")


def assert_same_run(one, other):
    """The same bits of weights, and the same scores."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(values, second[name]) for name, values in first.items())
    metrics = [json.loads((out / "metrics.json").read_text()) for out in (one, other)]
    assert metrics[0] == metrics[1]
    assert (one / "log.csv").read_text() == (other / "log.csv").read_text()


def interrupted(interrupt, monkeypatch, *steps, event="on_step_end", **arguments):
    """Train, interrupted after each of these steps in turn, and return the last result."""
    for step in steps:
        interrupt(step, event=event)
        with pytest.raises(Interrupt):
            finetune(resume=True, **arguments)
        monkeypatch.undo()
    return finetune(resume=True, **arguments)


@pytest.fixture
def arguments(training_cells, validation_cells, quick, tmp_path):
    # 150 cells: ten steps per epoch, the last of them a short one
    options = {**quick, "epochs": 4}
    return {"tokens": training_cells, "validation": validation_cells, "rng": 5, "out": tmp_path / "run", **options}


@pytest.fixture
def reference(arguments, tmp_path):
    """A training without an interruption, that knows nothing of checkpoints."""

    def train(**changes):
        return finetune(**{**arguments, **changes, "out": tmp_path / "reference"}).path

    return train


@pytest.mark.parametrize("steps", [(13,), (10, 25, 39), (3,)])
def test_a_resumed_training_has_the_weights_of_an_uninterrupted_one(
    arguments, reference, interrupt, monkeypatch, tmp_path, steps
):
    result = interrupted(interrupt, monkeypatch, *steps, **arguments)
    assert_same_run(result.path, reference())
    assert result.facts["resumed_step"] == {13: 10, 39: 30, 3: None}[steps[-1]]
    assert {path.name for path in tmp_path.iterdir()} == {"run", "reference"}


def test_within_an_epoch_the_batches_that_were_seen_are_skipped(arguments, reference, interrupt, monkeypatch, cells):
    # 510 cells: 32 steps per epoch, of which every third has a point of the loss curve
    changes = {"tokens": cells(510, seed=4), "epochs": 2}
    result = interrupted(interrupt, monkeypatch, 8, 21, 40, **{**arguments, **changes}, checkpoint_steps=5)
    assert result.facts["resumed_step"] == 39
    assert_same_run(result.path, reference(**changes))


def test_dropout_accumulation_balance_and_lack_of_validation_are_resumed_too(
    arguments, reference, interrupt, monkeypatch, tmp_path, geneformer
):
    changes = {
        "model": geneformer(tmp_path / "model", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2),
        "batch_size": 4,
        "accumulation": 3,
        "sampling": "balanced",
        "validation": None,
        "epochs": 2,
    }
    arguments = {**arguments, **changes}
    for name in ("hidden_size", "feed_forward_size"):
        del arguments[name]
    result = interrupted(interrupt, monkeypatch, 9, 19, **arguments, checkpoint_steps=1)
    assert result.facts["resumed_step"] == 18
    plain = finetune(**{**arguments, "out": tmp_path / "reference"})
    assert_same_run(result.path, plain.path)


def test_patience_counts_on_where_it_was(arguments, reference, interrupt, monkeypatch):
    # the best score comes soon and stays the best
    changes = {"epochs": 30, "patience": 3, "learning_rate": 2e-2}
    expected = reference(**changes)
    epochs = len(json.loads((expected / "metrics.json").read_text())["history"])
    assert epochs < 30
    # after the last epoch, when all is trained but nothing written, and one epoch before
    result = interrupted(
        interrupt, monkeypatch, 10 * (epochs - 1), 10 * epochs, event="on_save", **{**arguments, **changes}
    )
    assert result.facts["stopped_early"]
    assert_same_run(result.path, expected)


def test_a_training_that_was_over_but_not_written_is_not_trained_again(arguments, reference, interrupt, monkeypatch):
    interrupt(0, event="on_train_end")
    monkeypatch.setattr(trainer_module._Watch, "on_train_end", TrainerCallback.on_train_end, raising=False)
    assert_same_run(interrupted(interrupt, monkeypatch, 40, event="on_train_end", **arguments).path, reference())


def test_a_checkpoint_that_was_not_finished_is_left_out(arguments, reference, interrupt, monkeypatch, tmp_path):
    partial = tmp_path / ".run.partial"
    interrupt(25)
    with pytest.raises(Interrupt):
        finetune(resume=True, **arguments)
    monkeypatch.undo()
    torn = partial / "checkpoint-30"
    shutil.copytree(partial / "checkpoint-20", torn)
    (torn / "complete").unlink()
    (torn / "optimizer.pt").write_bytes(b"")
    result = finetune(resume=True, **arguments)
    assert result.facts["resumed_step"] == 20
    assert_same_run(result.path, reference())


def test_only_the_latest_and_the_best_checkpoint_are_kept(arguments, interrupt, tmp_path):
    interrupt(39)
    with pytest.raises(Interrupt):
        finetune(resume=True, **arguments)
    checkpoints = {path.name for path in (tmp_path / ".run.partial").glob("checkpoint-*")}
    assert "checkpoint-30" in checkpoints
    assert len(checkpoints) <= 2


def test_the_best_epoch_is_found_where_the_folder_was_moved(arguments, reference, interrupt, monkeypatch, tmp_path):
    # the learning rate is too high in the end, so that the best epoch is an early one
    changes = {"schedule": "constant", "learning_rate": 0.05, "epochs": 5}
    interrupt(45)
    with pytest.raises(Interrupt):
        finetune(resume=True, **{**arguments, **changes})
    monkeypatch.undo()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / ".run.partial", tmp_path / "elsewhere")
    result = finetune(resume=True, **{**arguments, **changes, "out": tmp_path / "elsewhere" / "run"})
    assert result.facts["best_epoch"] < 4
    assert_same_run(result.path, reference(**changes))


def test_another_training_is_refused_with_what_differs(arguments, interrupt, monkeypatch, tmp_path, cells):
    interrupt(12)
    with pytest.raises(Interrupt):
        finetune(resume=True, **arguments)
    monkeypatch.undo()
    for changes, message in (
        ({"learning_rate": 1e-3}, r"another one: config\.learning_rate 0\.005 then, 0\.001 now\. Repeat"),
        ({"tokens": cells(150, seed=9)}, r"training\.sha256 [0-9a-f]{64} then"),
        ({"validation": None}, r"validation\.cells 60 then, absent now; .*and \d+ more\. Repeat"),
        ({"rng": 6, "threads": 2}, r"config\.seed .*config\.threads 1 then, 2 now.*model\.sha256"),
    ):
        with pytest.raises(ResumeError, match=message):
            finetune(resume=True, **{**arguments, **changes})
    with pytest.warns(UserWarning, match=r"\.run\.partial holds an interrupted training"):
        finetune(**{**arguments, "epochs": 1})
    assert (tmp_path / ".run.partial" / "checkpoint-10").is_dir()


def test_two_processes_do_not_train_into_one_folder(arguments, tmp_path):
    (tmp_path / ".run.partial").mkdir()
    with FileLock(tmp_path / ".run.partial" / "lock"), pytest.raises(ResumeError, match="another process is training"):
        finetune(resume=True, **arguments)


def test_a_failure_without_a_checkpoint_leaves_nothing(arguments, tmp_path):
    with pytest.raises(ValueError, match="the loss became"):
        finetune(resume=True, **{**arguments, "learning_rate": 1e30})
    assert list(tmp_path.iterdir()) == []


def test_transformers_4_does_not_go_on_in_the_wrong_place(arguments, monkeypatch, tmp_path):
    monkeypatch.setattr(resume_module, "_RESUMES_SHORT_STEPS", False)
    arguments = {**arguments, "batch_size": 4, "accumulation": 3, "epochs": 1}
    with pytest.raises(ValueError, match="cannot resume epochs of 38 batches with accumulation=3"):
        finetune(resume=True, **arguments)
    assert list(tmp_path.iterdir()) == []
    finetune(resume=True, **{**arguments, "accumulation": 2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": None}, "name it with out="),
        ({"model": "linear"}, "'linear' has no checkpoints"),
        ({"checkpoint_steps": 0}, "must be 1 or more, got 0"),
        ({"checkpoint_steps": 5, "resume": False}, "belongs to resume"),
    ],
)
def test_what_cannot_be_resumed_is_refused(training_cells, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        finetune(training_cells, **{"out": tmp_path / "run", "resume": True, **changes})


@pytest.mark.slow
def test_kills_at_any_moment_change_nothing(training_cells, validation_cells, quick, tmp_path):
    training_cells.save(tmp_path / "train")
    validation_cells.save(tmp_path / "val")
    options = {"validation": tmp_path / "val", "model": "tiny", **quick, "batch_size": 4, "epochs": 12}
    # a server that has torch loaded, and forks
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["bulkgen.training.trainer", "bulkgen.training.checkpoints"])
    resumed = {**options, "resume": True, "checkpoint_steps": 1, "out": tmp_path / "run"}
    generator = np.random.default_rng(0)
    kills = 0
    while not (tmp_path / "run").exists():
        process = processes.Process(target=finetune, args=(tmp_path / "train",), kwargs=resumed)
        process.start()
        if kills < 10:
            # the first sign of work, whatever the machine has to do beside
            before = set(tmp_path.glob(".run.partial/checkpoint-*"))
            while process.is_alive() and set(tmp_path.glob(".run.partial/checkpoint-*")) <= before:
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.3))
            process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert process.exitcode in (0, -signal.SIGKILL)
    assert kills >= 5
    reference = finetune(tmp_path / "train", **options, out=tmp_path / "reference")
    assert_same_run(tmp_path / "run", reference.path)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["resumed_step"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"train", "val", "run", "reference"}


def test_an_interrupt_says_that_the_checkpoint_was_kept(training_cells, tmp_path):
    training_cells.save(tmp_path / "train")
    options = ["--epochs", "100000", "--threads", "1", "--resume", "-o", str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "bulkgen", "finetune", str(tmp_path / "train"), *options],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / ".run.partial").glob("checkpoint-*/complete")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no epoch was finished in time"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.strip().endswith(".run.partial was kept; go on with --resume")
    assert not (tmp_path / "run").exists()
