"""What a training records, and when it stops."""

from __future__ import annotations

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bulkgen.training import finetune  # noqa: E402


@pytest.fixture
def hopeless(validation_cells, tokens):
    """Validation cells whose labels cannot be told."""
    names = np.random.default_rng(0).permutation(validation_cells.label_values.astype(str))
    return tokens([validation_cells.input_ids(i) for i in range(len(names))], labels=names.tolist())


def test_the_log_has_a_line_per_epoch(tiny_run):
    rows = list(csv.DictReader((tiny_run.path / "log.csv").read_text().splitlines()))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == list(tiny_run.history)


def test_the_log_of_a_training_without_validation_has_its_losses(training_cells, quick, tmp_path):
    result = finetune(training_cells, model="tiny", out=tmp_path / "run", **{**quick, "epochs": 2})
    text = (tmp_path / "run" / "log.csv").read_text()
    assert text.splitlines()[0] == "epoch,training_loss"
    assert text.splitlines()[2] == f"2,{result.history[1]['training_loss']}"


def test_training_stops_when_it_no_longer_gets_better_and_keeps_the_best(training_cells, hopeless, quick):
    options = {**quick, "epochs": 40, "patience": 3}
    result = finetune(training_cells, validation=hopeless, model="tiny", **options)
    scores = [epoch["validation_macro_f1"] for epoch in result.history]
    assert len(scores) < 40
    assert result.facts["stopped_early"] is True
    assert result.facts["best_epoch"] == int(np.argmax(scores)) + 1 == len(scores) - 3
    assert result.facts["steps"] == 10 * len(scores)
    assert result.evaluate(hopeless).macro_f1 == pytest.approx(max(scores))
    # until then it is the training without patience, whose learning rate falls over as many steps
    patient = finetune(training_cells, validation=hopeless, model="tiny", **{**options, "patience": None})
    assert patient.history[: len(scores)] == result.history
    assert patient.facts["stopped_early"] is False


def test_patience_without_validation_cells_is_refused(training_cells, quick):
    with pytest.raises(ValueError, match="patience needs validation cells"):
        finetune(training_cells, model="tiny", patience=2, **quick)


def test_tensorboard_gets_losses_and_scores(training_cells, validation_cells, quick, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = {**quick, "epochs": 2, "tensorboard": True}
    result = finetune(training_cells, validation=validation_cells, model="tiny", out=tmp_path / "run", **options)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    scores = [event.value for event in events.Scalars("eval/macro_f1")]
    assert scores == pytest.approx([epoch["validation_macro_f1"] for epoch in result.history])
    assert len(events.Scalars("train/loss")) == len(result.loss_curve)


def test_tensorboard_needs_a_run_folder(training_cells, quick):
    pytest.importorskip("tensorboard")
    with pytest.raises(ValueError, match="tensorboard writes into the run folder"):
        finetune(training_cells, model="tiny", tensorboard=True, **quick)
