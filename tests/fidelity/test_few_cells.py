"""The few-cells curve and the weight of synthetic cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.fidelity.few_cells import Augmentation, Features, _first_of_each, choose_weight, few_cells_curve
from bulkgen.training import LinearConfig
from bulkgen.training.linear import LinearClassifier

WEIGHTS = (0.0, 0.1, 0.3, 1.0)


def features(seed: int, per_class: int, *, signal: float = 1.0, wrong: bool = False) -> Features:
    """Cells of three classes with ten features each of their own, and noise in thirty more."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), per_class)
    rows = (rng.random((classes.size, 60)) < 0.3).astype(float)
    for label in range(3):
        own = np.ix_(classes == label, np.arange(10 * label, 10 * label + 10))
        rows[own] = rng.random(rows[own].shape) < 0.3 + 0.3 * signal
    return Features(sp.csr_matrix(rows), (classes + 1) % 3 if wrong else classes)


def folds(cells: Features) -> np.ndarray:
    return np.arange(len(cells.classes)) % 3


def test_a_weight_counts_as_so_many_equal_cells():
    cells = features(0, 8)
    weights = np.where(np.arange(24) % 2 == 0, 2.0, 1.0)
    config = LinearConfig(tolerance=1e-9)
    weighted, _ = LinearClassifier.train_on_features(cells.rows, cells.classes, config, sample_weight=weights)
    twice = cells.take(np.repeat(np.arange(24), weights.astype(int)))
    repeated, _ = LinearClassifier.train_on_features(twice.rows, twice.classes, config)
    np.testing.assert_allclose(weighted.weights, repeated.weights, atol=1e-6)


def test_useful_cells_are_given_a_weight_and_harmful_ones_none():
    real = features(1, 20, signal=0.5)
    good, bad = features(2, 100), features(2, 100, wrong=True)
    assert choose_weight(real, folds(real), [good] * 3, WEIGHTS) > 0
    assert choose_weight(real, folds(real), [bad] * 3, WEIGHTS) == 0


def test_a_weight_that_gains_nothing_is_not_taken():
    """Cells without a gene change no prediction."""
    real = features(1, 30)
    empty = Features(sp.csr_matrix((30, 60)), np.repeat(np.arange(3), 10))
    assert choose_weight(real, folds(real), [empty] * 3, WEIGHTS) == 0


def test_harmful_cells_never_make_the_curve_worse_where_real_cells_are_plentiful():
    training, test = features(5, 60), features(6, 100)
    good, bad = features(7, 100), features(8, 100, wrong=True)
    curve = few_cells_curve(
        training,
        test,
        {"good": Augmentation(good, (good,) * 3), "bad": Augmentation(bad, (bad,) * 3)},
        folds(training),
        sizes=[0, 10, 30, "all"],
        weights=WEIGHTS,
        rng=np.random.SeedSequence(0),
    )
    score = curve.set_index(["size", "synthetic"])["balanced_accuracy"]
    assert score[0, ""] == pytest.approx(1 / 3)
    assert score[0, "good"] > 0.7
    assert score[10, "good"] > score[10, ""]
    for size in (30, 60):
        assert score[size, "bad"] == score[size, ""]
    assert curve.loc[curve["all"], "size"].unique().tolist() == [60]


def test_cells_of_a_size_are_of_every_fold_alike_and_among_those_of_the_next():
    rng = np.random.default_rng(0)
    classes, fold = rng.permutation(np.repeat([0, 1, 2], 40)), rng.integers(0, 3, 120)
    order = rng.permutation(120)
    before: set[int] = set()
    for size in (3, 5, 20):
        rows = _first_of_each(order, classes, fold, size)
        table = np.zeros((3, 3), int)
        np.add.at(table, (classes[rows], fold[rows]), 1)
        # the same for every class, so that all are as common wherever a fold is held out
        assert (table == table[0]).all()
        assert table.sum(axis=1).tolist() == [size] * 3
        assert np.ptp(table) <= 1
        assert before <= set(rows)
        before = set(rows)


def test_a_class_with_fewer_cells_gives_what_it_has_and_one_that_a_fold_lacks_is_not_predicted():
    training = features(5, 20)
    few = training.take(np.flatnonzero((training.classes != 2) | (np.arange(60) % 20 < 1)))
    synthetic = features(9, 30)
    curve = few_cells_curve(
        few,
        features(6, 30),
        {"made": Augmentation(synthetic, (synthetic,) * 3)},
        folds(few),
        sizes=[10],
        weights=WEIGHTS,
        rng=np.random.SeedSequence(0),
    )
    assert curve["size"].tolist() == [10, 10]
    assert (curve["balanced_accuracy"] > 0.4).all()
