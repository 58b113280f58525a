"""Negative binomial, donor shift and copula have the laws that they state.

A chi-square test fails with chance 1e-5 if the law is right; means must lie within 4 standard errors. The same tests
are run against samplers that are wrong by a little and must notice. One backend serves: both draw the same bits
(test_compound_parity.py).
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import special, stats

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.copula import CopulaPlan
from bulkgen.kernels.donor_shift import Donors, DonorShiftPlan, donors_of_cells, mean_of_response
from bulkgen.kernels.negative_binomial import NegativeBinomialPlan
from bulkgen.kernels.rows import Rows
from law_draws import TIMES, caught

pytestmark = pytest.mark.laws

SIGNIFICANT = 1e-5
N = TIMES * 20_000

#: mean, dispersion
GRID = np.array(
    [
        (0.002, 0.5),
        (0.3, 0.0),
        (0.3, 2.0),
        (1.0, 1e-9),
        (1.0, 0.1),
        (5.0, 0.5),
        (30.0, 0.3),
        (30.0, 10.0),
        (3.0, 50.0),
        (120.0, 0.01),
        (300.0, 1.0),
    ]
)


def law(mean, dispersion):
    if dispersion < 1e-8:
        return stats.poisson(mean)
    return stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))


def p_value(counts, expected_law):
    """Chi-square over cells of at least twenty expected counts, or of all there are."""
    share = max(20 / counts.size, 0.005)
    edges = np.unique(np.concatenate([expected_law.ppf(np.arange(share, 1, share)), [-1, np.inf]]))
    edges = edges[edges >= -1]
    chances = np.diff(np.concatenate([expected_law.cdf(edges[:-1]), [1.0]]))
    observed = np.histogram(counts, np.concatenate([edges[:-1] + 0.5, [np.inf]]))[0]
    # a tail that is hardly ever reached joins its neighbour
    while chances.size > 1 and chances.min() * counts.size < 8:
        i = int(np.argmin(chances))
        j = i - 1 if i > 0 else 1
        chances[j] += chances[i]
        observed[j] += observed[i]
        chances, observed = np.delete(chances, i), np.delete(observed, i)
    if chances.size == 1:
        return stats.binomtest(int((counts > 0).sum()), counts.size, expected_law.sf(0)).pvalue
    return stats.chisquare(observed, chances / chances.sum() * counts.size).pvalue


def dense(plan, *arguments, n=N, key=11, genes=None, kernels=None, **names):
    genes = len(GRID) if genes is None else genes
    rows = Rows.empty(n, n * genes)
    assert plan.draw(rows, *arguments, key=key, first_cell=0, kernels=kernels, **names) == n
    return rows.to_csr(genes).toarray()


def all_p_values(counts, means, dispersions):
    return [p_value(counts[:, g], law(m, phi)) for g, (m, phi) in enumerate(zip(means, dispersions, strict=True))]


@pytest.fixture(scope="module")
def negative_binomials():
    """Cells of the grid, at a library size that is not one."""
    return dense(NegativeBinomialPlan.of(GRID[:, 0] / 2.5, GRID[:, 1], [2.5]))


def test_sparse_negative_binomial_has_the_law_of_the_dense_one(negative_binomials):
    assert min(all_p_values(negative_binomials, *GRID.T)) > SIGNIFICANT


def test_numbers_that_numpy_draws_pass_the_same_test_and_wrong_dispersions_fail():
    rng = np.random.default_rng(1)
    for mean, phi in GRID:
        counts = rng.poisson(np.full(N, mean) if phi < 1e-8 else rng.gamma(1 / phi, phi * mean, N))
        assert p_value(counts, law(mean, phi)) > SIGNIFICANT
    for mean, phi in GRID[[5, 6, 10]]:
        counts = rng.poisson(rng.gamma(1 / (1.15 * phi), 1.15 * phi * mean, N))
        assert caught(p_value(counts, law(mean, phi)) < SIGNIFICANT)


@pytest.mark.parametrize("dispersion", [0.0, 0.02])
def test_the_mean_is_right_to_a_thousandth_and_a_thousandth_more_is_noticed(dispersion):
    genes, cells, mean = 1000, 10_000, 5.0

    def error(bias):
        plan = NegativeBinomialPlan.of(np.full(genes, mean * bias), dispersion, [1.0])
        rows = Rows.empty(cells, cells * genes)
        plan.draw(rows, key=3, first_cell=0)
        total = rows.values[: rows.indptr[-1]].sum(dtype=np.float64)
        deviation = np.sqrt((mean + dispersion * mean**2) * genes * cells)
        return (total - mean * genes * cells) / deviation

    assert abs(error(1.0)) < 4
    assert caught(error(1.001) > 4)


def test_library_sizes_are_those_given_each_as_often():
    sizes = np.array([0.0, 50.0, 400.0, 400.0, 3000.0])
    totals = dense(NegativeBinomialPlan.of(np.full(20, 0.05), 0.0, sizes), genes=20).sum(axis=1)
    mixture = np.array([0.2, 0.2, 0.4, 0.2])
    observed = np.histogram(totals, [-1, 0.5, 150, 1000, 1e9])[0]
    assert stats.chisquare(observed, mixture * N).pvalue > SIGNIFICANT


def test_zero_inflation_drops_whole_counts_with_its_chance():
    inflation = np.linspace(0, 1, len(GRID))
    plan = NegativeBinomialPlan.of(GRID[:, 0], GRID[:, 1], [1.0], inflation=inflation)
    counts = dense(plan, key=4)
    for g, (mean, phi) in enumerate(GRID):
        seen = (1 - inflation[g]) * law(mean, phi).sf(0)
        assert stats.binomtest(int((counts[:, g] > 0).sum()), N, seen).pvalue > SIGNIFICANT
    assert not counts[:, -1].any()
    # what is left has the law of the counts above zero
    left = counts[counts[:, 6] > 0, 6]
    truth = law(*GRID[6])
    above = stats.kstest(left, lambda x: (truth.cdf(x) - truth.pmf(0)) / truth.sf(0))
    # discrete: the statistic exceeds the continuous one by at most the largest chance
    assert above.statistic < 2.23 / np.sqrt(left.size) + truth.pmf(np.arange(200)).max() / truth.sf(0)


def test_genes_cells_and_keys_are_independent_and_a_swapped_lane_is_noticed():
    plan = NegativeBinomialPlan.of(np.full(64, 1.0), 0.5, [1.0])
    first, second = (dense(plan, genes=64, key=key) for key in (1, 2))

    def worst(pairs):
        return max(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) * np.sqrt(a.size) for a, b in pairs)

    def pairs(cells):
        return [(cells[:, :-1], cells[:, 1:]), (cells[:, :32], cells[:, 32:]), (cells[:-1], cells[1:]), (cells, second)]

    assert worst(pairs(first)) < 4.5
    broken = first.copy()
    broken[:, 32] = broken[:, 0]
    assert caught(worst(pairs(broken)) > 4.5)


# ---- donor shift ----

#: mean in the control, dispersion, ratio
SHIFTS = np.array(
    [
        (0.05, 0.5, 0.3),
        (0.05, 0.5, 5.0),
        (0.4, 0.0, 3.0),
        (0.4, 0.0, 0.3),
        (2.0, 0.3, 0.05),
        (2.0, 0.3, 1.0),
        (2.0, 0.3, 1.2),
        (2.0, 0.3, 10.0),
        (10.0, 1.0, 4.0),
        (60.0, 0.1, 0.9),
        (60.0, 0.1, 1.5),
        (1.0, 8.0, 2.0),
    ]
)
SIZE = 4000.0


def control(seed=2, rows=SHIFTS, n=N):
    """Donors that are negative binomial, of one library size."""
    rng = np.random.default_rng(seed)
    rate = [rng.gamma(1 / phi, phi * mean, n) if phi > 0 else np.full(n, mean) for mean, phi, _ in rows]
    counts = rng.poisson(np.stack(rate, axis=1))
    cells = Donors.of(sp.csr_matrix(counts.astype(np.float32)))
    return counts, Donors(cells.indptr, cells.columns, cells.values, np.full(n, SIZE), cells.n_genes)


def shift_plan(**options):
    mean, phi, ratio = SHIFTS.T
    return DonorShiftPlan.of(ratio, mean / SIZE, phi, **options)


@pytest.mark.parametrize("renoise", [0.0, 0.05, 0.6])
def test_shifted_negative_binomials_are_negative_binomial(renoise):
    cells = control()[1]
    shifted = dense(shift_plan(renoise=renoise), cells, np.arange(N), genes=len(SHIFTS))
    mean, phi, ratio = SHIFTS.T
    assert min(all_p_values(shifted, ratio * mean, phi)) > SIGNIFICANT
    error = np.sqrt((ratio * mean + phi * (ratio * mean) ** 2) / N)
    assert np.max(np.abs(shifted.mean(axis=0) - ratio * mean) / error) < 4
    # dispersion where twenty thousand cells tell it
    for g in (7, 8, 9, 10):
        m, v = shifted[:, g].mean(), shifted[:, g].var()
        assert abs((v - m) / m**2 / phi[g] - 1) < 0.05


def test_a_ratio_that_is_wrong_by_a_few_percent_is_noticed():
    cells = control()[1]
    mean, phi, ratio = SHIFTS.T
    shifted = dense(shift_plan(), cells, np.arange(N), genes=len(SHIFTS))
    for g in (7, 9, 10):
        assert caught(p_value(shifted[:, g], law(1.05 * ratio[g] * mean[g], phi[g])) < SIGNIFICANT)


@pytest.mark.parametrize("response", [(4.0, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize("renoise", [0.0, 0.3])
def test_a_response_of_the_cells_leaves_the_means_and_spreads_them_together(response, renoise):
    cells = control()[1]
    mean, phi, ratio = SHIFTS.T
    plan = shift_plan(response=response, renoise=renoise)
    shifted = dense(plan, cells, np.arange(N), genes=len(SHIFTS))
    # E[s] and E[s²] of s = ratio^w of the recalibrated ratio
    first, second = (mean_of_response(power * plan.log_ratio, *response) for power in (1, 2))
    reached = np.abs(plan.log_ratio) < 12 * np.log(2) - 1e-9
    assert reached.sum() >= 9
    assert np.allclose(first[reached], ratio[reached], rtol=1e-9)
    variance = mean * first + mean**2 * (second * (1 + phi) - first**2)
    assert np.max(np.abs(shifted.mean(axis=0) - mean * first) / np.sqrt(variance / N)) < 4
    ups = shifted[:, [2, 7]]
    assert np.corrcoef(ups.T)[0, 1] > 5 / np.sqrt(N)


def test_response_means_are_those_of_scipy():
    for alpha, beta in ((4.0, 1.0), (0.3, 0.6), (50.0, 2.0)):
        z = np.linspace(-8.3, 8.3, 41)
        assert np.allclose(mean_of_response(z, alpha, beta), special.hyp1f1(alpha, alpha + beta, z), rtol=1e-12)


@pytest.mark.parametrize("response", [None, (4.0, 1.0)])
def test_ratio_one_without_renoise_is_the_identity(response):
    counts, cells = control(n=500)
    plan = DonorShiftPlan.of(np.ones(len(SHIFTS)), SHIFTS[:, 0] / SIZE, SHIFTS[:, 1], response=response)
    chosen = donors_of_cells(np.arange(500), 500, key=4)
    assert np.array_equal(dense(plan, cells, chosen, n=500, genes=len(SHIFTS)), counts[chosen])


def test_shifts_compose():
    cells = control()[1]
    mean, phi, _ = SHIFTS.T
    for first, second in ((0.5, 0.6), (3.0, 0.5), (0.5, 3.0)):
        rows = Rows.empty(N, N * len(SHIFTS))
        DonorShiftPlan.of(np.full(mean.size, first), mean / SIZE, phi).draw(
            rows, cells, np.arange(N), key=1, first_cell=0
        )
        end = rows.indptr[-1]
        again = Donors(rows.indptr, rows.columns[:end], rows.values[:end], cells.sizes, cells.n_genes)
        plan = DonorShiftPlan.of(np.full(mean.size, second), first * mean / SIZE, phi)
        shifted = dense(plan, again, np.arange(N), key=2, genes=len(SHIFTS))
        assert min(all_p_values(shifted, first * second * mean, phi)) > SIGNIFICANT


def test_library_sizes_and_correlations_of_donors_stay():
    rng = np.random.default_rng(3)
    n, genes = 2000, 200
    profile = rng.dirichlet(np.full(genes, 0.5))
    size = rng.lognormal(8, 0.5, n)
    state = np.exp(0.7 * rng.normal(size=(n, 1)) * (np.arange(genes) < 60))
    cells = Donors.of(sp.csr_matrix(rng.poisson(size[:, None] * profile * state)))
    ratio = np.exp(rng.normal(0, 0.4, genes))
    ratio /= (ratio * profile).sum()
    plan = DonorShiftPlan.of(ratio, profile, 0.3)
    shifted = dense(plan, cells, np.arange(n), n=n, genes=genes)
    before, after = cells.sizes, shifted.sum(axis=1)
    assert np.corrcoef(before, after)[0, 1] > 0.95
    original = sp.csr_matrix((cells.values, cells.columns, cells.indptr), (n, genes)).toarray()
    abundant = np.argsort(-profile)[:40]
    correlations = [np.corrcoef(np.log1p(x[:, abundant]).T)[np.triu_indices(40, 1)] for x in (original, shifted)]
    assert np.corrcoef(*correlations)[0, 1] > 0.95
    renoised = DonorShiftPlan.of(np.ones(genes), profile, 0.3, renoise=0.3)
    fresh = dense(renoised, cells, np.arange(n), n=n, genes=genes)
    assert not np.any(np.all(fresh == original, axis=1))
    assert np.corrcoef(before, fresh.sum(axis=1))[0, 1] > 0.95


# ---- choice of donors ----


@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 100])
def test_every_donor_is_used_once_before_any_is_used_twice(n):
    donors = 3 + 2 * np.arange(n)
    chosen = donors_of_cells(donors, 5 * n, key=1, first_cell=(2 << 40) + 4 * n).reshape(5, n)
    assert np.array_equal(np.sort(chosen, axis=1), np.tile(donors, (5, 1)))


def test_shared_donors_are_those_of_every_stratum_and_others_differ():
    donors = np.arange(500)
    for shared in (True, False):
        first, second = (
            donors_of_cells(donors, 700, key=1, first_cell=stratum << 40, shared=shared) for stratum in (1, 2)
        )
        assert np.array_equal(first, second) == shared
    assert not np.array_equal(donors_of_cells(donors, 500, key=2), donors_of_cells(donors, 500, key=1))


@pytest.mark.parametrize("n", [3, 4, 5])
def test_all_orders_of_the_donors_are_about_equally_likely(n):
    passes = 6000
    chosen = donors_of_cells(np.arange(n), passes * n, key=5).reshape(passes, n)
    orders = np.unique(chosen, axis=0, return_counts=True)[1]
    assert orders.size == special.factorial(n, exact=True) or n > 3
    for position in range(n):
        counts = np.bincount(chosen[:, position], minlength=n)
        assert stats.chisquare(counts).pvalue > SIGNIFICANT
    steps = np.bincount((chosen[:, 1] - chosen[:, 0]) % n, minlength=n)[1:]
    assert stats.chisquare(steps).pvalue > SIGNIFICANT


# ---- copula ----

#: below e^-600 the chance of no molecule is kept to a power
COPULA_GRID = np.vstack([GRID, [(2000.0, 1e-3), (900.0, 0.0)]])


def test_copula_keeps_the_marginals_and_correlates_the_rest():
    n_genes = len(COPULA_GRID)
    genes = np.setdiff1d(np.arange(n_genes), [2, 5])
    loading = 0.8
    plan = CopulaPlan.of(COPULA_GRID[:, 0] / 3, COPULA_GRID[:, 1], [3.0], genes, np.full((genes.size, 1), loading))
    counts = dense(plan, genes=n_genes)
    assert min(all_p_values(counts, *COPULA_GRID.T)) > SIGNIFICANT
    scores = [
        stats.norm.ppf(law(*COPULA_GRID[g]).cdf(counts[:, g]) - law(*COPULA_GRID[g]).pmf(counts[:, g]) / 2)
        for g in (6, 9, 10, 11, 12)
    ]
    correlations = np.corrcoef(scores)[np.triu_indices(5, 1)]
    # steps of one molecule take a little of the correlation
    assert np.abs(correlations - loading**2).max() < 0.02
    alone = np.corrcoef(counts[:, [2, 5, 6]].T)
    assert np.abs(alone[np.triu_indices(3, 1)]).max() < 4.5 / np.sqrt(N)


# ---- arguments ----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NegativeBinomialPlan.of([0.1, -0.1], 0.1, [1.0]), "rate .* element 1"),
        (lambda: NegativeBinomialPlan.of([0.1, np.nan], 0.1, [1.0]), "rate .* element 1"),
        (lambda: NegativeBinomialPlan.of([0.1, 0.1], [0.1], [1.0]), "dispersion must be a vector of 2"),
        (lambda: NegativeBinomialPlan.of([0.1], 0.1, []), "sizes"),
        (lambda: NegativeBinomialPlan.of([1e6], 0.1, [1e6]), "2\\^30 molecules"),
        (lambda: NegativeBinomialPlan.of([0.1], 0.1, [1.0], inflation=[1.1]), "inflation"),
        (lambda: DonorShiftPlan.of([1.0, 0.0], [0.5, 0.5], 0.1), "ratio must be above 0, but gene 1"),
        (lambda: DonorShiftPlan.of([1.0], [1.0], 0.1, renoise=1.0), "renoise"),
        (lambda: DonorShiftPlan.of([1.0], [1.0], 0.1, response=(0.0, 1.0)), "response"),
        (lambda: Donors.of(sp.csr_matrix([[0.5]])), "raw counts"),
        (lambda: CopulaPlan.of([0.1, 0.1], 0.1, [1.0], [0, 0], [[0.1], [0.1]]), "different numbers"),
        (lambda: CopulaPlan.of([0.1, 0.1], 0.1, [1.0], [0], [[0.9, 0.9]]), "sum to at most 1"),
        (lambda: CopulaPlan.of([0.1, 0.1], 0.1, [1.0], [0], [0.9]), "loadings must have shape"),
    ],
)
def test_impossible_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("backend", backend_names())
def test_extreme_parameters_end(backend):
    rng = np.random.default_rng(0)
    rate = 10.0 ** rng.uniform(-300, 2, 200)
    dispersion = 10.0 ** rng.uniform(-300, 300, 200)
    kernels = get_kernels(backend)
    plan = NegativeBinomialPlan.of(rate, np.minimum(dispersion, 1e200), [0.0, 1.0, 50.0])
    assert np.isfinite(dense(plan, n=50, genes=200, kernels=kernels)).all()
    counts = sp.random(50, 200, 0.3, "csr", random_state=0, data_rvs=lambda n: rng.integers(1, 9, n).astype(float))
    ratio = 10.0 ** rng.uniform(-30, 30, 200)
    profile = np.full(200, 1 / 200) / np.maximum(ratio, 1.0)
    for options in ({}, {"renoise": 1 - 1e-12}, {"response": (1e-3, 1e3)}, {"response": (1e6, 1e-6), "renoise": 0.5}):
        shift = DonorShiftPlan.of(ratio, profile, np.minimum(dispersion, 1e200), **options)
        assert np.isfinite(dense(shift, Donors.of(counts), np.arange(50), n=50, genes=200, kernels=kernels)).all()
