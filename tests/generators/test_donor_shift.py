"""Donor shift: what becomes of real control cells."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bulkgen
from bulkgen.errors import LabelError
from count_cases import make_cells, matrix_bytes
from generator_cases import deviations, experiment, measured, negative_binomial

pytestmark = pytest.mark.laws

N = 2000


@pytest.fixture(scope="module")
def truth():
    return experiment(1)


def fit_of(truth, **parameters):
    return bulkgen.fit_generator(
        truth.bulk, reference=truth.cells, method="donor_shift", **{"control": "ctrl", **parameters}
    ).fitted


def draw(fitted, stratum=1, n_cells=N):
    return fitted.sample(stratum, n_cells, key=5, first_cell=0, threads=None)


def donors(fitted, stratum=1, n_cells=N):
    return fitted.cell_columns(stratum, n_cells, key=5, first_cell=0)["donor"]


def dispersion_of(counts, size):
    mean = size[:, None] * counts.sum(axis=0) / counts.sum()
    return ((counts - mean) ** 2 - mean).sum(axis=0) / (mean**2).sum(axis=0), mean.mean(axis=0)


def test_the_control_is_made_of_its_donors_bit_for_bit(truth):
    fitted = fit_of(truth)
    assert matrix_bytes(draw(fitted, 0)) == matrix_bytes(truth.cells.X[donors(fitted, 0)])


def test_every_donor_is_used_before_one_is_used_twice(truth):
    fitted = fit_of(truth)
    used = donors(fitted, 1, 2 * N)
    assert set(used[:N]) == set(used[N:]) == set(range(N))


def test_cells_are_their_donors_moved_gene_by_gene(truth):
    fitted = fit_of(truth)
    plan = fitted.plans[1]
    x = truth.cells.X[donors(fitted)].toarray()
    y = draw(fitted).toarray()
    lost, same, gained = plan.ratio < 1, plan.ratio == 1, plan.ratio > 1
    assert np.all(y[:, lost] <= x[:, lost])
    assert np.all(y[:, gained] >= x[:, gained])
    assert np.array_equal(y[:, same], x[:, same])
    # binomial below 1; above, Poisson about the gamma rate of a cell that showed x
    profile = x.sum(axis=0) + 0.5
    profile /= profile.sum()
    mu, excess = x.sum(axis=1, keepdims=True) * profile, plan.overdispersion * x.sum(axis=1, keepdims=True)
    rate = (mu + excess * x) / (1 + excess)
    mean = np.where(plan.ratio < 1, plan.ratio * x, x + (plan.ratio - 1) * rate)
    seen = y.sum(axis=0) > 100
    error = (y - mean).std(axis=0)[seen] / np.sqrt(N)
    z = np.divide((y - mean).mean(axis=0)[seen], error, out=np.zeros(seen.sum()), where=error > 0)
    assert np.abs(z).max() < 4
    assert 0.7 < np.mean(z**2) < 1.4


def test_library_sizes_stay(truth):
    fitted = fit_of(truth)
    before = np.asarray(truth.cells.X[donors(fitted)].sum(axis=1)).ravel()
    after = np.asarray(draw(fitted).sum(axis=1)).ravel()
    assert after.mean() == pytest.approx(before.mean(), rel=0.02)
    assert np.corrcoef(before, after)[0, 1] > 0.9


@pytest.mark.parametrize("parameters", [{}, {"renoise": 0.6}], ids=str)
def test_the_dispersion_stays(truth, parameters):
    made = draw(fit_of(truth, **parameters)).toarray()
    true_sizes = np.asarray(truth.cells.X[donors(fit_of(truth, **parameters))].sum(axis=1)).ravel()
    real, _ = dispersion_of(truth.cells.X.toarray(), np.asarray(truth.cells.X.sum(axis=1)).ravel())
    found, mean = dispersion_of(made, true_sizes)
    strong = mean > 3
    assert np.median(found[strong]) == pytest.approx(np.median(real[strong]), rel=0.05)
    assert np.median(found[strong]) == pytest.approx(truth.dispersion, rel=0.08)


def test_correlations_of_the_donors_stay():
    rng = np.random.default_rng(2)
    n_genes = 60
    profile = rng.dirichlet(np.full(n_genes, 5.0))
    program = np.exp(0.7 * rng.normal(size=(N, 1)) * (np.arange(n_genes) < 20))
    counts = rng.poisson(program * profile * 3000).astype(np.float32)
    cells = make_cells(counts, label=np.full(N, "ctrl", object))
    changed = profile * np.exp2(rng.choice([-1.0, 0.0, 1.0], n_genes))
    bulk = measured(
        np.stack([rng.multinomial(10**7, p / p.sum()) for p in (counts.sum(axis=0), changed)]),
        label=["ctrl", "treated"],
    )
    made = bulkgen.synthesize(bulk, reference=cells, method="donor_shift", control="ctrl", n_cells={"treated": N})

    def correlation(X):
        return np.corrcoef(np.log1p(X).T)[np.triu_indices(n_genes, 1)]

    assert np.corrcoef(correlation(counts), correlation(made.X.toarray()))[0, 1] > 0.95


def test_renoise_changes_every_cell_alike_and_no_mean(truth):
    plain, fitted = fit_of(truth), fit_of(truth, renoise=0.4)
    for stratum in (0, 1):
        assert np.array_equal(donors(fitted, stratum), donors(plain, stratum))
    before = truth.cells.X[donors(fitted, 0)]
    control = draw(fitted, 0)
    change = (control - before).toarray()
    assert (change != 0).any(axis=1).all()
    z = change.mean(axis=0) / np.maximum(change.std(axis=0), 1e-9) * np.sqrt(N)
    assert np.abs(z).max() < 4
    # 60 % of the molecules are the donor's, and of the others many are of its genes again
    assert 0.6 < control.minimum(before).sum() / before.sum() < 0.95
    np.testing.assert_allclose(draw(fitted).sum(), draw(plain).sum(), rtol=0.02)


def test_heterogeneity_spreads_the_response_and_no_mean(truth):
    changed = np.log2(truth.treated / truth.control)
    spread = []
    for heterogeneity in (0.0, 0.9):
        fitted = fit_of(truth, heterogeneity=heterogeneity)
        made = draw(fitted).toarray()
        size = made.sum(axis=1)
        z = deviations(made, size.mean() * truth.treated)
        assert np.mean(z**2) < 1.4
        # where a cell lies between control and treated
        share = made / size[:, None] / np.sqrt(truth.control + truth.treated)
        spread.append(np.var(share @ (changed * np.sqrt(truth.control))))
    assert spread[1] > 1.5 * spread[0]
    # the control does not respond, whatever the law of responses
    fitted = fit_of(truth, heterogeneity=0.9)
    assert matrix_bytes(draw(fitted, 0)) == matrix_bytes(truth.cells.X[donors(fitted, 0)])


def test_a_dose_is_a_share_of_the_log_ratios(truth):
    full, half, none = (fit_of(truth, dose=dose) for dose in (1.0, 0.5, 0.0))
    assert matrix_bytes(draw(none)) == matrix_bytes(truth.cells.X[donors(none)])
    logs = np.log(full.plans[1].ratio)
    # but for the scale that keeps the library size
    assert np.ptp(np.log(half.plans[1].ratio) - logs / 2) < 1e-12
    sizes = [draw(fitted).sum() for fitted in (full, half, none)]
    np.testing.assert_allclose(sizes, sizes[2], rtol=0.02)
    made = draw(half)
    middle = np.sqrt(truth.control * truth.treated)
    z = deviations(made, made.sum() / N * middle / middle.sum())
    assert np.abs(z).max() < 4.5


def test_pairing(truth):
    bulk = measured(np.random.default_rng(1).multinomial(10**6, truth.control, size=3), label=["ctrl", "a", "b"])
    used = {}
    for pairing in ("shared", "disjoint"):
        made = bulkgen.synthesize(
            bulk, reference=truth.cells, method="donor_shift", control="ctrl", pairing=pairing, n_cells=300
        )
        used[pairing] = [made.obs.loc[made.obs["label"] == name, "donor"].to_numpy() for name in ("ctrl", "a", "b")]
    assert np.array_equal(used["shared"][0], used["shared"][1])
    assert np.array_equal(used["shared"][0], used["shared"][2])
    sets = [set(donor) for donor in used["disjoint"]]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 900
    few = truth.cells[:10].copy()
    many = measured(
        np.random.default_rng(1).multinomial(10**6, truth.control, size=12), label=["ctrl", *map(str, range(11))]
    )
    with pytest.raises(LabelError, match=r"10 control cells cannot be shared out to 12 strata; use pairing='shared'"):
        bulkgen.fit_generator(many, reference=few, method="donor_shift", control="ctrl", pairing="disjoint")


@pytest.fixture(scope="module")
def two_types():
    """Control and treated cells of two types with profiles of their own; gene 0 rises in T, gene 1 falls in B."""
    rng = np.random.default_rng(6)
    profile = {kind: rng.dirichlet(np.full(50, 1.0)) for kind in "TB"}
    change = {kind: np.ones(50) for kind in "TB"}
    change["T"][:10], change["B"][10:20] = 4.0, 0.25
    label, kind = np.tile(["ctrl", "drug"], 400), np.repeat(["T", "B"], 400)
    rates = {
        (x, t): profile[t] * (change[t] if x == "drug" else 1.0) / (profile[t] * change[t]).sum() ** (x == "drug")
        for x in ("ctrl", "drug")
        for t in "TB"
    }
    counts = np.vstack(
        [negative_binomial(rng, rates[x, t], [2000.0], 0.2).toarray() for x, t in zip(label, kind, strict=True)]
    )
    return make_cells(counts, label=label.astype(object), type=kind.astype(object)), rates


def test_every_stratum_has_the_donors_of_its_own_type(two_types):
    cells, rates = two_types
    controls = cells[cells.obs["label"] == "ctrl"].copy()
    profiles = bulkgen.bulk_profiles(cells, by=["label", "type"])
    made = bulkgen.synthesize(
        profiles, reference=controls, method="donor_shift", control="ctrl", control_by=["type"], n_cells=400
    )
    assert np.array_equal(controls.obs["type"].to_numpy()[made.obs["donor"]], made.obs["type"].to_numpy())
    for (label, kind), rate in rates.items():
        here = made[((made.obs["label"] == label) & (made.obs["type"] == kind)).to_numpy()].X
        real = cells[((cells.obs["label"] == label) & (cells.obs["type"] == kind)).to_numpy()].X.mean(axis=0)
        strong = rate * 2000 > 5
        # the bulk is the sum of 200 cells: as far off as these are
        np.testing.assert_allclose(np.asarray(here.mean(axis=0)).ravel()[strong], real[strong], rtol=0.15)
    pooled = bulkgen.synthesize(profiles, reference=controls, method="donor_shift", control="ctrl", n_cells=400)
    assert set(controls.obs["type"].to_numpy()[pooled.obs["donor"][:400]]) == {"T", "B"}


def test_a_bulk_without_its_control_falls_back_on_the_control_cells(truth):
    with pytest.warns(UserWarning, match="control='ctrl' names no stratum of the bulk.*the sum of the control cells"):
        fallen = bulkgen.synthesize(
            truth.bulk[["treated"]], reference=truth.cells, method="donor_shift", control="ctrl", n_cells=N, rng=3
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        full = bulkgen.synthesize(
            truth.bulk, reference=truth.cells, method="donor_shift", control="ctrl", n_cells={"treated": N}, rng=3
        )
    # without a bias of the bulk the cells are the same but for noise
    np.testing.assert_allclose(fallen.X.mean(axis=0), full.X.mean(axis=0), rtol=0.1, atol=0.05)
