"""Distances between distributions against brute force, SciPy and known laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as scipy_energy_distance
from scipy.stats import wasserstein_distance

from bulkgen.fidelity.distribution import (
    distribution_metrics,
    energy_distance,
    mmd2,
    neighbourhoods,
    sliced_wasserstein,
)


def distances(x, y):
    return cdist(x, x), cdist(y, y), cdist(x, y)


def samples(seed, n=30, m=30, d=4, shift=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), shift + scale * rng.normal(size=(m, d))


def pairs_mean(x, f):
    return np.mean([f(a, b) for a, b in itertools.permutations(x, 2)])


def test_energy_distance_is_its_definition_over_pairs():
    x, y = samples(1, 12, 17, shift=0.5)

    def distance(a, b):
        return np.linalg.norm(a - b)

    between = np.mean([distance(a, b) for a in x for b in y])
    expected = 2 * between - pairs_mean(x, distance) - pairs_mean(y, distance)
    assert energy_distance(*distances(x, y)) == pytest.approx(expected)


def test_energy_distance_in_one_dimension_is_that_of_scipy_up_to_the_pairs_with_oneself():
    x, y = samples(2, 40, 40, d=1, shift=1.0)
    xx, yy, xy = distances(x, y)
    with_self = 2 * xy.mean() - xx.mean() - yy.mean()
    assert np.sqrt(with_self) == pytest.approx(scipy_energy_distance(x[:, 0], y[:, 0]))
    assert energy_distance(xx, yy, xy) == pytest.approx(with_self - (xx.mean() + yy.mean()) / 39)


def test_mmd2_is_its_definition_over_pairs():
    x, y = samples(3, 11, 14, shift=0.4)

    def kernel(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * 1.5**2))

    between = np.mean([kernel(a, b) for a in x for b in y])
    expected = pairs_mean(x, kernel) + pairs_mean(y, kernel) - 2 * between
    assert mmd2(*distances(x, y), bandwidth=1.5) == pytest.approx(expected)


@pytest.mark.parametrize("function", [energy_distance, mmd2])
def test_unbiased_distances_of_one_law_are_zero_on_average(function):
    values = [function(*distances(*samples([4, i], 20, 20))) for i in range(400)]
    # four standard errors of the mean
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_sliced_wasserstein_is_the_mean_of_scipys_distances_of_projections():
    x, y = samples(5, 25, 25, shift=0.7)
    directions = np.random.default_rng(6).normal(size=(4, 9))
    unit = directions / np.linalg.norm(directions, axis=0)
    expected = np.mean([wasserstein_distance(x @ u, y @ u) for u in unit.T])
    assert sliced_wasserstein(x, y, directions) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(6, 30), st.integers(6, 30), st.integers(1, 5))
def test_neighbourhoods_are_their_definitions(seed, n, m, k):
    real, made = samples(seed, n, m, d=2, shift=0.5)

    def ball(point, among):
        return sorted(np.linalg.norm(among - point, axis=1))[k]

    def inside(point, centre, among):
        return np.linalg.norm(point - centre) < ball(centre, among)

    expected = {
        "precision": np.mean([any(inside(y, x, real) for x in real) for y in made]),
        "recall": np.mean([any(inside(x, y, made) for y in made) for x in real]),
        "density": np.mean([sum(inside(y, x, real) for x in real) / k for y in made]),
        "coverage": np.mean([any(inside(y, x, real) for y in made) for x in real]),
    }
    assert neighbourhoods(*distances(real, made), k=k) == pytest.approx(expected)


def test_equal_samples_are_at_the_perfect_values():
    x, _ = samples(7, 60)
    xx, yy, xy = distances(x, x)
    assert energy_distance(xx, yy, xy) <= 0
    assert mmd2(xx, yy, xy) <= 0
    assert sliced_wasserstein(x, x, np.eye(4)) == 0
    values = neighbourhoods(xx, yy, xy, k=5)
    assert (values["precision"], values["recall"], values["coverage"]) == (1, 1, 1)
    assert values["density"] == pytest.approx(1)


@given(st.integers(0, 10_000))
def test_the_order_of_cells_does_not_matter(seed):
    x, y = samples(seed, 20, 20, shift=0.3)
    rng = np.random.default_rng([seed, 1])
    other = distances(rng.permutation(x), rng.permutation(y))
    for function in (energy_distance, mmd2):
        assert function(*distances(x, y)) == pytest.approx(function(*other), abs=1e-12)
    assert neighbourhoods(*distances(x, y), k=3) == pytest.approx(neighbourhoods(*other, k=3))


def test_more_shift_is_farther():
    values = {}
    for shift in (0.0, 1.0, 2.0, 4.0):
        x, y = samples(8, 200, 200, shift=shift)
        xx, yy, xy = distances(x, y)
        near = neighbourhoods(xx, yy, xy, k=5)
        values[shift] = (energy_distance(xx, yy, xy), mmd2(xx, yy, xy), sliced_wasserstein(x, y, np.eye(4)))
        values[shift] += tuple(-near[name] for name in ("precision", "recall", "density", "coverage"))
    table = np.array(list(values.values()))
    assert (np.diff(table, axis=0) > 0).all()


def test_a_mode_that_is_missing_costs_recall_and_not_precision():
    rng = np.random.default_rng(9)
    real = np.concatenate([rng.normal(size=(100, 2)), 20 + rng.normal(size=(100, 2))])
    values = neighbourhoods(*distances(real, rng.normal(size=(200, 2))), k=5)
    assert values["precision"] > 0.9
    assert values["recall"] < 0.55
    assert values["coverage"] < 0.55


def test_a_shift_is_found_in_cells(space, make_cells):
    label = "drug b"
    alike = distribution_metrics(space, space.view(make_cells(150, 3)), label)
    shifted = distribution_metrics(space, space.view(make_cells(150, 3, shift=1.0)), label)
    assert abs(alike["energy_distance"]) < 0.02
    for name in ("energy_distance", "mmd2", "sliced_wasserstein"):
        assert shifted[name] > 2 * abs(alike[name]), name
    assert shifted["coverage"] < alike["coverage"]
