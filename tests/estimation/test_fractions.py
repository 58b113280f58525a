"""Fractions of states in mixtures, simulated and measured."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.errors import CountsError
from bulkgen.estimation.fractions import marker_genes, state_fractions


def simulate(rng, bias=0.0, n_genes=3000, n_states=4):
    base = rng.lognormal(0, 1.5, n_genes)
    states = base * rng.lognormal(0, 0.7, (n_states, n_genes))
    states /= states.sum(axis=1, keepdims=True)
    fractions = rng.dirichlet(np.ones(n_states), 10)
    mixture = fractions @ states * rng.lognormal(0, bias, n_genes)
    mixture /= mixture.sum(axis=1, keepdims=True)
    return rng.poisson(3e5 * states), fractions, rng.poisson(1e6 * mixture)


@pytest.mark.parametrize("method", ["poisson", "nnls"])
def test_fractions_are_recovered(method):
    states, fractions, bulk = simulate(np.random.default_rng(1))
    found = state_fractions(bulk, states, method=method)
    assert np.abs(found - fractions).max() < 0.08
    assert np.all(found >= 0)
    assert found.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("method", ["poisson", "nnls"])
def test_a_bias_per_gene_is_borne_only_if_it_is_allowed_for(method):
    states, fractions, bulk = simulate(np.random.default_rng(2), bias=0.7)
    errors = [
        np.abs(state_fractions(bulk, states, method=method, gene_deviation=deviation) - fractions).mean()
        for deviation in (0.0, 0.5)
    ]
    assert errors[1] < 0.8 * errors[0]
    assert errors[1] < 0.04


def test_a_mixture_of_one_state_is_that_state():
    states, _, _ = simulate(np.random.default_rng(3))
    assert state_fractions(states[2], states)[0] == pytest.approx([0, 0, 1, 0], abs=0.01)


def test_fractions_of_cells_allow_for_the_size_of_cells():
    states, _, _ = simulate(np.random.default_rng(4), n_states=2)
    share = states / states.sum(axis=1, keepdims=True)
    # as many cells of each; those of the first have three times the molecules
    bulk = 1e6 * (0.75 * share[0] + 0.25 * share[1])
    assert state_fractions(bulk, states)[0] == pytest.approx([0.75, 0.25], abs=0.02)
    assert state_fractions(bulk, states, library_sizes=[3000, 1000])[0] == pytest.approx([0.5, 0.5], abs=0.02)


def test_markers_are_the_genes_of_one_state():
    states = np.array([[900, 10, 500, 3], [900, 300, 0, 0], [900, 10, 0, 0]])
    assert {1, 2} <= set(marker_genes(states, per_state=2).tolist())
    assert 3 not in marker_genes(states, per_state=4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="same genes"):
        state_fractions(np.ones(3), np.ones((2, 4)))
    with pytest.raises(ValueError, match="two states"):
        marker_genes(np.ones((1, 4)))
    with pytest.raises(CountsError, match="without counts"):
        state_fractions(np.zeros(4), np.ones((2, 4)))
    with pytest.raises(ValueError, match="gene_deviation"):
        state_fractions(np.ones(4), np.ones((2, 4)), gene_deviation=-1)


@pytest.mark.real_data
def test_wells_of_ninety_cells_have_the_composition_that_was_put_in(shared_data):
    from bulkgen.io import read

    bulk = read(shared_data / "scmix_bulk90.h5ad")
    cells = read(shared_data / "scmix_5cl_celseq2.h5ad")
    cells = cells[cells.obs["clean_singlet"].to_numpy(bool)]
    lines = ["H1975", "H2228", "HCC827"]
    genes = list(bulk.var_names.intersection(cells.var_names))
    totals = [cells[cells.obs["cell_line"] == line, genes].X.sum(axis=1) for line in lines]
    states = np.array([np.ravel(cells[cells.obs["cell_line"] == line, genes].X.sum(axis=0)) for line in lines])
    found = state_fractions(
        bulk[:, genes].X.toarray(),
        states,
        genes=marker_genes(states),
        library_sizes=[np.mean(total) for total in totals],
    )
    truth = bulk.obs[lines].to_numpy(np.float64) / 90
    assert np.abs(found - truth).mean() < 0.08
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.9
