"""Evaluation of stored runs, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from bulkgen.errors import LabelError, VocabularyMismatchError
from bulkgen.training import evaluate, predict


@pytest.fixture(params=["tiny_run", "linear_run"])
def run(request):
    if request.param == "tiny_run":
        pytest.importorskip("torch")
    return request.getfixturevalue(request.param)


def test_tokens_of_another_vocabulary_are_refused(run, cells, vocabulary):
    with pytest.raises(VocabularyMismatchError, match="the tokens and the model use different vocabularies"):
        evaluate(run.path, cells(10, vocabulary=vocabulary(59)))


def test_tokens_of_another_context_are_refused(run, cells, vocabulary):
    with pytest.raises(VocabularyMismatchError, match=r"context \(128 against 64\)"):
        predict(run.path, cells(10, vocabulary=vocabulary(context=128)))


def test_labels_that_training_never_saw_are_refused(run, tokens):
    with pytest.raises(LabelError, match=r"labels that training never saw: 'omega' \(1 cells\)"):
        evaluate(run.path, tokens([[2, 3], [4]], labels=["alpha", "omega"]))


def test_unlabelled_tokens_are_refused_but_can_be_predicted(run, tokens):
    unlabelled = tokens([[2, 3], [18, 19, 20, 21, 22]])
    with pytest.raises(LabelError, match="the test tokens have no label"):
        evaluate(run.path, unlabelled)
    predicted = predict(run.path, unlabelled)
    assert predicted.names.tolist() == [predicted.labels[i] for i in predicted.classes]
    assert predicted.names[1] == "gamma"


def test_an_empty_test_set_is_refused(run, tokens):
    with pytest.raises(ValueError, match="no cell to test on"):
        evaluate(run.path, tokens([], labels=[]))


def test_the_order_of_cells_and_the_batch_size_do_not_matter(run, test_cells, tokens):
    order = np.random.default_rng(0).permutation(len(test_cells))
    shuffled = tokens([test_cells.input_ids(int(i)) for i in order], labels=test_cells.label_values[order].tolist())
    expected = predict(run.path, test_cells).probabilities[order]
    for batch_size in (1, 7, 1000):
        seen = predict(run.path, shuffled, batch_size=batch_size).probabilities
        np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_a_test_set_that_lacks_labels_is_scored_over_those_it_has(run, tokens, test_cells):
    rows = [i for i, name in enumerate(test_cells.label_values) if name != "beta"]
    some = tokens([test_cells.input_ids(i) for i in rows], labels=test_cells.label_values[rows].tolist())
    scores = evaluate(run.path, some)
    assert scores.present == ("alpha", "gamma")
    assert scores.confusion.shape == (3, 3)
    assert scores.balanced_accuracy == pytest.approx(
        (scores.per_class["alpha"]["recall"] + scores.per_class["gamma"]["recall"]) / 2
    )


def test_another_column_can_hold_the_true_labels(run, tokens, test_cells):
    rows = [test_cells.input_ids(i) for i in range(10)]
    hidden = tokens(rows, labels=test_cells.label_values[:10].tolist(), label=None)
    named = tokens(rows, labels=test_cells.label_values[:10].tolist())
    assert evaluate(run.path, hidden, label="kind").to_dict() == evaluate(run.path, named).to_dict()


def test_a_batch_size_below_one_is_refused(run, test_cells):
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        evaluate(run.path, test_cells, batch_size=0)


def test_what_is_no_run_is_refused(tmp_path, test_cells):
    with pytest.raises(FileNotFoundError, match="no run folder"):
        evaluate(tmp_path / "nowhere", test_cells)
    with pytest.raises(ValueError, match=r"not a complete run of bulkgen \(no run\.json"):
        evaluate(tmp_path, test_cells)
    (tmp_path / "run.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="not a run of bulkgen"):
        evaluate(tmp_path, test_cells)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ValueError, match="not a run of bulkgen"):
        evaluate(tmp_path, test_cells)


def test_a_damaged_run_says_so(run, tmp_path, test_cells):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    (copy / "labels.json").unlink()
    with pytest.raises(ValueError, match=r"the run folder is damaged: .*labels"):
        evaluate(copy, test_cells)
