"""The sparse samplers and the variates below them have SciPy's laws, from tiny to huge parameters.

Thresholds come from theory. Every law is compared bin by bin (chi-square over bins of about equal chance, exceeded by
chance once in 10⁵) and by its mean (4.4 standard errors, as rare). `suite` does both; it is also given samplers whose
parameter is off by 0.1 %, or 0.5 % where so small a change cannot show in four million values, and must fail them.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bulkgen.kernels import get_kernels
from bulkgen.kernels.rows import Rows
from bulkgen.kernels.sampling import AliasTable, MultinomialPlan, PoissonLogNormalPlan, thin_matrix
from kernel_cases import VARIATES, profile, variates
from law_draws import TIMES, caught

pytestmark = pytest.mark.laws

N = TIMES << 22
CHANCE = 1e-5


def normal(mean, variance):
    return stats.norm(mean, np.sqrt(variance))


def exact_law(case):
    """SciPy's law; the normal one where SciPy is less exact than its limit (a skewness below 1e-4)."""
    law, first, *rest = case
    if law == "bernoulli":
        return stats.bernoulli(first)
    if law == "poisson":
        return stats.poisson(first) if first < 1e9 else normal(first, first)
    if law == "binomial":
        p = rest[0]
        variance = first * p * (1 - p)
        if variance > 1e9:
            return normal(first * p, variance)
        return stats.binom(first, p) if first < 1e10 else stats.poisson(first * p)
    if law == "log_series":
        return stats.logser(first)
    if law == "geometric":
        return stats.nbinom(1, 1 - first)
    if law == "geometric_sum":
        return stats.nbinom(first, 1 - rest[0])
    if law == "gamma":
        return stats.gamma(first) if first < 1e7 else normal(first, first)
    return stats.beta(first, rest[0])


def chi_square(values, law, n_bins=100):
    """Statistic over its critical value: below 1 but once in 1 / CHANCE."""
    edges = np.unique(law.ppf(np.arange(1, n_bins) / n_bins))
    # what a double cannot hold lies in the first bin, what rounds to 1 in the last
    edges = edges[(edges > 1e-290) & (edges < 1)] if law.support()[1] == 1 else edges[edges > 1e-290]
    if law.support()[0] == 0 and isinstance(law.dist, stats.rv_discrete):
        edges = np.unique(np.concatenate([[0.0], edges]))
    chances = np.diff(np.concatenate([[0.0], law.cdf(edges), [1.0]]))
    return chi_square_of(np.bincount(np.searchsorted(edges, values), minlength=edges.size + 1), chances)


def chi_square_of(seen, chances):
    expected = chances * seen.sum()
    keep = expected >= 20
    seen = np.append(seen[keep], seen[~keep].sum())
    expected = np.append(expected[keep], expected[~keep].sum())
    if expected[-1] < 20:
        # too few for a chi-square: the last bin has a Poisson number
        assert stats.poisson.sf(seen[-1] - 1, expected[-1]) > CHANCE
        seen, expected = seen[:-1], expected[:-1]
    if seen.size < 2:
        return 0.0
    return np.sum((seen - expected) ** 2 / expected) / stats.chi2.isf(CHANCE, seen.size - 1)


def mean_deviation(values, law):
    """In units of what is exceeded with chance CHANCE."""
    standard_error = law.std() / np.sqrt(values.size)
    # centred first: a sum of four million values of 1e15 would be rounded
    return abs(np.mean(values - law.mean())) / standard_error / stats.norm.isf(CHANCE / 2)


def suite(values, law):
    """The larger of both statistics: above 1, the values do not pass for draws from the law."""
    return max(chi_square(values, law), mean_deviation(values, law))


