"""The tiny model, and checkpoints through the real loading code of transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from bulkgen.errors import VocabularyMismatchError  # noqa: E402
from bulkgen.training import finetune  # noqa: E402
from bulkgen.training.checkpoints import load_checkpoint  # noqa: E402
from bulkgen.training.config import CheckpointConfig, TinyConfig  # noqa: E402
from bulkgen.training.model import (  # noqa: E402
    MeanPoolingBertForSequenceClassification,
    new_tiny,
    quiet_transformers,
)

LABELS = ("alpha", "beta", "gamma")


def change_weights(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def load(folder, vocabulary, *, labels=LABELS, subfolder=None, **options):
    config = CheckpointConfig(seed=3, **options)
    return load_checkpoint(str(folder), subfolder=subfolder, config=config, vocabulary=vocabulary(), labels=labels)


def encoder(model):
    return {name: value for name, value in model.state_dict().items() if name.startswith("bert.e")}


def test_tiny_has_the_architecture_of_the_recipe(vocabulary):
    model = new_tiny(TinyConfig(), vocabulary(), LABELS)
    config = model.config
    assert isinstance(model, MeanPoolingBertForSequenceClassification)
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 64, 2)
    assert (config.hidden_act, config.hidden_dropout_prob, config.attention_probs_dropout_prob) == ("relu", 0, 0)
    assert (config.vocab_size, config.max_position_embeddings, config.pad_token_id) == (62, 64, 0)
    assert new_tiny(TinyConfig(), vocabulary(context=2048), LABELS).config.max_position_embeddings == 512


def test_tiny_starts_from_its_seed_alone(vocabulary):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = new_tiny(TinyConfig(seed=1), vocabulary(), LABELS).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    again = new_tiny(TinyConfig(seed=1), vocabulary(), LABELS).state_dict()
    other = new_tiny(TinyConfig(seed=2), vocabulary(), LABELS).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_mean_pooling_does_not_see_padding(vocabulary):
    model = new_tiny(TinyConfig(), vocabulary(), LABELS).eval()
    ids = torch.tensor([[5, 6, 7]])
    padded = torch.tensor([[5, 6, 7, 0, 0]])
    with torch.inference_mode():
        expected = model(ids, torch.ones_like(ids)).logits
        seen = model(padded, torch.tensor([[1, 1, 1, 0, 0]])).logits
        hidden = model.bert(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        by_hand = model.classifier(hidden.mean(dim=1))
    torch.testing.assert_close(seen, expected)
    torch.testing.assert_close(expected, by_hand)


def test_a_pretrained_masked_language_model_gets_a_new_classifier(tmp_path, vocabulary, geneformer):
    folder = geneformer(tmp_path / "Geneformer-V1-10M")
    with quiet_transformers():
        pretrained = transformers.BertForMaskedLM.from_pretrained(folder)
    model, start = load(tmp_path, vocabulary, subfolder="Geneformer-V1-10M")
    assert type(model) is transformers.BertForSequenceClassification
    assert start.random_weights == ("pooler", "classifier")
    assert all(torch.equal(value, encoder(pretrained)[name]) for name, value in encoder(model).items())
    assert model.classifier.weight.shape == (3, 16)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.hidden_dropout_prob == 0.02


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_new_weights_are_a_function_of_the_seed(tmp_path, vocabulary, pooling, geneformer):
    folder = geneformer(tmp_path / "model")
    first, start = load(folder, vocabulary, pooling=pooling)
    torch.manual_seed(99)
    again, _ = load(folder, vocabulary, pooling=pooling)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert start.random_weights == (("pooler", "classifier") if pooling == "first" else ("classifier",))
    assert 0.01 < first.classifier.weight.std() < 0.03


def test_a_classifier_for_other_labels_is_started_anew_and_one_for_the_same_is_kept(tmp_path, vocabulary, geneformer):
    names = dict(enumerate(LABELS))
    folder = geneformer(tmp_path / "model", head="BertForSequenceClassification", id2label=names)
    stored = load_file(folder / "model.safetensors")
    kept, start = load(folder, vocabulary)
    assert start.random_weights == ()
    assert torch.equal(kept.classifier.weight, stored["classifier.weight"])
    assert torch.equal(kept.bert.pooler.dense.weight, stored["bert.pooler.dense.weight"])
    for labels in (("alpha", "beta"), ("alpha", "beta", "delta"), ("beta", "alpha", "gamma")):
        fresh, start = load(folder, vocabulary, labels=labels)
        assert start.random_weights == ("classifier",)
        assert fresh.classifier.weight.shape == (len(labels), 16)
        assert not torch.equal(fresh.classifier.weight[:2], stored["classifier.weight"][:2])
        assert torch.equal(fresh.bert.pooler.dense.weight, stored["bert.pooler.dense.weight"])


def test_half_precision_checkpoints_are_trained_in_float32(tmp_path, vocabulary, geneformer):
    folder = geneformer(tmp_path / "model")
    change_weights(folder, lambda weights: {name: value.half() for name, value in weights.items()})
    model, _ = load(folder, vocabulary)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_loading_a_checkpoint_says_nothing(tmp_path, vocabulary, capfd, geneformer):
    load(geneformer(tmp_path / "model"), vocabulary)
    assert capfd.readouterr() == ("", "")


def test_a_checkpoint_that_lacks_encoder_weights_is_refused(tmp_path, vocabulary, geneformer):
    folder = geneformer(tmp_path / "model")
    lost = "bert.encoder.layer.1.output.dense.weight"
    change_weights(folder, lambda weights: {name: value for name, value in weights.items() if name != lost})
    with pytest.raises(ValueError, match=f"lacks weights of the encoder .*{lost}"):
        load(folder, vocabulary)


def test_a_checkpoint_with_layers_that_its_config_does_not_have_is_refused(tmp_path, vocabulary, geneformer):
    folder = geneformer(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(ValueError, match=r"weights that fit nowhere .*bert\.encoder\.layer\.1"):
        load(folder, vocabulary)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"vocab_size": 61}, VocabularyMismatchError, "the model has 61 token ids, .*'toy' of 62"),
        ({"vocab_size": 70}, VocabularyMismatchError, "the model has 70 token ids, .*'toy' of 62"),
        ({"pad_token_id": 1}, VocabularyMismatchError, "<pad> is 1 in the model, but 0"),
        ({"max_position_embeddings": 63}, ValueError, r"is 64 tokens, but the model has 63 .*--context 63"),
    ],
)
def test_a_model_that_does_not_fit_the_tokens_is_refused(tmp_path, vocabulary, changes, error, message, geneformer):
    folder = geneformer(tmp_path / "model", **changes)
    with pytest.raises(error, match=message):
        load(folder, vocabulary)


def test_a_shorter_context_mends_too_few_positions(tmp_path, cells, geneformer):
    folder = geneformer(tmp_path / "model", max_position_embeddings=20)
    data = cells(30)
    with pytest.raises(ValueError, match="the model has 20 positions"):
        finetune(data, model=folder)
    with pytest.raises(ValueError, match="context is 21 tokens, but the model has 20"):
        finetune(data, model=folder, context=21)
    result = finetune(data, model=folder, context=20, epochs=1, threads=1)
    assert result.facts["training"]["cells_cut"] == (data.lengths > 20).sum() > 0
    assert result.predict(cells(10, seed=9)).probabilities.shape == (10, 3)


def test_the_vocabulary_beside_a_checkpoint_must_be_that_of_the_tokens(tmp_path, vocabulary, geneformer):
    folder = geneformer(tmp_path / "model", vocab_size=64)
    vocabulary().save(folder)
    # spare rows are allowed where the vocabulary is known to be the same
    model, _ = load(folder, vocabulary)
    assert model.config.vocab_size == 64
    vocabulary(59).save(folder, overwrite=True)
    with pytest.raises(VocabularyMismatchError, match=r"the tokens and the model .* use different vocabularies"):
        load(folder, vocabulary)


def test_a_run_can_be_tuned_further(tiny_run, training_cells, quick, cells):
    more = finetune(training_cells, model=tiny_run.path, pooling="mean", epochs=1, learning_rate=1e-9, threads=1)
    assert more.facts["model"]["random_weights"] == ()
    data = cells(20, seed=8)
    np.testing.assert_allclose(more.predict(data).probabilities, tiny_run.predict(data).probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("./nowhere", r"no checkpoint folder \./nowhere"),
        ("a/b/c", "no checkpoint folder a/b/c"),
    ],
)
def test_a_path_that_does_not_exist_is_not_looked_for_on_the_hub(training_cells, model, message):
    with pytest.raises(FileNotFoundError, match=message):
        finetune(training_cells, model=model)


def test_a_folder_without_a_model_and_a_file_are_refused(training_cells, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json.*--subfolder"):
        finetune(training_cells, model=tmp_path)
    (tmp_path / "model.bin").write_text("")
    with pytest.raises(FileNotFoundError, match="is a file"):
        finetune(training_cells, model=tmp_path / "model.bin")


def test_a_model_that_is_no_bert_is_refused(training_cells, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ValueError, match="is a 'gpt2'; bulkgen fine-tunes BERT"):
        finetune(training_cells, model=tmp_path)


def test_a_hub_that_cannot_be_reached_gives_one_clear_line(training_cells, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="'nobody/nothing' is no folder here, and could not be had") as caught:
        finetune(training_cells, model="nobody/nothing")
    assert "\n" not in str(caught.value)


def test_heads_must_divide_the_hidden_size(training_cells):
    with pytest.raises(ValueError, match="hidden_size 64 is not a multiple of heads 3"):
        finetune(training_cells, model="tiny", heads=3)
