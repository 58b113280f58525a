"""Profiles of few molecules: how much the genes that were not counted are given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bulkgen.errors import CountsError
from bulkgen.estimation.profile import PROFILE_FLOOR, profile_of

COUNTS = hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 10**6) | st.integers(0, 3)).filter(np.any)
RATES = hnp.arrays(
    np.float64, st.integers(1, 60), elements=st.floats(1e-9, 1e6) | st.just(0.0) | st.sampled_from([0.3, 1.0])
).filter(np.any)


@given(COUNTS | RATES)
def test_shares_are_positive_sum_to_one_and_keep_the_order_of_the_counts(counts):
    profile = profile_of(counts)
    assert profile.min() > 0
    assert profile.sum() == pytest.approx(1, rel=1e-12)
    order = np.argsort(counts, kind="stable")
    assert np.all(np.diff(profile[order]) >= 0)
    same = np.diff(counts[order]) == 0
    assert np.all(np.diff(profile[order])[same] == 0)


@given(COUNTS | RATES, st.randoms(use_true_random=False))
def test_the_order_of_the_genes_does_not_matter(counts, random):
    order = np.array(random.sample(range(counts.size), counts.size))
    np.testing.assert_allclose(profile_of(counts[order]), profile_of(counts)[order], rtol=1e-12)


@given(st.lists(hnp.arrays(np.int64, 9, elements=st.integers(0, 50)).filter(np.any), min_size=1, max_size=4))
def test_rows_are_profiles_of_their_own_to_the_bit(rows):
    matrix = np.stack(rows)
    alone = np.stack([profile_of(row) for row in rows])
    assert np.array_equal(profile_of(matrix), alone)
    assert np.array_equal(profile_of(np.asfortranarray(matrix)), alone)


def test_unseen_genes_get_the_molecules_of_genes_seen_once_and_strong_ones_keep_their_share():
    counts = np.r_[np.full(100, 10), np.full(40, 1), np.zeros(160)]
    profile = profile_of(counts)
    total = counts.sum()
    np.testing.assert_allclose(profile[140:].sum(), 40 / total)
    np.testing.assert_allclose(profile[140:], 0.25 / total)
    # 140 genes give 40 molecules
    np.testing.assert_allclose(profile[:100], (10 - 40 / 140) / total)


@pytest.mark.parametrize(
    ("n_unseen", "n_once", "strong", "molecules"),
    [
        (0, 5, 100, None),  # nothing to give
        (4, 5, 100, 0.5),  # at most half a molecule
        (50, 0, 100, PROFILE_FLOOR * 10_000),  # none seen once: the floor
        (50, 1, 10**8, 0.5),  # half a molecule is below the floor
        (50, 4, 0, 4 / 54),  # all seen once: no less likely than the unseen
    ],
)
def test_limits_of_an_unseen_gene(n_unseen, n_once, strong, molecules):
    counts = np.r_[np.zeros(n_unseen), np.ones(n_once), np.full(100 if strong else 0, strong)]
    profile = profile_of(counts)
    if n_unseen:
        np.testing.assert_allclose(profile[:n_unseen] * counts.sum(), molecules)
    else:
        np.testing.assert_allclose(profile, counts / counts.sum())


@pytest.mark.parametrize("total", [1.0, 5e3, 1e6])
def test_rates_do_not_tell_how_many_molecules_there_were(total):
    rates = np.r_[np.zeros(5_000), np.random.default_rng(3).lognormal(0, 1, 5_000)]
    rates *= total / rates.sum()
    profile = profile_of(rates)
    np.testing.assert_allclose(profile[:5_000], PROFILE_FLOOR, rtol=1e-3)
    np.testing.assert_allclose(profile[5_000:], rates[5_000:] / total, rtol=2e-3, atol=2 * PROFILE_FLOOR)


@pytest.mark.parametrize(("depth", "spread"), [(2_000, 2), (2_000, 3), (20_000, 2), (20_000, 3), (200_000, 3)])
def test_unseen_genes_of_shallow_profiles_get_what_they_have(depth, spread):
    """Half a molecule for each of the 20,000 genes gives the unseen 1.7 to 5 times of what they have."""
    rng = np.random.default_rng(11)
    truth = rng.lognormal(0, spread, 20_000)
    truth /= truth.sum()
    for counts in rng.multinomial(depth, truth, 5):
        profile = profile_of(counts)
        half = (counts + 0.5) / (counts + 0.5).sum()
        unseen = counts == 0
        # Good's estimate has the standard error sqrt(n1 + 2 n2) / N
        error = np.sqrt((counts == 1).sum() + 2 * (counts == 2).sum()) / depth
        assert abs(profile[unseen].sum() - truth[unseen].sum()) < 4 * error
        assert abs(profile[unseen].sum() - truth[unseen].sum()) < 0.2 * abs(half[unseen].sum() - truth[unseen].sum())
        strong = counts > 20
        assert abs(profile[strong].sum() / truth[strong].sum() - 1) < 4 / np.sqrt(counts[strong].sum())
        assert (truth * np.log(truth / profile)).sum() < (truth * np.log(truth / half)).sum()


def test_bad_profiles_are_refused():
    for bad in ([-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]):
        with pytest.raises(CountsError, match="negative, infinite or NaN"):
            profile_of(bad)
    with pytest.raises(CountsError, match="without counts"):
        profile_of([[0, 1], [0, 0]])