def draws(case, key=12):
    return variates(get_kernels(), case, cells=256, values=N // 256, key=key).ravel()


@pytest.mark.parametrize("case", VARIATES, ids=str)
def test_variates_have_the_exact_law(case):
    assert suite(draws(case), exact_law(case)) < 1


@pytest.mark.parametrize(
    ("case", "biased"),
    [
        (("bernoulli", 0.9), ("bernoulli", 0.8991)),
        (("poisson", 0.7), ("poisson", 0.7 * 1.005)),
        (("poisson", 9.99), ("poisson", 9.99 * 1.0015)),
        (("poisson", 37.5), ("poisson", 37.5 * 1.001)),
        (("poisson", 1e4), ("poisson", 1e4 * 1.001)),
        (("binomial", 8, 0.8), ("binomial", 8, 0.8 * 0.999)),
        (("binomial", 9, 0.3), ("binomial", 9, 0.3 * 1.005)),
        (("binomial", 101, 0.1), ("binomial", 101, 0.1 * 1.002)),
        (("binomial", 1000, 0.6), ("binomial", 1000, 0.6 * 1.001)),
        (("log_series", 0.5, np.log(0.5)), ("log_series", 0.505, np.log1p(-0.505))),
        (("geometric", 0.99, np.log(0.99)), ("geometric", 0.99 * 1.0005, np.log(0.99 * 1.0005))),
        (("geometric_sum", 400, 0.9, np.log(0.9)), ("geometric_sum", 400, 0.9 * 1.001, np.log(0.9 * 1.001))),
        (("gamma", 0.5), ("gamma", 0.505)),
        (("gamma", 1e8), ("gamma", 1e8 * 1.001)),
        (("beta", 200.0, 2.0), ("beta", 200.0 * 0.995, 2.0)),
    ],
    ids=str,
)
def test_biased_variates_are_noticed(case, biased):
    assert suite(draws(case), exact_law(case)) < 1
    assert caught(suite(draws(biased), exact_law(case)) > 1)


@pytest.mark.parametrize("case", [("poisson", 3.0), ("binomial", 30, 0.2), ("gamma", 0.5)], ids=str)
def test_variates_are_independent(case):
    """Along a stream, across neighbouring cells, and across keys."""
    values, law = variates(get_kernels(), case, cells=1024, values=4096, key=3), exact_law(case)
    other = variates(get_kernels(), case, cells=1024, values=4096, key=4)
    standard = (values - law.mean()) / law.std()
    for first, second in (
        (standard[:, :-1], standard[:, 1:]),
        (standard[:-1], standard[1:]),
        (standard, (other - law.mean()) / law.std()),
    ):
        assert abs(np.mean(first * second)) * np.sqrt(first.size) < stats.norm.isf(CHANCE / 2)


def cells(plan, n_cells, n_genes, key=7):
    rows = Rows.empty(n_cells, n_cells * n_genes)
    assert plan.draw(rows, key=key, first_cell=0) == n_cells
    return rows.to_csr(n_genes)


@pytest.mark.parametrize("n_genes", [1, 2, 63, 700, 20_000])
def test_an_alias_table_holds_exactly_its_weights(n_genes):
    weights = profile(n_genes, seed=n_genes)
    weights[0] = 1.0
    table = AliasTable.of(weights)
    stays = table.threshold.astype(np.float64) / 2.0**64
    chances = (stays + np.bincount(table.other, 1 - stays, minlength=n_genes)) / n_genes
    assert np.all(np.abs(chances - weights / weights.sum()) <= 1e-13)
    assert np.all(chances[weights == 0] == 0)


def test_molecules_fall_on_genes_in_proportion_to_the_profile():
    weights = profile()
    seen = np.asarray(cells(MultinomialPlan.of(weights, [100_000.0]), 400, 700).sum(axis=0)).ravel()
    assert chi_square_of(seen, weights / weights.sum()) < 1
    assert np.all(seen[weights == 0] == 0)
    # 0.1 % of the molecules on another gene
    biased = weights * 0.999
    biased[np.argsort(weights)[-20]] += 0.001 * weights.sum()
    seen = np.asarray(cells(MultinomialPlan.of(biased, [100_000.0]), 400, 700).sum(axis=0)).ravel()
    assert caught(chi_square_of(seen, weights / weights.sum()) > 1)


def test_multinomial_totals_are_the_library_sizes_and_counts_compete():
    weights, n = np.array([5.0, 3.0, 1.0, 0.5, 0.5]), 100
    counts = cells(MultinomialPlan.of(weights, [float(n)]), 200_000, 5).toarray()
    assert np.all(counts.sum(axis=1) == n)
    p = weights / weights.sum()
    exact = n * (np.diag(p) - np.outer(p, p))
    # the standard error of a covariance of nearly normal values
    error = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / counts.shape[0])
    assert np.max(np.abs(np.cov(counts.T) - exact) / error) < 5
    for gene in range(5):
        assert suite(counts[:, gene], stats.binom(n, p[gene])) < 1


def test_library_sizes_are_drawn_evenly():
    totals = np.asarray(cells(MultinomialPlan.of([1.0, 1.0], np.arange(1.0, 51.0)), 1 << 18, 2).sum(axis=1)).ravel()
    assert chi_square_of(np.bincount(totals.astype(int), minlength=51)[1:], np.full(50, 1 / 50)) < 1


