"""The truncated Gaussian has SciPy's law over a grid that includes far tails, narrow intervals and points.

Thresholds come from theory: a Kolmogorov-Smirnov statistic of n values exceeds 2.23 / sqrt(n) with chance 1e-4; each
suite is also run against a sampler that is wrong by a little and must notice.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian
from law_draws import TIMES, caught

pytestmark = pytest.mark.laws

N = TIMES << 17
CRITICAL = 2.23  # chance 1e-4

#: mean, standard deviation, lower, upper
GRID = [
    (0.0, 1.0, -1.0, 2.0),
    (0.0, 1.0, -8.0, 8.0),
    (1.0, 1.0, 0.0, 20.0),
    (0.05, 0.23, 0.0, 3.0),  # a typical low gene
    (0.0, 1.0, 0.0, np.inf),  # half normal
    (0.0, 1.0, 1e-3, np.inf),  # just inside the tail
    (-1.0, 1.0, 0.0, np.inf),
    (-5.0, 1.0, 0.0, np.inf),  # the naive loop accepts 3e-7
    (-8.0, 1.0, 0.0, 0.01),
    (3.0, 1.0, -np.inf, -4.0),  # a lower tail
    (3.0, 1.0, -4.2, -4.0),
    (0.0, 1.0, 0.3, 0.9),
    (0.0, 1.0, -0.3, 0.9),
    (0.0, 1.0, 0.3, 0.3005),
    (1e4, 10.0, 1e4 - 10, 1e4 + 20),
    (1e4, 0.5, 1e4 - 10, 1e4 + 20),  # below a ten-thousandth of the mean: double precision
    (-20.0, 1.0, 0.0, 9.0),
    (20.0, 1.0, -9.0, 0.0),
    (-36.0, 1.0, 0.0, np.inf),
    (-1.0e5, 1.0, 0.0, np.inf),
]
samplers = pytest.mark.parametrize("sampler", ["rejection", "inverse"])


def sample(parameters, sampler, *, key=11, n=N, backend=None):
    genes = 256
    plan = plan_truncated_gaussian(np.full(genes, parameters[0]), *parameters[1:], sampler=sampler)
    out = np.empty((n // genes, genes), np.float32)
    draw_truncated_gaussian(plan, out, key=key, threads=1, kernels=get_kernels(backend))
    return out.astype(np.float64)


def exact_cdf(values, parameters):
    mean, sd, lower, upper = parameters
    a, b = (lower - mean) / sd, (upper - mean) / sd
    if b < 0:  # mirror, so that the tail formula below serves both sides
        return 1.0 - exact_cdf(2 * mean - values, (mean, sd, 2 * mean - upper, 2 * mean - lower))
    if a > 30:
        # log S(a + t) − log S(a) = −a t − t²/2 − log((a + t) / a) + O(1/a²) terms that cancel to 1e-5
        def log_survival(t):
            return -a * t - t * t / 2 - np.log1p(t / a)

        t = (values - lower) / sd
        return (
            np.expm1(log_survival(t)) / np.expm1(log_survival(b - a)) if np.isfinite(b) else -np.expm1(log_survival(t))
        )
    return stats.truncnorm.cdf((values - mean) / sd, a, b)


def distance(values, parameters):
    ordered = np.sort(values.ravel())
    cdf = exact_cdf(ordered, parameters)
    steps = np.arange(ordered.size + 1) / ordered.size
    return max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1])) * np.sqrt(ordered.size)


@samplers
@pytest.mark.parametrize("parameters", GRID, ids=str)
def test_law_is_the_truncated_normal(parameters, sampler):
    values = sample(parameters, sampler)
    assert np.all((values >= parameters[2]) & (values <= parameters[3]))
    assert distance(values, parameters) < CRITICAL


@samplers
@pytest.mark.parametrize("parameters", [GRID[0], GRID[3], GRID[7], GRID[9]], ids=str)
def test_the_distance_suite_notices_a_shift_of_a_hundredth(parameters, sampler):
    values = sample(parameters, sampler, n=TIMES << 19)
    assert caught(distance(values + 0.01 * values.std(), parameters) > CRITICAL)


@samplers
def test_the_mean_is_right_to_a_thousandth_and_a_shift_of_a_thousandth_is_noticed(sampler):
    parameters = GRID[3]
    law = stats.truncnorm(-0.05 / 0.23, 2.95 / 0.23, loc=0.05, scale=0.23)
    values = sample(parameters, sampler, n=TIMES << 25)
    error = (values.mean() - law.mean()) / (law.std() / np.sqrt(values.size))
    assert abs(error) < 4
    assert caught(abs(error + 0.001 * np.sqrt(values.size)) > 4)


@samplers
@pytest.mark.parametrize("parameters", GRID[:10], ids=str)
def test_first_four_moments_are_within_five_standard_errors(parameters, sampler):
    mean, sd, lower, upper = parameters
    law = stats.truncnorm((lower - mean) / sd, (upper - mean) / sd, loc=mean, scale=sd)
    values = sample(parameters, sampler, key=12).ravel()
    centre, scale = law.mean(), law.std()
    z = (values - centre) / scale
    for power in range(1, 5):
        # standard error of the power's mean, from the sample itself
        error = (z**power).std() / np.sqrt(z.size)
        truth = law.expect(lambda x, power=power: ((x - centre) / scale) ** power)
        assert abs((z**power).mean() - truth) < 5 * error


@samplers
def test_genes_cells_and_keys_are_independent(sampler):
    parameters = (0.05, 0.23, 0.0, 3.0)
    first, second = (sample(parameters, sampler, key=key, n=TIMES << 18) for key in (1, 2))
    limit = 5 / np.sqrt(first.size)
    pairs = {
        "neighbouring genes": (first[:, :-1], first[:, 1:]),
        "the two normals of a pair": (first[:, :128], first[:, 128:]),
        "neighbouring cells": (first[:-1], first[1:]),
        "keys": (first, second),
    }
    for name, (a, b) in pairs.items():
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < limit * np.sqrt(first.size / a.size), name
        # tails move together in a broken generator long before means do
        high_a, high_b = a > np.quantile(a, 0.99), b > np.quantile(b, 0.99)
        joint, n = int((high_a & high_b).sum()), a.size
        expected = n * high_a.mean() * high_b.mean()
        assert abs(joint - expected) < 5 * np.sqrt(expected) + 1, name


def test_the_independence_suite_notices_a_swapped_lane():
    first = sample((0.05, 0.23, 0.0, 3.0), "rejection", n=TIMES << 18)
    broken = first.copy()
    broken[:, 128:] = first[:, :128]
    assert caught(abs(np.corrcoef(broken[:, :128].ravel(), broken[:, 128:].ravel())[0, 1]) > 0.5)


@samplers
def test_no_value_is_clamped_to_a_bound(sampler):
    for parameters in ((0.05, 0.23, 0.0, 3.0), (-5.0, 1.0, 0.0, 1.0), (0.0, 1.0, -0.3, 0.9)):
        values = sample(parameters, sampler)
        assert not np.any((values == parameters[2]) | (values == parameters[3]))


def test_acceptance_is_at_least_forty_percent_over_the_whole_plane():
    """Words spent per value stay bounded: no input makes the sampler hang."""
    a = np.concatenate([np.linspace(-6, 6, 121), [10, 30]])
    width = np.concatenate([np.geomspace(1e-6, 10, 60), [np.inf]])
    lower, span = (x.ravel() for x in np.meshgrid(a, width, indexing="ij"))
    plan = plan_truncated_gaussian(np.zeros(lower.size), 1.0, lower, lower + span, sampler="rejection")
    upper = lower + span
    mass = np.where(
        lower > 0, stats.norm.sf(lower) - stats.norm.sf(upper), stats.norm.cdf(upper) - stats.norm.cdf(lower)
    )
    area = np.sqrt(2 * np.pi) * mass
    # genes that single precision serves are drawn from the normal itself
    proposal, edge, gap = np.ones(lower.size), np.zeros(lower.size), np.zeros(lower.size)
    proposal[plan.odd_gene], edge[plan.odd_gene], gap[plan.odd_gene] = plan.odd_proposal, plan.odd[4], plan.odd[5]
    rate = edge + gap
    acceptance = np.select(
        [proposal == 1, proposal == 2, proposal == 3, proposal == 4],
        [
            mass,
            area / span,
            area * rate * np.exp(rate * edge - rate**2 / 2),
            area / span * np.exp(edge**2 / 2),
        ],
    )
    checked = mass > 1e-12
    assert acceptance[checked].min() > 0.4
    assert acceptance[checked].max() < 1 + 1e-6


@pytest.mark.parametrize("sampler", ["rejection", "inverse"])
def test_zero_deviation_gives_the_mean_clipped(sampler):
    plan = plan_truncated_gaussian([1.0, -3.0, 9.0], 0.0, [0.0, 0.0, 0.0], 5.0, sampler=sampler)
    out = np.empty((4, 3), np.float32)
    draw_truncated_gaussian(plan, out, key=1)
    assert np.array_equal(out, np.tile([1.0, 0.0, 5.0], (4, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([np.nan], 1.0, 0.0, 1.0), "mean of gene 0"),
        (([0.0, 0.0], [1.0, -1.0], 0.0, 1.0), "standard_deviation of gene 1"),
        (([0.0], 1.0, 1.0, 1.0), "lower must be below upper"),
        (([0.0], 1.0, 2.0, 1.0), "lower must be below upper"),
        (([0.0], 0.0, 2.0, 1.0), "lower must be below upper"),
        (([0.0], 1.0, np.nan, 1.0), "lower of gene 0"),
        (([0.0, 1e31], 1.0, 0.0, 1e32), "mean of gene 1 is 1e\\+31"),
    ],
)
def test_impossible_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan_truncated_gaussian(*arguments)


@pytest.mark.parametrize("backend", backend_names())
def test_extreme_parameters_end_and_stay_inside(backend):
    rng = np.random.default_rng(0)
    n = 2000
    mean = rng.normal(0, 1, n) * 10.0 ** rng.integers(-300, 29, n)
    sd = rng.random(n) * 10.0 ** rng.integers(-300, 29, n)
    lower = rng.normal(0, 1, n) * 10.0 ** rng.integers(-300, 29, n)
    upper = lower + np.abs(lower) * 1e-3 + 10.0 ** rng.integers(-300, 29, n).astype(float)
    for sampler in ("rejection", "inverse"):
        with np.errstate(all="ignore"):
            plan = plan_truncated_gaussian(mean, sd, lower, upper, sampler=sampler)
        out = np.empty((2, n), np.float32)
        draw_truncated_gaussian(plan, out, key=5, kernels=get_kernels(backend))
        # between the bounds, or where no float is between them, the one beside
        assert np.all((out >= lower.astype(np.float32)) & (out <= np.maximum(upper, lower.astype(np.float32))))
