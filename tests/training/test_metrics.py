"""Scores against hand-calculated values and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from bulkgen.training.metrics import Scores, score

LABELS = ("a", "b", "c", "d")


def pairs(classes=4):
    return st.integers(1, 60).flatmap(
        lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, classes - 1)) for _ in range(2)])
    )


def confused(confusion):
    true, predicted = (np.repeat(places.ravel(), np.ravel(confusion)) for places in np.indices(np.shape(confusion)))
    return score(true, predicted, labels=LABELS[: len(confusion)], majority="a")


def test_margin_of_the_balanced_accuracy_is_the_binomial_one():
    margin = confused([[50, 50, 0], [50, 50, 0], [0, 50, 50]]).balanced_accuracy_margin
    assert margin == pytest.approx(1.96 * 0.05 / np.sqrt(3), rel=1e-9)
    # a label without test cells says nothing
    assert confused([[50, 50, 0], [50, 50, 0], [0, 0, 0]]).balanced_accuracy_margin == pytest.approx(
        1.96 * 0.05 / np.sqrt(2), rel=1e-9
    )
    assert 0.0 < confused([[10, 0, 0], [0, 10, 0], [0, 0, 10]]).balanced_accuracy_margin < 0.15


def test_scores_are_the_hand_calculated_ones():
    # a: 2 of 3 right; b: 1 of 2 right; one cell of a goes to b, the other of b to c
    scores = score(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2]), labels=("a", "b", "c"), majority="b")
    assert scores.n == 5
    assert scores.accuracy == 3 / 5
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores.macro_f1 == pytest.approx((4 / 5 + 1 / 2) / 2)
    assert scores.per_class["a"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "support": 3}
    assert scores.per_class["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert scores.per_class["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert scores.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]
    # every cell called b: 2 of 5 right, recall 0 and 1, F1 0 and 2·2/(2 + 5)
    assert scores.majority["label"] == "b"
    assert scores.majority["accuracy"] == 2 / 5
    assert scores.majority["balanced_accuracy"] == 1 / 2
    assert scores.majority["macro_f1"] == pytest.approx((0 + 4 / 7) / 2)
    assert scores.present == ("a", "b")
    assert scores.chance == 1 / 2


def test_a_majority_label_that_the_test_set_lacks_scores_nothing():
    scores = score(np.array([1, 1, 2]), np.array([1, 2, 2]), labels=("a", "b", "c"), majority="a")
    assert scores.majority == {"label": "a", "accuracy": 0.0, "balanced_accuracy": 0.0, "macro_f1": 0.0}


@given(pairs(), st.sampled_from(LABELS))
def test_scores_are_those_of_scikit_learn(values, majority):
    true, predicted = values
    scores = score(true, predicted, labels=LABELS, majority=majority)
    present = np.unique(true)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        true, predicted, labels=range(4), zero_division=0.0
    )
    for i, label in enumerate(LABELS):
        expected = {"precision": precision[i], "recall": recall[i], "f1": f1[i], "support": support[i]}
        assert scores.per_class[label] == pytest.approx(expected)
    assert scores.accuracy == pytest.approx(sk.accuracy_score(true, predicted))
    assert scores.balanced_accuracy == pytest.approx(sk.recall_score(true, predicted, labels=present, average="macro"))
    assert scores.macro_f1 == pytest.approx(
        sk.f1_score(true, predicted, labels=present, average="macro", zero_division=0.0)
    )
    assert np.array_equal(scores.confusion, sk.confusion_matrix(true, predicted, labels=range(4)))
    constant = np.full_like(true, LABELS.index(majority))
    assert scores.majority["accuracy"] == pytest.approx(sk.accuracy_score(true, constant))
    assert scores.majority["macro_f1"] == pytest.approx(
        sk.f1_score(true, constant, labels=present, average="macro", zero_division=0.0)
    )


@given(pairs())
def test_scores_survive_json(values):
    scores = score(*values, labels=LABELS, majority="c")
    text = json.dumps(scores.to_dict(), allow_nan=False)
    again = Scores.from_dict(json.loads(text))
    assert again.to_dict() == scores.to_dict()
    assert json.dumps(again.to_dict()) == text


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([0, 1], [0], "one length"),
        ([], [], "no cell to score"),
        ([0, 4], [0, 0], "true holds classes from 0 to 4"),
        ([0, 1], [0, -1], "predicted holds classes from -1"),
    ],
)
def test_what_cannot_be_scored_is_refused(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        score(np.array(true, dtype=int), np.array(predicted, dtype=int), labels=LABELS, majority="a")
