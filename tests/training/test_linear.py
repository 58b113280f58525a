"""Rank features and the logistic regression on them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from bulkgen.training import LinearConfig, finetune
from bulkgen.training.linear import LinearClassifier, rank_features

#: Makes the packages of the extra `train` look as if they were not installed.
WITHOUT_TORCH = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_other(name, path=None, target=None):
    absent = name.partition(".")[0] in ("torch", "transformers", "accelerate", "safetensors")
    return None if absent else find(name, path, target)
PathFinder.find_spec = find_other
"""


def plain_features(tokens, top_k, *, presence):
    """The definition, cell by cell and token by token."""
    special = set(tokens.vocabulary.special_tokens.values())
    features = np.zeros((len(tokens), tokens.vocabulary.size))
    for i in range(len(tokens)):
        rank = 0
        for token in tokens.input_ids(i).tolist():
            if token in special:
                continue
            if rank < top_k:
                features[i, token] = 1 if presence else (top_k - rank) / top_k
            rank += 1
    return features


@given(data=st.data(), special=st.booleans(), presence=st.booleans(), top_k=st.integers(1, 12))
def test_features_are_those_of_the_definition(data, special, presence, top_k, tokens, vocabulary):
    vocabulary = vocabulary(10, special=special)
    genes = st.permutations(list(vocabulary.tokens.values()))
    rows = [data.draw(genes)[: data.draw(st.integers(0, 10))] for _ in range(data.draw(st.integers(1, 5)))]
    if special:
        rows = [[vocabulary.cls, *row, vocabulary.eos] for row in rows]
    cells = tokens(rows, vocabulary=vocabulary)
    features = rank_features(cells, top_k=top_k, presence=presence)
    assert np.array_equal(features.toarray(), plain_features(cells, top_k, presence=presence))
    assert not features[:, list(vocabulary.special_tokens.values())].nnz


def test_it_learns_and_beats_the_majority(linear_run, test_cells):
    scores = linear_run.evaluate(test_cells)
    assert scores.balanced_accuracy > 0.9
    assert scores.majority["label"] == "alpha"
    assert scores.majority["balanced_accuracy"] == pytest.approx(1 / 3)
    assert linear_run.facts["converged"] is True
    assert linear_run.history == ()


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("scaling", ["none", "deviation"])
def test_weights_are_the_optimum_of_the_penalised_likelihood(cells, intercept, scaling):
    data = cells(40)
    classes = np.unique(data.label_values, return_inverse=True)[1]
    config = LinearConfig(intercept=intercept, scaling=scaling, tolerance=1e-9, top_k=20, inverse_regularization=0.5)
    model, _ = LinearClassifier.train(data, classes, config)
    X = plain_features(data, 20, presence=False)
    scale = np.ones(X.shape[1])
    if scaling == "deviation":
        deviation = X.std(axis=0)
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
    Z = X * scale
    one_hot = np.eye(3)[classes]

    def loss(flat):
        weights, free = flat[:-3].reshape(3, -1), flat[-3:] * intercept
        scores = Z @ weights.T + free
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        error = np.exp(log_p) - one_hot
        gradient = error.T @ Z + weights / 0.5
        value = -(log_p * one_hot).sum() + (weights**2).sum() / 2 / 0.5
        return value, np.concatenate((gradient.ravel(), error.sum(axis=0) * intercept))

    best = optimize.minimize(
        loss, np.zeros(3 * X.shape[1] + 3), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    )
    expected = best.x[:-3].reshape(3, -1) * scale
    np.testing.assert_allclose(model.weights, expected, atol=1e-4)
    assert intercept or not model.intercept.any()


def test_two_labels_give_the_probabilities_of_scikit_learn(cells):
    from sklearn.linear_model import LogisticRegression

    data = cells(60, labels=("ctrl", "stim"))
    classes = np.unique(data.label_values, return_inverse=True)[1]
    model, _ = LinearClassifier.train(data, classes, LinearConfig(top_k=20))
    X = rank_features(data, top_k=20)
    expected = LogisticRegression(fit_intercept=False).fit(X, classes).predict_proba(X)
    np.testing.assert_allclose(model.probabilities(data), expected, atol=1e-9)
    assert model.weights.shape == (2, data.vocabulary.size)


def test_presence_ignores_the_order_of_genes_and_ranks_do_not(tokens, cells):
    data = cells(60)
    turned = tokens([data.input_ids(i)[::-1] for i in range(60)], labels=data.label_values.tolist())
    presence = finetune(data, model="linear", features="presence", top_k=64)
    # the sums run in another order
    np.testing.assert_allclose(
        presence.predict(data).probabilities, presence.predict(turned).probabilities, rtol=0, atol=1e-12
    )
    rank = finetune(data, model="linear", top_k=64)
    assert not np.allclose(rank.predict(data).probabilities, rank.predict(turned).probabilities)


def test_too_few_iterations_are_reported_not_warned_of(training_cells):
    result = finetune(training_cells, model="linear", max_iterations=2, tolerance=1e-12)
    assert result.facts["converged"] is False
    assert result.facts["iterations"] == 2


def test_a_cell_without_genes_is_undecided(linear_run, tokens):
    predicted = linear_run.predict(tokens([[], [2, 3]]))
    np.testing.assert_allclose(predicted.probabilities[0], 1 / 3)


def test_weights_are_stored_without_pickle(linear_run):
    with np.load(linear_run.path / "model" / "linear.npz", allow_pickle=False) as stored:
        assert stored["weights"].shape == (3, 62)


def test_linear_needs_no_torch(linear_run, test_cells, tmp_path):
    test_cells.save(tmp_path / "test.dataset")
    data = str(tmp_path / "test.dataset")
    code = (
        WITHOUT_TORCH
        + f"""
import bulkgen
bulkgen.finetune({data!r}, model="linear")
print(bulkgen.evaluate({str(linear_run.path)!r}, {data!r}).n)
try:
    bulkgen.finetune({data!r}, model="tiny")
except bulkgen.errors.MissingExtraError as error:
    print(error)
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "80",
        "this needs the package 'torch', which is not installed: pip install 'bulkgen[train]'",
    ]
