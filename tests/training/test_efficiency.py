"""Accumulation, recomputed activations, precision and attention: other ways to the same weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bulkgen.training import TinyConfig, finetune, predict  # noqa: E402
from bulkgen.training.device import cpu_threads, pick_precision  # noqa: E402
from bulkgen.training.model import activations_computed_again, check_attention, new_tiny  # noqa: E402

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def weights(result):
    return result.run.classifier.model.state_dict()


def same(first, second):
    return all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())


def test_torch_keeps_within_the_cpus_available(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr("bulkgen.training.device.available_threads", lambda: 1)
    with cpu_threads(None) as threads:
        assert threads == torch.get_num_threads() == 1
    with cpu_threads(2) as threads:
        assert threads == 2
    assert torch.get_num_threads() == before


def test_two_batches_of_16_train_as_one_of_32(training_cells, validation_cells, quick):
    # the last step of an epoch has 22 cells: a batch of 16 and one of 6
    options = {**quick, "epochs": 4}
    whole = finetune(training_cells, validation=validation_cells, model="tiny", **{**options, "batch_size": 32})
    parts = finetune(
        training_cells, validation=validation_cells, model="tiny", **{**options, "batch_size": 16, "accumulation": 2}
    )
    assert parts.facts["steps"] == whole.facts["steps"] == 4 * 5
    for name in ("loss", "learning_rate"):
        np.testing.assert_allclose(
            [point[name] for point in parts.loss_curve], [point[name] for point in whole.loss_curve], rtol=1e-4
        )
    # gradients differ by rounding, about 1e-7 of their size; in 20 steps of at most 0.005 AdamW keeps that below
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=0, atol=1e-4)
    assert parts.validation.to_dict() == whole.validation.to_dict()


def test_recomputed_activations_give_the_same_bits_with_dropout_too(training_cells, tmp_path, geneformer):
    folder = geneformer(tmp_path / "model", hidden_dropout_prob=0.3)
    options = {"epochs": 1, "learning_rate": 1e-3, "threads": 1}
    plain = finetune(training_cells, model=folder, **options)
    again = finetune(training_cells, model=folder, gradient_checkpointing=True, **options)
    assert again.history == plain.history
    assert same(again, plain)


def test_layers_are_computed_again_for_the_gradient_and_only_then(vocabulary):
    model = new_tiny(TinyConfig(), vocabulary(), ("a", "b")).train()
    computed = []
    model.bert.encoder.layer[0].attention.register_forward_hook(lambda *_: computed.append(1))
    ids = torch.tensor([[5, 6, 7]])

    def passes():
        computed.clear()
        model(ids, torch.ones_like(ids)).logits.sum().backward()
        return len(computed)

    assert passes() == 1
    with activations_computed_again(model):
        assert passes() == 2
    assert passes() == 1


def test_eager_attention_computes_what_sdpa_does_and_is_recorded(training_cells, test_cells, quick, tmp_path):
    options = {**quick, "epochs": 2}
    sdpa = finetune(training_cells, model="tiny", attention="sdpa", **options)
    eager = finetune(training_cells, model="tiny", attention="eager", out=tmp_path / "run", **options)
    assert (sdpa.facts["attention"], eager.facts["attention"]) == ("sdpa", "eager")
    expected = sdpa.predict(test_cells).probabilities
    np.testing.assert_allclose(eager.predict(test_cells).probabilities, expected, atol=1e-3)
    np.testing.assert_array_equal(
        predict(tmp_path / "run", test_cells).probabilities, eager.predict(test_cells).probabilities
    )


@pytest.mark.parametrize(("device", "precision"), [("cpu", "float32"), ("cpu", "bf16"), ("cuda", "float32")])
def test_flash_attention_wants_cuda_and_bf16(device, precision):
    with pytest.raises(ValueError, match=f"runs in {precision} on {device}; use attention='sdpa'"):
        check_attention("flash_attention_2", device=device, precision=precision)


def test_flash_attention_wants_its_package(monkeypatch):
    monkeypatch.setattr("bulkgen.training.model.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install flash-attn"):
        check_attention("flash_attention_2", device="cuda", precision="bf16")


def test_flash_attention_on_a_cpu_is_refused_before_anything_is_made(training_cells, tmp_path):
    with pytest.raises(ValueError, match="'flash_attention_2', which computes in bf16 on CUDA"):
        finetune(training_cells, model="tiny", attention="flash_attention_2", device="cpu", out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_bf16_learns_on_a_cpu_and_keeps_weights_in_float32(training_cells, test_cells, quick, tmp_path):
    result = finetune(
        training_cells, model="tiny", precision="bf16", device="cpu", out=tmp_path / "run", **quick, rng=5
    )
    assert result.facts["precision"] == "bf16"
    assert result.evaluate(test_cells).balanced_accuracy > 0.9
    assert {value.dtype for value in weights(result).values() if value.is_floating_point()} == {torch.float32}
    # a stored run predicts in the precision it was trained in
    np.testing.assert_array_equal(
        predict(tmp_path / "run", test_cells).probabilities, result.predict(test_cells).probabilities
    )


def test_bf16_leaves_a_model_that_computes_in_float32_by_itself(training_cells, quick):
    model = finetune(training_cells, model="tiny", precision="bf16", **{**quick, "epochs": 1}).run.classifier.model
    kinds = set()
    model.bert.encoder.layer[0].register_forward_hook(lambda *given: kinds.add(torch.as_tensor(given[2][0]).dtype))
    ids = torch.tensor([[5, 6, 7]])
    model(ids, torch.ones_like(ids))
    assert kinds == {torch.float32}


def test_the_configuration_alone_decides_the_precision(training_cells, quick, monkeypatch):
    options = {**quick, "epochs": 1, "precision": "float32"}
    before = finetune(training_cells, model="tiny", **options)
    assert before.facts["precision"] == "float32"
    bf16 = finetune(training_cells, model="tiny", **{**options, "precision": "bf16"})
    assert not same(bf16, before)
    # as a launcher sets it
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert same(finetune(training_cells, model="tiny", **options), before)


def test_auto_is_float32_on_a_cpu():
    assert pick_precision("auto", "cpu") == "float32"
    assert pick_precision("bf16", "cpu") == "bf16"


def test_a_gpu_without_bf16_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    assert pick_precision("auto", "cuda") == "float32"
    with pytest.raises(ValueError, match="Tesla T4 does not compute with it; use precision='float32'"):
        pick_precision("bf16", "cuda")


@cuda
def test_auto_is_bf16_on_a_gpu_that_has_it(training_cells, validation_cells, quick):
    result = finetune(training_cells, validation=validation_cells, model="tiny", **quick)
    assert result.facts["precision"] == ("bf16" if torch.cuda.is_bf16_supported() else "float32")
    assert result.validation.balanced_accuracy > 0.9


@cuda
def test_flash_attention_learns_and_predicts_on_a_cpu_afterwards(training_cells, test_cells, quick):
    pytest.importorskip("flash_attn")
    result = finetune(training_cells, model="tiny", attention="flash_attention_2", **quick)
    assert result.facts["attention"] == "flash_attention_2"
    assert len(predict(result.run, test_cells, device="cpu")) == len(test_cells)


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="torch has no such setting")
@pytest.mark.parametrize(("set_to", "tf32"), [("tf32", True), ("ieee", False)])
def test_the_newer_name_of_tf32_does_not_fail_a_training_that_is_over(set_to, tf32):
    from bulkgen.training.trainer import _tf32

    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        # torch.get_float32_matmul_precision raises where the newer setting says otherwise
        matmul.fp32_precision = set_to
        assert _tf32() is tf32
    finally:
        matmul.fp32_precision = before
