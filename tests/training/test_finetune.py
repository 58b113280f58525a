"""Training, its run folder, and what is refused."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bulkgen.errors import LabelError, OutputExistsError, VocabularyMismatchError  # noqa: E402
from bulkgen.tokens import Vocabulary  # noqa: E402
from bulkgen.training import Scores, evaluate, finetune  # noqa: E402


def weights(result):
    return result.run.classifier.model.state_dict()


def test_the_loss_falls_and_the_score_beats_the_majority(tiny_run, test_cells):
    losses = [epoch["training_loss"] for epoch in tiny_run.history]
    assert losses[0] > 0.9
    assert losses[-1] < 0.5 * losses[0]
    scores = tiny_run.evaluate(test_cells)
    assert scores.balanced_accuracy > 0.9
    assert scores.majority["balanced_accuracy"] == pytest.approx(1 / 3)
    assert scores.majority["accuracy"] == 0.5


def test_every_epoch_is_scored_and_the_best_is_kept(tiny_run, validation_cells):
    assert [epoch["epoch"] for epoch in tiny_run.history] == [1, 2, 3, 4, 5, 6]
    by_epoch = [epoch["validation_macro_f1"] for epoch in tiny_run.history]
    best = int(np.argmax(by_epoch))
    assert tiny_run.facts["best_epoch"] == best + 1
    kept = tiny_run.evaluate(validation_cells)
    assert kept.to_dict() == tiny_run.validation.to_dict()
    assert kept.macro_f1 == pytest.approx(by_epoch[best])
    assert kept.accuracy == pytest.approx(tiny_run.history[best]["validation_accuracy"])
    assert kept.balanced_accuracy == pytest.approx(tiny_run.history[best]["validation_balanced_accuracy"])


def test_an_earlier_epoch_is_kept_if_it_scores_better(training_cells, validation_cells, quick, tokens):
    # shuffled labels cannot be told, so that the best epoch is one of chance (and the same every time)
    names = np.random.default_rng(0).permutation(validation_cells.label_values.astype(str))
    noisy = tokens([validation_cells.input_ids(i) for i in range(60)], labels=names.tolist())
    result = finetune(training_cells, validation=noisy, model="tiny", **quick)
    by_epoch = [epoch["validation_macro_f1"] for epoch in result.history]
    assert result.facts["best_epoch"] == int(np.argmax(by_epoch)) + 1 < len(by_epoch)
    assert result.evaluate(noisy).macro_f1 == pytest.approx(max(by_epoch))


def test_the_loss_curve_and_the_epochs_agree(tiny_run):
    curve = tiny_run.loss_curve
    assert curve[-1]["step"] == tiny_run.facts["steps"] == 6 * 10
    assert {"step", "epoch", "loss", "learning_rate"} == set(curve[0])
    first = [point["loss"] for point in curve if point["epoch"] <= 1]
    assert len(first) == 10
    assert tiny_run.history[0]["training_loss"] == pytest.approx(np.mean(first))
    rates = [point["learning_rate"] for point in curve]
    assert int(np.argmax(rates)) in range(15, 20)
    assert max(rates) == pytest.approx(5e-3, rel=0.01)
    assert rates[-1] < 1e-4


def test_a_small_training_set_is_trained_for_enough_steps(cells, quick):
    options = {name: value for name, value in quick.items() if name != "epochs"}
    result = finetune(cells(20), model="tiny", minimum_steps=21, **options)
    assert result.facts["steps"] == 22
    assert len(result.history) == 11


def test_without_validation_the_last_weights_are_kept(training_cells, quick):
    result = finetune(training_cells, model="tiny", **quick)
    assert result.validation is None
    assert result.path is None
    assert result.facts["best_epoch"] == 6
    assert "validation_macro_f1" not in result.history[0]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(training_cells, validation_cells, quick):
    options = {**quick, "epochs": 2}
    torch.manual_seed(0)
    first = finetune(training_cells, validation=validation_cells, model="tiny", rng=7, **options)
    torch.manual_seed(1)
    again = finetune(training_cells, validation=validation_cells, model="tiny", rng=7, **options)
    other = finetune(training_cells, validation=validation_cells, model="tiny", rng=8, **options)
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(first).items())
    assert first.history == again.history
    assert not torch.equal(weights(first)["classifier.weight"], weights(other)["classifier.weight"])


def test_dropout_follows_the_seed_too(training_cells, tmp_path, geneformer):
    folder = geneformer(tmp_path / "model", hidden_dropout_prob=0.3)
    options = {"epochs": 1, "learning_rate": 1e-3, "threads": 1}
    first, again, other = (finetune(training_cells, model=folder, rng=seed, **options) for seed in (1, 1, 2))
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(first).items())
    assert not torch.equal(weights(first)["classifier.weight"], weights(other)["classifier.weight"])


def test_training_leaves_the_global_random_states_and_threads_alone(training_cells, quick):
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()  # noqa: NPY002
    finetune(training_cells, model="tiny", **{**quick, "epochs": 1})
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), before[2])
    assert torch.get_num_threads() == threads


def test_training_prints_nothing(training_cells, validation_cells, quick, tmp_path, capfd):
    options = {**quick, "epochs": 1}
    finetune(training_cells, validation=validation_cells, model="tiny", out=tmp_path / "run", **options)
    assert capfd.readouterr() == ("", "")


def test_the_run_folder_holds_all_there_is_to_know(tiny_run, training_cells):
    files = {str(path.relative_to(tiny_run.path)) for path in tiny_run.path.rglob("*") if path.is_file()}
    assert files == {
        "run.json",
        "log.csv",
        "labels.json",
        "metrics.json",
        "vocabulary.json",
        "model/config.json",
        "model/model.safetensors",
    }
    run = json.loads((tiny_run.path / "run.json").read_text())
    assert run["kind"] == "tiny"
    assert run["config"] == tiny_run.config.model_dump(mode="json")
    assert run["config"]["seed"] != 5  # a hash of rng
    assert run["config"]["weight_decay"] == 0.01
    assert run["warmup_steps"] == 18
    assert run["training"]["cells_per_label"] == {"alpha": 75, "beta": 38, "gamma": 37}
    assert run["training"]["vocabulary"]["fingerprint"] == training_cells.vocabulary.fingerprint
    assert run["training"]["tokenize"] == training_cells.summary.to_dict()
    assert len(run["training"]["sha256"]) == 64
    assert run["training"]["sha256"] != run["validation"]["sha256"]
    assert {"python", "torch", "transformers", "numpy"} <= set(run["versions"])
    assert run["device"] == "cpu"
    assert run["threads"] == 1
    assert (run["precision"], run["attention"]) == ("float32", "sdpa")
    assert run["stopped_early"] is False
    assert run["trained_parameters"] == run["model"]["parameters"]
    labels = json.loads((tiny_run.path / "labels.json").read_text())
    assert labels["names"] == ["alpha", "beta", "gamma"]
    metrics = json.loads((tiny_run.path / "metrics.json").read_text())
    assert metrics["history"] == list(tiny_run.history)
    assert metrics["loss_curve"] == list(tiny_run.loss_curve)
    assert metrics["best_epoch"] == tiny_run.facts["best_epoch"]
    assert Scores.from_dict(metrics["validation"]).to_dict() == tiny_run.validation.to_dict()
    assert Vocabulary.load(tiny_run.path) == training_cells.vocabulary


@pytest.mark.parametrize("name", ["tiny_run", "linear_run"])
def test_a_stored_run_predicts_what_the_trained_one_did(name, request, test_cells):
    from bulkgen.training import predict

    run = request.getfixturevalue(name)
    stored = predict(run.path, test_cells)
    assert stored.labels == ("alpha", "beta", "gamma")
    np.testing.assert_array_equal(stored.probabilities, run.predict(test_cells).probabilities)
    np.testing.assert_allclose(stored.probabilities.sum(axis=1), 1)
    assert evaluate(run.path, test_cells).to_dict() == run.evaluate(test_cells).to_dict()


def test_data_sets_on_disk_are_trained_on_as_those_in_memory(training_cells, tmp_path):
    training_cells.save(tmp_path / "train.dataset")
    from_disk = finetune(tmp_path / "train.dataset", model="linear")
    from_memory = finetune(training_cells, model="linear")
    np.testing.assert_array_equal(from_disk.run.classifier.weights, from_memory.run.classifier.weights)
    assert from_disk.facts["training"]["source"] == str(tmp_path / "train.dataset")
    assert from_disk.facts["training"]["sha256"] == from_memory.facts["training"]["sha256"]


def test_special_tokens_survive_the_cut(cells, vocabulary, quick):
    data = cells(40, vocabulary=vocabulary(special=True))
    result = finetune(data, model="tiny", **{**quick, "context": 8, "epochs": 1})
    assert result.facts["training"]["cells_cut"] == 40
    assert result.run.classifier.model.config.max_position_embeddings == 8
    assert len(result.predict(data)) == 40


def test_a_diverging_training_stops(training_cells, quick, tmp_path):
    options = {**quick, "learning_rate": 1e30, "max_gradient_norm": 1e30}
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) at step \d+; use a lower learning_rate"):
        finetune(training_cells, model="tiny", out=tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten_unless_asked(training_cells, tmp_path):
    out = tmp_path / "run"
    finetune(training_cells, model="linear", out=out)
    with pytest.raises(OutputExistsError, match="exists"):
        finetune(training_cells, model="linear", out=out)
    finetune(training_cells, model="linear", out=out, overwrite=True, top_k=5)
    assert json.loads((out / "run.json").read_text())["config"]["top_k"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_validation_cells_must_fit_the_training_cells(training_cells, cells, tokens, vocabulary):
    with pytest.raises(VocabularyMismatchError, match="the validation tokens and the training tokens"):
        finetune(training_cells, validation=cells(30, vocabulary=vocabulary(59)), model="linear")
    with pytest.raises(LabelError, match=r"validation tokens have labels that training never saw: 'delta'"):
        finetune(training_cells, validation=tokens([[2]], labels=["delta"]), model="linear")
    with pytest.raises(ValueError, match="no validation cells"):
        finetune(training_cells, validation=tokens([], labels=[]), model="linear")


def test_a_subfolder_belongs_to_a_checkpoint(training_cells):
    with pytest.raises(ValueError, match="subfolder belongs to a checkpoint; model is 'tiny'"):
        finetune(training_cells, model="tiny", subfolder="x")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(training_cells):
    with pytest.raises(ValueError, match="torch finds no CUDA device"):
        finetune(training_cells, model="tiny", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_it_too(training_cells, validation_cells, quick):
    result = finetune(training_cells, validation=validation_cells, model="tiny", device="cuda", **quick)
    assert result.facts["device"] == "cuda:0"
    assert result.validation.balanced_accuracy > 0.9
