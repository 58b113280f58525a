"""Which weights a training moves: frozen layers and low-rank adapters."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bulkgen.errors import MissingExtraError  # noqa: E402
from bulkgen.training import TinyConfig, finetune, predict  # noqa: E402
from bulkgen.training.adaptation import adapted  # noqa: E402
from bulkgen.training.model import new_tiny  # noqa: E402

LABELS = ("alpha", "beta", "gamma")
ADAPTED = ("query.weight", "key.weight", "value.weight", "dense.weight")


def changes(result, vocabulary):
    """The trained weights, less those of the start."""
    start = new_tiny(result.config, vocabulary, LABELS).state_dict()
    trained = result.run.classifier.model.state_dict()
    assert start.keys() == trained.keys()
    return {name: trained[name] - start[name] for name in start}


@pytest.fixture
def short(quick):
    return {**quick, "epochs": 2}


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_frozen_layers_stay_and_all_others_move(training_cells, short, layers):
    result = finetune(training_cells, model="tiny", freeze_layers=layers, **short)
    frozen = ("bert.embeddings.", *(f"bert.encoder.layer.{i}." for i in range(layers)))
    for name, change in changes(result, training_cells.vocabulary).items():
        # the softmax of attention does not see a bias of the keys
        if not name.endswith("key.bias"):
            assert bool(change.any()) != name.startswith(frozen), name
    model = result.run.classifier.model
    kept = sum(value.numel() for name, value in model.named_parameters() if name.startswith(frozen))
    assert result.facts["trained_parameters"] == result.facts["model"]["parameters"] - kept
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_more_layers_than_there_are_cannot_be_frozen(training_cells, short):
    with pytest.raises(ValueError, match="freeze_layers is 3, but the model has 2 layers"):
        finetune(training_cells, model="tiny", freeze_layers=3, **short)


def test_lora_changes_the_linear_maps_of_the_layers_by_its_rank_and_the_classifier(training_cells, short):
    pytest.importorskip("peft")
    result = finetune(training_cells, model="tiny", lora_rank=3, **short)
    for name, change in changes(result, training_cells.vocabulary).items():
        if name.startswith("bert.encoder.") and name.endswith(ADAPTED):
            # a sum in float32 rounds: what is not of the rank is of the order of 1e-7
            assert torch.linalg.matrix_rank(change, atol=1e-5) == 3, name
        elif name.startswith("classifier."):
            assert change.any()
        else:
            assert not change.any(), name
    shapes = 4 * (32 + 32) + 2 * (32 + 32)
    assert result.facts["trained_parameters"] == 2 * 3 * shapes + 32 * 3 + 3


def test_lora_and_frozen_layers_adapt_the_others_alone(training_cells, short):
    pytest.importorskip("peft")
    result = finetune(training_cells, model="tiny", lora_rank=3, freeze_layers=1, gradient_checkpointing=True, **short)
    moved = {name for name, change in changes(result, training_cells.vocabulary).items() if change.any()}
    assert {name for name in moved if name.startswith("bert")} == {
        f"bert.encoder.layer.1.{part}.weight"
        for part in (
            *(f"attention.self.{name}" for name in ("query", "key", "value")),
            *("attention.output.dense", "intermediate.dense", "output.dense"),
        )
    }


def test_merged_adapters_predict_what_they_did_beside_the_weights(training_cells):
    pytest.importorskip("peft")
    config = TinyConfig(lora_rank=4, lora_alpha=2)
    model = new_tiny(config, training_cells.vocabulary, LABELS).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        start = model(ids, torch.ones_like(ids)).logits
        with adapted(model, config):
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.2
            beside = model(ids, torch.ones_like(ids)).logits
        merged = model(ids, torch.ones_like(ids)).logits
    torch.testing.assert_close(merged, beside, rtol=1e-5, atol=1e-5)
    assert (start - merged).abs().max() > 0.1


def test_lora_tunes_a_checkpoint_and_its_seed_decides_its_weights(tiny_run, cells, quick):
    pytest.importorskip("peft")
    # labels that the checkpoint does not know: a new classifier on its encoder
    training, test = (cells(n, seed=seed, labels=("one", "two", "three")) for n, seed in ((150, 1), (80, 3)))
    options = {"pooling": "mean", "epochs": 4, "batch_size": 16, "learning_rate": 5e-3, "threads": 1, "lora_rank": 4}
    first, again, other = (finetune(training, model=tiny_run.path, rng=seed, **options) for seed in (1, 1, 2))
    assert first.facts["trained_parameters"] < first.facts["model"]["parameters"] / 4
    assert first.evaluate(test).balanced_accuracy > 0.9
    probabilities = [run.predict(test).probabilities for run in (first, again, other)]
    assert np.array_equal(probabilities[0], probabilities[1])
    assert not np.array_equal(probabilities[0], probabilities[2])


def test_a_run_with_lora_keeps_the_best_epoch_and_loads_without_peft(
    training_cells, validation_cells, test_cells, quick, tmp_path
):
    pytest.importorskip("peft")
    out = tmp_path / "run"
    result = finetune(training_cells, validation=validation_cells, model="tiny", out=out, lora_rank=4, **quick)
    best = max(epoch["validation_macro_f1"] for epoch in result.history)
    assert result.validation.macro_f1 == pytest.approx(best)
    test_cells.save(tmp_path / "test.dataset")
    code = f"""
import sys
sys.modules["peft"] = None
import numpy, bulkgen.training
found = bulkgen.training.predict({str(out)!r}, {str(tmp_path / "test.dataset")!r})
numpy.save({str(tmp_path / "found.npy")!r}, found.probabilities)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    # kernels of torch differ by how memory is aligned
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), predict(out, test_cells).probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "package", "extra"), [({"lora_rank": 4}, "peft", "lora"), ({"tensorboard": True}, *["tensorboard"] * 2)]
)
def test_options_that_need_another_package_say_so(training_cells, monkeypatch, tmp_path, options, package, extra):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(MissingExtraError, match=rf"needs the package '{package}'.*'bulkgen\[{extra}\]'"):
        finetune(training_cells, model="tiny", out=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []
