"""Mixture: the states that a tissue's bulk is made of, and their cells."""

from __future__ import annotations

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import bulkgen
from bulkgen.errors import LabelError
from count_cases import make_cells, matrix_bytes
from generator_cases import deviations, measured, negative_binomial

STATES = ["a", "b", "c"]
SHARES = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
SIZES = np.array([1000.0, 2000.0, 4000.0])


@pytest.fixture(scope="module")
def tissue():
    """Reference cells of three states, their profiles, and two bulks of known fractions of cells."""
    rng = np.random.default_rng(4)
    profiles = rng.dirichlet(np.full(300, 0.4), 3)
    counts = [
        negative_binomial(rng, profile, rng.lognormal(np.log(size), 0.3, 300), 0.2).toarray()
        for profile, size in zip(profiles, SIZES, strict=True)
    ]
    cells = make_cells(np.vstack(counts), state=np.repeat(STATES, 300).astype(object))
    return cells, profiles, bulk_of(rng, profiles)


def bulk_of(rng, profiles, change=1.0):
    rna = SHARES * SIZES
    expected = rna @ profiles * change
    reads = [rng.multinomial(5_000_000, row / row.sum()) for row in expected]
    return measured(np.stack(reads), label=["healthy", "tumour"])


def fit(bulk, cells, **parameters):
    return bulkgen.fit_generator(bulk, reference=cells, method="mixture", states="state", **parameters)


@pytest.mark.parametrize("fractions", ["nnls", "poisson"])
def test_planted_fractions_are_found_and_drawn(tissue, fractions):
    cells, _, bulk = tissue
    fitted = fit(bulk, cells, fractions=fractions)
    np.testing.assert_allclose(fitted.fitted.fractions, SHARES, atol=0.02)
    n = 4000
    made = bulkgen.synthesize(fitted=fitted, n_cells=n, rng=1)
    for name, share in zip(("healthy", "tumour"), fitted.fitted.fractions, strict=True):
        here = made.obs.loc[made.obs["label"] == name, "state"]
        drawn = here.value_counts(normalize=True)[STATES].to_numpy()
        assert np.abs((drawn - share) / np.sqrt(share * (1 - share) / n)).max() < 4
    # every donor is a cell of the state that is said
    assert np.array_equal(cells.obs["state"].to_numpy()[made.obs["donor"]], made.obs["state"].to_numpy())


def test_what_states_do_not_explain_moves_their_cells(tissue):
    cells, profiles, _ = tissue
    rng = np.random.default_rng(2)
    change = np.where(rng.random(300) < 0.03, 3.0, 1.0)
    bulk = bulk_of(rng, profiles, change)
    made = {
        residual: bulkgen.synthesize(fitted=fit(bulk, cells, residual=residual), n_cells=3000, rng=3).X.toarray()
        for residual in (True, False)
    }
    for stratum in (0, 1):
        here = slice(3000 * stratum, 3000 * (stratum + 1))
        target = bulk.X[stratum] / bulk.X[stratum].sum()
        changed = (change > 1) & (target > 1e-4)
        moved, unmoved = (made[residual][here].sum(axis=0) / made[residual][here].sum() for residual in (True, False))
        assert np.median(moved[changed] / target[changed]) == pytest.approx(1, abs=0.1)
        assert np.median(unmoved[changed] / target[changed]) < 0.6


def test_without_the_residual_cells_are_real_ones(tissue):
    cells, _, bulk = tissue
    made = bulkgen.synthesize(fitted=fit(bulk, cells, residual=False), n_cells=500, rng=1)
    assert matrix_bytes(made.X.toarray()) == matrix_bytes(np.asarray(cells.X, np.float32)[made.obs["donor"]])


def test_one_state_is_donor_shift_from_the_sum_of_its_cells(tissue):
    cells, profiles, _ = tissue
    one = cells[cells.obs["state"] == "b"].copy()
    rng = np.random.default_rng(9)
    treated = profiles[1] * np.exp2(rng.normal(size=300) * 0.7)
    treated /= treated.sum()
    bulk = measured(rng.multinomial(20_000_000, treated)[None], label=["treated"])
    fitted = fit(bulk, one)
    assert fitted.fitted.fractions.tolist() == [[1.0]]
    made = bulkgen.synthesize(fitted=fitted, n_cells=3000, rng=1)
    assert set(made.obs["state"]) == {"b"}
    # 300 donors, ten times each
    z = deviations(made.X, one.X.sum(axis=1).mean() * treated) / np.sqrt(10)
    assert np.abs(z).max() < 4
    controls = one.copy()
    controls.obs["label"] = "ctrl"
    with pytest.warns(UserWarning, match="the sum of the control cells takes its place"):
        shifted = bulkgen.synthesize(
            bulk, reference=controls, method="donor_shift", control="ctrl", n_cells=3000, rng=1
        )
    np.testing.assert_allclose(made.X.mean(axis=0), shifted.X.mean(axis=0), rtol=0.1, atol=0.02)


def test_a_fit_grows_with_strata_and_states_not_with_their_product(tissue):
    """Plans are made when cells are drawn, at most those of two strata are kept, and a plan made again is the same."""
    cells, _, bulk = tissue
    n_strata, n_genes = 40, bulk.n_vars
    reads = np.random.default_rng(6).poisson(np.asarray(bulk.X)[np.arange(n_strata) % 2] / 10)
    many = measured(reads, label=[f"s{stratum:02}" for stratum in range(n_strata)])
    fitted = fit(many, cells, heterogeneity=0.3, renoise=0.1).fitted

    def draw(stratum, first_cell=0):
        return fitted.sample(stratum, 30, key=5, first_cell=first_cell, threads=1)

    first = draw(3)
    for stratum in range(n_strata):
        draw(stratum)
    assert fitted._plan.cache_info().currsize == 2 * len(STATES)
    assert matrix_bytes(draw(3).toarray()) == matrix_bytes(first.toarray())
    # beside the donors: a ratio per stratum and gene, a profile and a dispersion per state and gene
    state = fitted.state()
    size = sum(state[name].size for name in ("profiles", "dispersions", "ratios"))
    assert size == (n_strata + 2 * len(STATES)) * n_genes
    assert sum(np.size(value) for value in state.values() if not isinstance(value, dict)) < 1.2 * size
    # a fit that has drawn cells goes to other processes as one that has not
    sent = pickle.loads(pickle.dumps(fitted))
    again = sent.sample(0, 8, key=1, first_cell=0, threads=1)
    expected = fitted.sample(0, 8, key=1, first_cell=0, threads=1)
    assert np.array_equal(again.toarray(), expected.toarray())


def test_states_without_counts_are_refused(tissue):
    cells, _, bulk = tissue
    empty = cells.copy()
    empty.X = np.where((cells.obs["state"] == "c").to_numpy()[:, None], 0, cells.X)
    with pytest.raises(LabelError, match="no cell of state 'c' has counts; leave the state out"):
        fit(bulk, empty)
    with pytest.raises(LabelError, match="no column 'line'"):
        bulkgen.fit_generator(bulk, reference=cells, method="mixture", states="line")


@pytest.mark.real_data
def test_wells_of_known_composition_become_cells(shared_data):
    wells = ad.read_h5ad(shared_data / "scmix_bulk90.h5ad")
    cells = bulkgen.read(shared_data / "scmix_5cl_celseq2.h5ad")
    lines = ["H1975", "H2228", "HCC827"]
    kept = cells.obs["clean_singlet"].to_numpy() & cells.obs["cell_line"].isin(lines).to_numpy()
    cells = cells[kept].copy()
    cells.obs["cell_line"] = cells.obs["cell_line"].astype(str)
    wells = wells[:, wells.var_names.isin(cells.var_names)].copy()
    wells.obs["well"] = wells.obs_names
    profiles = bulkgen.bulk_profiles(bulkgen.read_bulk(wells), by="well")
    truth = wells.obs.loc[profiles.obs["well"], lines].to_numpy(float)
    truth /= truth.sum(axis=1, keepdims=True)
    fitted = bulkgen.fit_generator(profiles, reference=cells, method="mixture", states="cell_line")
    order = [fitted.fitted.states.split("\n").index(line) for line in lines]
    # equal fractions for all wells are off by 0.198
    assert np.abs(fitted.fitted.fractions[:, order] - truth).mean() < 0.05
    n = 200
    made = bulkgen.synthesize(fitted=fitted, n_cells=n, rng=0)
    drawn = pd.crosstab(made.obs["well"], made.obs["state"]).loc[profiles.obs["well"], lines].to_numpy() / n
    assert np.abs(drawn - truth).mean() < 0.06

    # moved cells are still of their line: nearest to its profile by rank
    def logs(X):
        return np.log1p(1e4 * X / X.sum(axis=1, keepdims=True))

    dense = cells[:, made.var_names].X.toarray()
    centres = np.stack([logs(dense[(cells.obs["cell_line"] == line).to_numpy()]).mean(axis=0) for line in lines])
    likeness = np.corrcoef(np.vstack([centres, logs(made.X[::7].toarray())]))[3:, :3]
    assert (np.asarray(lines)[likeness.argmax(axis=1)] == made.obs["state"].to_numpy()[::7]).mean() > 0.97
    # and together they are the well
    for well in range(0, 21, 5):
        here = made.X[n * well : n * (well + 1)].sum(axis=0)
        assert np.corrcoef(np.log1p(np.asarray(here).ravel()), np.log1p(profiles.X[well]))[0, 1] > 0.9
