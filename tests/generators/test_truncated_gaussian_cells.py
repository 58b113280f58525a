"""The law of the truncated Gaussian's cells, end to end: from counts to values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import bulkgen
from count_cases import make_cells
from law_draws import caught

pytestmark = pytest.mark.laws

N = 4000
SAMPLERS = ("rejection", "inverse")


@pytest.fixture(scope="module")
def cells():
    """Two labels of 300 cells; genes from rare to abundant, and two that never vary."""
    rng = np.random.default_rng(5)
    label = np.repeat(["A", "B"], 300)
    means = np.array([0.01, 0.1, 1.0, 5.0, 60.0, 1000.0])
    X = rng.negative_binomial(2.0, 2.0 / (2.0 + means * np.where(label == "A", 1.0, 2.0)[:, None]), (600, 6))
    X = np.hstack([X, np.full((600, 1), 7), np.zeros((600, 1), int)])
    return make_cells(X.astype(np.float32), label=label)


@pytest.fixture(scope="module")
def drawn(cells):
    return {s: bulkgen.synthesize(cells, by="label", n_cells=N, sampler=s, rng=3).X.reshape(2, N, 8) for s in SAMPLERS}


def law(cells, label: str, gene: int, *, variance_of=None):
    """The exact law of a gene's values, from its definition."""
    counts = cells.X[(cells.obs["label"] == label).to_numpy(), gene].astype(float)
    spread = counts if variance_of is None else cells.X[variance_of, gene].astype(float)
    mu, sigma = counts.mean(), spread.std(ddof=1)
    return stats.truncnorm((0 - mu) / sigma, (spread.max() - mu) / sigma, mu, sigma)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_follow_the_normal_law_within_the_bounds(cells, drawn, sampler):
    for stratum, label in enumerate("AB"):
        for gene in range(6):
            exact = law(cells, label, gene)
            values = drawn[sampler][stratum, :, gene].astype(float)
            assert stats.kstest(values, exact.cdf).pvalue > 1e-6
            assert abs(values.mean() - exact.mean()) < 5 * exact.std() / np.sqrt(N)
            # and the test can fail: against a spread 30 % wider
            wider = stats.truncnorm(exact.args[0] / 1.3, exact.args[1] / 1.3, exact.args[2], exact.args[3] * 1.3)
            assert caught(stats.kstest(values, wider.cdf).pvalue < 1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_value_is_outside_the_counts_that_were_seen(cells, drawn, sampler):
    for stratum, label in enumerate("AB"):
        largest = cells.X[(cells.obs["label"] == label).to_numpy()].max(axis=0)
        values = drawn[sampler][stratum]
        assert (values >= 0).all()
        assert (values <= largest).all()
        # nor pressed onto a bound
        assert ((values[:, :6] > 0) & (values[:, :6] < largest[:6])).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_gene_that_does_not_vary_takes_its_mean(drawn, sampler):
    assert (drawn[sampler][:, :, 6] == 7).all()
    assert (drawn[sampler][:, :, 7] == 0).all()


def test_a_gene_unseen_in_the_reference_takes_the_mean_of_the_bulk(cells):
    profiles = bulkgen.bulk_profiles(cells, by="label")
    reference = cells.copy()
    reference.X[:, 2] = 0
    result = bulkgen.synthesize(profiles, reference=reference, n_cells=3)
    expected = np.repeat(profiles.layers["mean"][:, 2], 3).astype(np.float32)
    assert np.array_equal(result.X[:, 2], expected)


def test_the_samplers_agree_in_law_and_not_in_draws(drawn):
    for stratum in range(2):
        for gene in range(6):
            a, b = (drawn[sampler][stratum, :, gene] for sampler in SAMPLERS)
            assert stats.ks_2samp(a, b).pvalue > 1e-6
            assert not np.array_equal(a, b)


def test_genes_and_cells_are_independent(drawn):
    values = drawn["rejection"][0][:, :6]
    for a in range(6):
        for b in range(a):
            assert abs(np.corrcoef(values[:, a], values[:, b])[0, 1]) < 5 / np.sqrt(N)
        assert abs(np.corrcoef(values[:-1, a], values[1:, a])[0, 1]) < 5 / np.sqrt(N)
        assert abs(np.corrcoef(values[:, a], drawn["rejection"][1][:, a])[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize("variance_from", ["stratum", "all", "control"])
def test_spread_and_bound_come_from_the_cells_that_were_asked_for(cells, variance_from):
    label = cells.obs["label"].to_numpy()
    of = {"stratum": label == "B", "all": np.full(600, fill_value=True), "control": label == "A"}[variance_from]
    result = bulkgen.synthesize(
        cells, by="label", n_cells={"B": N}, variance_from=variance_from, control="A", rng=1
    ).X.astype(float)
    for gene in (1, 2, 4):
        assert stats.kstest(result[:, gene], law(cells, "B", gene, variance_of=of).cdf).pvalue > 1e-6
        assert result[:, gene].max() <= cells.X[of, gene].max()


@pytest.mark.parametrize("variance_from", ["stratum", "control"])
def test_the_zero_mask_gives_each_gene_the_zeros_of_the_cells_it_learned_from(cells, variance_from):
    options = {"by": "label", "n_cells": {"B": N}, "variance_from": variance_from, "control": "A", "rng": 1}
    masked = bulkgen.synthesize(cells, zero_mask=True, **options).X
    plain = bulkgen.synthesize(cells, **options).X
    label = cells.obs["label"].to_numpy()
    detection = (cells.X[label == ("A" if variance_from == "control" else "B")] > 0).mean(axis=0)
    assert detection[5] == detection[6] == 1
    for gene in range(7):
        zeros = (masked[:, gene] == 0).mean()
        p = 1 - detection[gene]
        # binomial: 5 standard errors, none where every cell has the gene
        assert abs(zeros - p) <= 5 * np.sqrt(p * (1 - p) / N)
    # what is not masked is what it would have been
    assert np.array_equal(masked[masked > 0], plain[masked > 0])
    # and the mask does not choose by value
    kept = masked[:, 2] > 0
    assert stats.ks_2samp(plain[kept, 2], plain[~kept, 2]).pvalue > 1e-6


def test_rounding_gives_whole_counts_within_the_bounds(cells):
    options = {"by": "label", "n_cells": 500, "rng": 1}
    rounded = bulkgen.synthesize(cells, round=True, **options).X
    assert np.array_equal(rounded, np.rint(bulkgen.synthesize(cells, **options).X))
    assert rounded.min() >= 0
    assert (rounded.reshape(2, 500, 8) <= cells.X.reshape(2, 300, 8).max(axis=1)[:, None]).all()


def test_a_mean_beyond_the_largest_reference_count_is_drawn_below_it_and_at_once(cells):
    # the naive loop would redraw for ever: the mean is 40 deviations above the bound
    bulk = cells.copy()
    bulk.X[:, 1] = 30
    result = bulkgen.synthesize(bulkgen.bulk_profiles(bulk, by="label"), reference=cells, n_cells=200)
    largest = cells.X.reshape(2, 300, 8).max(axis=1)[:, 1]
    values = result.X[:, 1].reshape(2, 200)
    assert (values <= largest[:, None]).all()
    assert (values > largest[:, None] - 1).all()