def test_poisson_totals_make_independent_poisson_genes():
    weights, size = np.array([5.0, 3.0, 1.0, 1.0]), 30.0
    counts = cells(MultinomialPlan.of(weights, [size], poisson_total=True), 1 << 19, 4).toarray()
    for gene in range(4):
        assert suite(counts[:, gene], stats.poisson(size * weights[gene] / weights.sum())) < 1
    correlations = np.corrcoef(counts.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() * np.sqrt(counts.shape[0]) < stats.norm.isf(CHANCE / 2)


@pytest.mark.parametrize("concentration", [0.5, 6.0, 1000.0])
def test_polya_urn_is_dirichlet_multinomial(concentration):
    weights, n = np.array([0.5, 0.3, 0.2]), 12
    outcomes = [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]

    def distance(drawn_at):
        plan = MultinomialPlan.of(weights, [float(n)], concentration=drawn_at)
        counts = cells(plan, 1 << 20, 3).toarray().astype(int)
        seen = np.bincount(counts[:, 0] * (n + 1) + counts[:, 1], minlength=(n + 1) ** 2)
        chances = stats.dirichlet_multinomial(concentration * weights, n).pmf(outcomes)
        return chi_square_of(seen[[i * (n + 1) + j for i, j, _ in outcomes]], chances)

    assert distance(concentration) < 1
    if concentration < 1000:
        assert caught(distance(concentration * 1.03) > 1)  # 3 %: one outcome in a thousand changes


def log_normal_chances(mean, sigma, most):
    """P(0), ..., P(most) and the rest of a Poisson law whose rate is log-normal, by quadrature."""
    z = np.linspace(-10, 10, 20_001)
    rates = mean * np.exp(sigma * z - sigma**2 / 2)
    chances = stats.poisson.pmf(np.arange(most + 1)[:, None], rates) @ (stats.norm.pdf(z) * (z[1] - z[0]))
    return np.append(chances, 1 - chances.sum())


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("mean", [0.002, 0.3, 4.0, 9.9, 60.0])
def test_poisson_log_normal_has_its_law(mean, sigma):
    size, genes = 1000.0, 512
    most = int(stats.poisson.isf(1e-3, mean * np.exp(2 * sigma)))
    chances = log_normal_chances(mean, sigma, most)

    def distance(drawn_at):
        scale = np.full(genes, drawn_at / size * np.exp(-(sigma**2) / 2))
        counts = cells(PoissonLogNormalPlan.of(scale, sigma, [size]), 4096, genes)
        seen = np.bincount(np.minimum(counts.data.astype(int), most + 1), minlength=most + 2)
        seen[0] = counts.shape[0] * genes - counts.nnz
        return chi_square_of(seen, chances)

    assert distance(mean) < 1
    if mean > 1:
        assert caught(distance(mean * (1.01 if sigma < 1 else 1.02)) > 1)


#: 2^40 at 1e-4 is left out: SciPy has no exact law there.
@pytest.mark.parametrize(
    ("count", "p"),
    [
        (count, p)
        for count in (1, 2, 8, 9, 30, 1000, 10**6, 2**40, 2**53)
        for p in (1e-4, 0.1, 0.5, 0.93)
        if not (count > 1e9 and count * p * (1 - p) < 1e9)
    ],
)
def test_thinned_counts_are_binomial(count, p):
    import scipy.sparse as sp

    matrix = sp.csr_matrix(np.full((256, 1024), float(count)))
    thin = thin_matrix(matrix, p, key=5)
    values = thin.toarray().ravel().astype(np.float64)
    if count <= 2**24:
        assert suite(values, exact_law(("binomial", count, p))) < 1
    else:
        # stored as float32: the mean alone, to the rounding of a value
        assert abs(values.mean() / (count * p) - 1) < 1e-7


def test_thinning_by_one_is_the_identity_and_by_zero_leaves_nothing():
    matrix = cells(MultinomialPlan.of(profile(), [500.0]), 50, 700)
    whole = thin_matrix(matrix, 1.0, key=5)
    assert (whole != matrix).nnz == 0
    assert whole.has_canonical_format
    assert thin_matrix(matrix, 0.0, key=5).nnz == 0


def test_thinning_composes():
    """By a, then by b, is by ab in law: the totals of binomials with one probability."""
    import scipy.sparse as sp

    matrix = sp.csr_matrix(np.full((512, 1024), 20.0))
    twice = thin_matrix(thin_matrix(matrix, 0.6, key=5), 0.5, key=6).toarray().ravel()
    assert suite(twice, stats.binom(20, 0.3)) < 1
    assert caught(suite(thin_matrix(matrix, 0.3 * 1.01, key=5).toarray().ravel(), stats.binom(20, 0.3)) > 1)


def test_thinning_does_not_depend_on_threads_and_rows_are_independent():
    import scipy.sparse as sp

    matrix = sp.csr_matrix(np.full((512, 1024), 3.0))
    one = thin_matrix(matrix, 0.4, key=5, threads=1)
    many = thin_matrix(matrix, 0.4, key=5, threads=7)
    assert (one != many).nnz == 0
    standard = (one.toarray() - 1.2) / np.sqrt(0.72)
    for first, second in ((standard[:-1], standard[1:]), (standard[:, :-1], standard[:, 1:])):
        assert abs(np.mean(first * second)) * np.sqrt(first.size) < stats.norm.isf(CHANCE / 2)
