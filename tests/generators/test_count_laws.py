"""Generators of independent genes, and of factors: their laws against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

import bulkgen
from count_cases import make_cells
from generator_cases import deviations, experiment, measured, negative_binomial

pytestmark = pytest.mark.laws

N = 2000
#: Largest of 200 normal numbers: beyond it once in eighty sets.
FAR = 4.0


@pytest.fixture(scope="module")
def truth():
    return experiment(1)


def dense(truth, method, *, stratum=1, n_cells=N, **parameters):
    """Cells of one class."""
    fit = bulkgen.fit_generator(truth.bulk, reference=truth.cells, method=method, **parameters)
    return fit.fitted.sample(stratum, n_cells, key=17, first_cell=0, threads=None).toarray()


def sizes(truth):
    return np.asarray(truth.cells.X.sum(axis=1)).ravel()


@pytest.mark.parametrize(
    ("method", "parameters", "noise"),
    [
        ("thin", {}, 1),
        ("multinomial", {}, 1),
        ("multinomial", {"concentration": 30.0}, 1),
        ("poisson", {}, 1),
        ("poisson", {"log_normal": True}, 1),
        ("negative_binomial", {}, 1),
        # as many control cells as cells: what they do not know of their own mean counts once more
        ("negative_binomial", {"mean": "ratio", "control": "ctrl"}, 2),
        ("copula", {}, 1),
        ("donor_shift", {"control": "ctrl"}, 1),
        ("donor_shift", {"control": "ctrl", "renoise": 0.5}, 1.5),
        ("donor_shift", {"control": "ctrl", "heterogeneity": 0.6}, 1),
        # half of the donors, each used twice
        ("donor_shift", {"control": "ctrl", "pairing": "disjoint"}, 1.5),
    ],
    ids=str,
)
def test_the_mean_is_the_library_size_times_the_profile(truth, method, parameters, noise):
    made = dense(truth, method, **parameters)
    z = deviations(made, sizes(truth).mean() * truth.treated) / np.sqrt(noise)
    assert np.abs(z).max() < FAR
    assert np.mean(z**2) < 1.4


def test_library_sizes_are_those_of_the_reference(truth):
    expected = np.sort(sizes(truth))
    for method, parameters in (
        ("multinomial", {}),
        ("multinomial", {"concentration": 5.0}),
        ("multinomial", {"library_sizes": "log_normal"}),
    ):
        made = np.sort(dense(truth, method, **parameters).sum(axis=1))
        np.testing.assert_allclose(made[50:-50], expected[50:-50], rtol=0.1)
        assert made.mean() == pytest.approx(expected.mean(), rel=0.03)
    # exactly the size of some cell
    assert np.isin(dense(truth, "multinomial").sum(axis=1), expected).all()


def excess(made, size):
    """Variance beyond a Poisson law of each gene, given library sizes, over the squared mean; and the mean."""
    share = made.sum(axis=0) / made.sum()
    mean = size[:, None] * share
    return ((made - mean) ** 2 - mean).sum(axis=0) / (mean**2).sum(axis=0), mean.mean(axis=0)


def test_the_variance_is_the_law_s(truth):
    def found(method, **parameters):
        made = dense(truth, method, **parameters)
        value, mean = excess(made, made.sum(axis=1))
        return np.median(value[mean > 3])

    assert abs(found("poisson")) < 0.03
    assert abs(found("multinomial")) < 0.03
    for method, parameters in (("negative_binomial", {}), ("poisson", {"log_normal": True}), ("copula", {})):
        assert found(method, **parameters) == pytest.approx(truth.dispersion, rel=0.1), method
    # Mosimann: a count of mean L p has L² p (1 − p) / (1 + α) more than the multinomial
    alpha = 40.0
    made = dense(truth, "multinomial", concentration=alpha)
    value, mean = excess(made, made.sum(axis=1))
    share = mean / mean.sum()
    strong = mean > 20
    np.testing.assert_allclose(np.mean(value[strong] * share[strong] / (1 - share[strong])), 1 / (1 + alpha), rtol=0.1)


def test_the_variance_of_the_negative_binomial_gene_by_gene(truth):
    # one library size, so that the law of a gene is NB(L p, dispersion) and nothing else
    alike = experiment(4, n_genes=150)
    cells = alike.cells.copy()
    rng = np.random.default_rng(0)
    cells.X = negative_binomial(rng, alike.control, np.full(N, 3000.0), 0.4)
    fit = bulkgen.fit_generator(alike.bulk, reference=cells, method="negative_binomial")
    made = fit.fitted.sample(1, 8000, key=1, first_cell=0, threads=None).toarray()
    mean = 3000 * alike.treated
    strong = mean > 1
    # library sizes vary a little, as sums of over-dispersed genes do
    spread = np.var(np.asarray(cells.X.sum(axis=1)) / 3000)
    expected = mean + 0.4 * mean**2 * (1 + spread) + spread * mean**2
    ratio = made.var(axis=0)[strong] / expected[strong]
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    assert np.abs(np.log(ratio)).max() < 0.35


def test_zeros_of_a_gene_that_is_off_in_half_of_the_cells():
    truth = experiment(2, n_genes=60)
    counts = truth.cells.X.toarray()
    gene = int(np.argsort(-truth.control)[3])
    off = np.random.default_rng(5).random(N) < 0.5
    counts[off, gene] = 0
    cells = make_cells(counts, label=truth.cells.obs["label"].to_numpy())
    bulk = bulkgen.bulk_profiles(cells, by="label")
    zeros = [
        (
            bulkgen.synthesize(bulk, reference=cells, method="negative_binomial", n_cells=N, zero_inflation=on)
            .X[:, [gene]]
            .toarray()
            == 0
        ).mean()
        for on in (False, True)
    ]
    real = (counts[:, gene] == 0).mean()
    assert zeros[1] == pytest.approx(real, abs=0.03)
    assert zeros[0] < real - 0.05


def test_thinning_a_bulk_of_twenty_million_reads_keeps_single_molecules_apart(truth):
    made = dense(truth, "thin")
    np.testing.assert_allclose(made.sum(axis=1).mean(), sizes(truth).mean(), rtol=0.03)
    value, mean = excess(made, made.sum(axis=1))
    # as deep as the bulk is, nothing but a Poisson law is left
    assert abs(np.median(value[mean > 3])) < 0.02
    # a bulk no deeper than a cell stays what it is
    shallow = measured(np.random.default_rng(0).multinomial(50, truth.control)[None], label=["ctrl"])
    made = bulkgen.synthesize(shallow, reference=truth.cells, method="thin", n_cells=20).X.toarray()
    assert np.array_equal(made, np.repeat(shallow.X, 20, axis=0))


def test_the_copula_keeps_correlations_and_the_negative_binomial_does_not():
    rng = np.random.default_rng(8)
    n_genes = 80
    profile = rng.dirichlet(np.full(n_genes, 5.0))
    # twenty genes rise and fall together, and ten against them
    direction = np.repeat([1.0, -1.0, 0.0], [20, 10, 50])
    rate = np.exp(0.6 * rng.normal(size=(N, 1)) * direction) * rng.gamma(10.0, 0.1, (N, n_genes)) * profile
    size = rng.lognormal(7.6, 0.4, (N, 1))
    counts = rng.poisson(size * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    cells = make_cells(counts, label=np.full(N, "a", object))

    def correlation(X):
        logs = np.log1p(X / X.sum(axis=1, keepdims=True) * 2000)
        return np.corrcoef(logs.T)[np.triu_indices(n_genes, 1)]

    real = correlation(counts)
    found = {
        method: correlation(bulkgen.synthesize(cells, by="label", method=method, n_cells=N).X.toarray())
        for method in ("copula", "negative_binomial")
    }
    assert np.corrcoef(real, found["copula"])[0, 1] > 0.95
    assert np.polyfit(real, found["copula"], 1)[0] == pytest.approx(1, abs=0.15)
    assert np.abs(found["negative_binomial"]).max() < 0.12


@pytest.mark.parametrize("mean", ["absolute", "ratio"])
def test_ratios_cancel_what_bulk_and_cells_measure_differently(truth, mean):
    bias = np.exp(0.7 * np.random.default_rng(3).normal(size=truth.control.size))
    biased = measured(np.rint(truth.bulk.X * bias), label=["ctrl", "treated"])
    fit = bulkgen.fit_generator(biased, reference=truth.cells, method="negative_binomial", mean=mean, control="ctrl")
    made = fit.fitted.sample(1, N, key=1, first_cell=0, threads=None)
    z = deviations(made, sizes(truth).mean() * truth.treated)
    if mean == "ratio":
        assert np.mean(z**2) < 6  # first order: the changes' own normalisation stays
    else:
        assert np.mean(z**2) > 50


def test_an_estimated_concentration_gives_cells_as_many_genes_as_real_ones_have(truth):
    controls = {
        concentration: np.count_nonzero(dense(truth, "multinomial", stratum=0, concentration=concentration))
        for concentration in ("estimate", None)
    }
    assert controls["estimate"] == pytest.approx(truth.cells.X.nnz, rel=0.02)
    assert controls[None] > 1.03 * truth.cells.X.nnz


@pytest.mark.real_data
def test_so_on_real_cells(shared_data):
    cells = bulkgen.read(shared_data / "kang_ifnb_2000.h5ad")
    made = bulkgen.synthesize(
        cells, by="condition", method="multinomial", control="ctrl", concentration="estimate", n_cells={"ctrl": 1000}
    )
    real = cells[(cells.obs["condition"] == "ctrl").to_numpy()].X
    assert made.X.nnz / 1000 == pytest.approx(real.nnz / real.shape[0], rel=0.03)
