"""Ratios of simulated bulk profiles, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bulkgen.errors import CountsError
from bulkgen.estimation.profile import profile_of
from bulkgen.estimation.ratios import information, shrunk_ratios


def simulate(rng, depth, changed=0.1, n_genes=4000, bias=0.0):
    """Profile of control, true ratios, and two bulk profiles with a platform's bias per gene."""
    profile = rng.lognormal(0, 2, n_genes)
    profile /= profile.sum()
    logarithm = np.where(rng.random(n_genes) < changed, rng.normal(0, 1.2, n_genes), rng.normal(0, 0.05, n_genes))
    ratio = np.exp(np.clip(logarithm, -4, 4))
    ratio /= (ratio * profile).sum()
    platform = profile * rng.lognormal(0, bias, n_genes)
    platform /= platform.sum()
    return profile, ratio, rng.poisson(depth * platform * ratio), rng.poisson(depth * platform)


def error(found, ratio, weight):
    return np.sqrt((weight * np.log(found / ratio) ** 2).sum() / weight.sum())


@pytest.mark.parametrize("depth", [3e4, 3e5, 3e6])
def test_posterior_means_are_the_closest_and_raw_ratios_the_farthest(depth):
    rng = np.random.default_rng(1)
    _, ratio, treated, control = simulate(rng, depth)
    weight = np.ones_like(ratio)
    errors = [error(shrunk_ratios(treated, control, shrinkage=share), ratio, weight) for share in (0, 0.5, 1)]
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.75 * errors[0]


def test_deep_profiles_are_hardly_shrunk():
    rng = np.random.default_rng(2)
    _, ratio, treated, control = simulate(rng, 1e9)
    known = np.minimum(treated, control) > 1e4
    found = shrunk_ratios(treated, control, shrinkage=1.0)
    assert np.max(np.abs(np.log(found / ratio)[known])) < 0.08


def test_a_bias_of_the_platform_cancels():
    rng = np.random.default_rng(3)
    profile, ratio, treated, control = simulate(rng, 1e7, bias=0.7)
    found = shrunk_ratios(treated, control, reference=profile)
    known = np.minimum(treated, control) > 1000
    assert np.median(np.abs(np.log(found / ratio)[known])) < 0.1


def test_the_treated_profile_of_equal_profiles_is_their_mean():
    """The ratio refers to the control as it was counted, so it is the pooled profile that is free of noise."""
    rng = np.random.default_rng(4)
    profile = rng.lognormal(0, 1, 4000)
    treated, control = rng.poisson(1e5 * profile / profile.sum(), (2, 4000))
    pooled = treated + control + 0.5
    found = shrunk_ratios(treated, control, shrinkage=1.0) * (control + 0.5) / pooled * 2
    assert np.median(np.abs(np.log(found))) < 0.05
    assert np.median(np.abs(np.log(2 * (treated + 0.5) / pooled))) > 0.1


@pytest.mark.parametrize(("treated_depth", "control_depth"), [(2e4, 1e6), (1e6, 2e4), (3e3, 3e5)])
@pytest.mark.parametrize("shrinkage", [0.0, 0.5, 1.0])
def test_unequal_depths_are_no_change(treated_depth, control_depth, shrinkage):
    rng = np.random.default_rng(8)
    profile, ratio, _, _ = simulate(rng, 1)
    treated, control = rng.poisson(treated_depth * ratio * profile), rng.poisson(control_depth * profile)
    found = shrunk_ratios(treated, control, shrinkage=shrinkage, reference=profile)
    # half a molecule in each profile, however deep, is off by 1.3 to 2.1 here
    assert error(found, ratio, np.ones_like(ratio)) < 0.65
    unseen = (treated == 0) & (control == 0)
    assert unseen.any()
    scale = np.median(found[unseen] / ratio[unseen])
    assert abs(np.log(scale)) < 0.5


def test_less_information_shrinks_more():
    rng = np.random.default_rng(5)
    _, _, treated, control = simulate(rng, 1e6)
    spread = [
        np.std(
            np.log(
                shrunk_ratios(
                    treated,
                    control,
                    treated_information=information(treated, dispersion=phi, samples=20),
                    control_information=information(control, dispersion=phi, samples=20),
                )
            )
        )
        for phi in (0.0, 1.0, 10.0)
    ]
    assert spread[0] > spread[1] > spread[2]


def test_information_is_the_inverse_relative_variance_of_a_sum_of_cells():
    rng = np.random.default_rng(6)
    cells, mean, phi = 50, np.array([0.5, 2.0, 20.0]), np.array([0.2, 0.5, 1.0])
    sums = rng.poisson(mean * rng.gamma(1 / phi, phi, (20_000, cells, 3))).sum(axis=1)
    relative_variance = sums.var(axis=0) / sums.mean(axis=0) ** 2
    assert information(cells * mean, dispersion=phi, samples=cells) * relative_variance == pytest.approx(1, rel=0.05)
    # a thousand times as many reads of the same molecules know no more
    reads = information(1000 * cells * mean, molecules=cells * mean, dispersion=phi, samples=cells)
    assert reads == pytest.approx(information(cells * mean, dispersion=phi, samples=cells))


@settings(max_examples=25)
@given(
    hnp.arrays(np.int64, (2, 30), elements=st.integers(0, 10**6)).filter(lambda counts: counts.sum(axis=1).min() > 0),
    st.floats(0, 1),
)
def test_every_pair_of_profiles_gives_bounded_ratios_that_keep_the_total(counts, shrinkage):
    control = profile_of(counts[0])
    ratio = shrunk_ratios(counts[1], counts[0], shrinkage=shrinkage, reference=control)
    assert np.all(np.isfinite(ratio))
    assert np.all(ratio > 0)
    assert ratio.max() / ratio.min() <= 64.0**2 * (1 + 1e-9)
    assert (ratio * control).sum() == pytest.approx(control.sum())


def test_bad_profiles_are_refused():
    good = np.array([1.0, 2.0])
    with pytest.raises(CountsError, match="without counts"):
        shrunk_ratios(np.zeros(2), good)
    with pytest.raises(CountsError, match="negative"):
        shrunk_ratios(np.array([-1.0, 2.0]), good)
    with pytest.raises(ValueError, match="one shape"):
        shrunk_ratios(good, np.ones(3))
    with pytest.raises(ValueError, match="treated_information"):
        shrunk_ratios(good, good, treated_information=np.zeros(2))
    with pytest.raises(ValueError, match="within"):
        shrunk_ratios(good, good, shrinkage=1.5)
