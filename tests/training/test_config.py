"""Configurations and labels."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.errors import LabelError
from bulkgen.training.config import PRESETS, CheckpointConfig, TinyConfig, make_config, model_kind
from bulkgen.training.labels import LabelMap


def test_the_name_decides_the_kind():
    assert model_kind("linear") == "linear"
    assert model_kind("tiny") == "tiny"
    assert model_kind("ctheodoris/Geneformer") == model_kind("./tiny") == "checkpoint"


def test_checkpoints_are_tuned_as_geneformer_does_it():
    config = CheckpointConfig()
    assert (config.epochs, config.batch_size, config.learning_rate) == (10, 12, 5e-5)
    assert (config.schedule, config.warmup_steps, config.weight_decay) == ("linear", 500, 0.001)
    assert config.pooling == "first"
    assert config.context is None


def test_the_warm_up_is_the_shorter_of_share_and_steps():
    config = CheckpointConfig(warmup_fraction=0.3, warmup_steps=500)
    assert config.warmup(10_000) == 500
    assert config.warmup(1_000) == 300
    assert TinyConfig(warmup_fraction=0.25).warmup(10_000) == 2_500


def test_a_small_training_set_has_more_epochs_unless_epochs_were_asked_for():
    config = make_config("tiny", seed=0, options={"minimum_steps": 50})
    assert config.passes(1) == 50
    assert config.passes(6) == 9
    assert config.passes(7) == config.passes(1000) == 8
    chosen = make_config("tiny", seed=0, options={"epochs": 3})
    assert chosen.passes(1) == 3
    both = make_config("tiny", seed=0, options={"epochs": 3, "minimum_steps": 10})
    assert (both.passes(1), both.passes(5)) == (10, 3)
    assert CheckpointConfig().passes(1) == 10


def test_numpy_numbers_are_options_like_others():
    config = make_config("tiny", seed=0, options={"epochs": np.int64(3), "learning_rate": np.float64(0.1)})
    assert config.epochs == 3
    assert config.learning_rate == 0.1


def test_options_change_a_preset_and_leave_it_alone():
    config = make_config("tiny", seed=4, options={"epochs": 2})
    assert config.epochs == 2
    assert config.seed == 4
    assert config.batch_size == PRESETS["tiny"].batch_size
    assert PRESETS["tiny"].epochs == TinyConfig().epochs != 2


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("linear", {"epochs": 3}, "'linear' has no option epochs; it has"),
        ("tiny", {"top_k": 3}, "'tiny' has no option top_k"),
        ("checkpoint", {"layers": 3, "heads": 2}, "a checkpoint has no option heads, layers"),
        ("tiny", {"seed": 3}, "no option seed"),
        ("linear", {"accumulation": 2, "sampling": "balanced"}, "'linear' has no option accumulation, sampling"),
        ("linear", {"precision": "bf16", "lora_rank": 2, "patience": 1}, "no option lora_rank, patience, precision"),
    ],
)
def test_options_of_another_model_are_refused(kind, options, message):
    with pytest.raises(TypeError, match=message):
        make_config(kind, seed=0, options=options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tiny", {"epochs": 0}, "epochs: .*got 0"),
        ("tiny", {"learning_rate": float("nan")}, "learning_rate: .*got nan"),
        ("tiny", {"schedule": "wavy"}, "schedule: .*got 'wavy'"),
        ("tiny", {"context": 2}, "context: "),
        ("linear", {"inverse_regularization": 0.0}, "inverse_regularization: "),
        ("checkpoint", {"device": "tpu"}, "device: "),
        ("tiny", {"accumulation": 0}, "accumulation: "),
        ("tiny", {"precision": "fp16"}, "precision: .*got 'fp16'"),
        ("tiny", {"freeze_layers": -1}, "freeze_layers: "),
        ("tiny", {"lora_rank": 0}, "lora_rank: "),
        ("tiny", {"patience": 0}, "patience: "),
        ("linear", {"class_weights": {"a": 0.0}}, "class_weights.*greater than 0"),
        ("linear", {"class_weights": "wavy"}, "class_weights.*'balanced'.*got 'wavy'"),
        ("tiny", {"lora_alpha": 4}, "^lora_alpha and lora_dropout belong to lora_rank, which is not given$"),
        ("tiny", {"sampling": "balanced", "class_weights": "balanced"}, "^sampling='balanced' and .* choose one$"),
    ],
)
def test_values_out_of_range_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        make_config(kind, seed=0, options=options)


def test_configurations_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        TinyConfig().epochs = 3


def test_classes_are_the_sorted_labels_of_the_training_cells(tokens):
    labels = LabelMap.from_tokens(tokens([[2]] * 4, labels=["z", "a", "z", "m"]))
    assert labels.names == ("a", "m", "z")
    assert labels.training_counts == (1, 1, 2)
    assert labels.majority == "z"
    assert labels.column == "kind"
    assert LabelMap.from_dict(labels.to_dict()) == labels


def test_labels_are_matched_by_name_not_by_place(tokens):
    labels = LabelMap.from_tokens(tokens([[2]] * 3, labels=["a", "b", "c"]))
    assert labels.classes(tokens([[2]] * 3, labels=["c", "b", "c"]), label=None, what="test").tolist() == [2, 1, 2]


def test_labels_that_training_never_saw_are_named(tokens):
    labels = LabelMap.from_tokens(tokens([[2]] * 2, labels=["a", "b"]))
    with pytest.raises(LabelError, match=r"test tokens have labels that training never saw: 'x' \(2 cells\), 'y' \(1"):
        labels.classes(tokens([[2]] * 4, labels=["x", "y", "x", "a"]), label=None, what="test")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "training tokens have no label"),
        (["a", None], "1 of 2 cells of the training tokens have no label in 'kind'"),
        (["a", "a"], "two labels or more; all have 'a'"),
        ([], "two labels or more; there are no cells"),
    ],
)
def test_training_needs_two_labels(tokens, labels, message):
    rows = [[2]] * (2 if labels is None else len(labels))
    with pytest.raises(LabelError, match=message):
        LabelMap.from_tokens(tokens(rows, labels=labels))


def test_a_column_can_stand_for_the_label(tokens):
    data = tokens([[2]] * 2, labels=["a", "b"], label=None)
    assert LabelMap.from_tokens(data, label="kind").names == ("a", "b")
    with pytest.raises(LabelError, match="no column 'sort'; they have length, cell_id, kind"):
        LabelMap.from_tokens(data, label="sort")
