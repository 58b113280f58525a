"""Fractions against mixtures of known composition."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.estimation.fractions import cell_fractions, estimate_fractions, marker_genes


@pytest.fixture(scope="module")
def mixtures():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(2000, 0.3), 4)
    truth = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.7, 0.2, 0.1, 0], [0.02, 0.03, 0.05, 0.9]])
    states = np.stack([rng.multinomial(500_000, p) for p in shares])
    return truth, np.stack([rng.multinomial(300_000, p) for p in truth @ shares]), states


@pytest.mark.parametrize("method", ["nnls", "poisson"])
@pytest.mark.parametrize("n_markers", [50, None])
def test_mixtures_of_the_states_are_found(mixtures, method, n_markers):
    truth, bulk, states = mixtures
    found = estimate_fractions(bulk, states, method=method, n_markers=n_markers)
    assert np.abs(found - truth).max() < 0.02
    assert np.all(found >= 0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-15)


def test_differences_between_platforms_do_not_decide(mixtures):
    truth, bulk, states = mixtures
    bias = np.random.default_rng(2).lognormal(0.0, 0.5, bulk.shape[1])
    assert np.abs(estimate_fractions(bulk * bias, states) - truth).mean() < 0.015


def test_depth_does_not_matter(mixtures):
    truth, bulk, states = mixtures
    found = estimate_fractions(bulk / bulk.sum(axis=1, keepdims=True) * 1e6, states)
    assert np.abs(found - truth).max() < 0.02


def test_cells_with_less_rna_are_more_cells():
    np.testing.assert_allclose(cell_fractions(np.array([[0.5, 0.5]]), np.array([1000.0, 3000.0])), [[0.75, 0.25]])


def test_markers_are_genes_above_every_other_state():
    states = np.array([[900.0, 10, 500, 500], [10, 900, 500, 500], [10, 10, 510, 500]])
    assert set(marker_genes(states, 1)) == {0, 1, 2}


def test_one_state_is_all():
    np.testing.assert_array_equal(estimate_fractions(np.ones((2, 3)), np.ones((1, 3))), np.ones((2, 1)))


@pytest.mark.parametrize(
    ("bulk", "states", "options", "message"),
    [
        (np.ones((1, 3)), np.ones((2, 4)), {}, "the same genes"),
        (-np.ones((1, 3)), np.ones((2, 3)), {}, "not negative"),
        (np.zeros((1, 3)), np.eye(2, 3), {}, "bulk profile 0 has no counts"),
        (np.ones((1, 3)), np.eye(2, 3) * [[1], [0]], {}, "state 1 has no counts"),
        (np.ones((1, 3)), np.ones((2, 3)), {"method": "svr"}, "not 'svr'"),
    ],
)
def test_what_cannot_be_divided_is_refused(bulk, states, options, message):
    with pytest.raises(ValueError, match=message):
        estimate_fractions(bulk, states, **options)


@pytest.mark.real_data
def test_wells_of_known_composition(shared_data):
    wells = ad.read_h5ad(shared_data / "scmix_bulk90.h5ad")
    cells = ad.read_h5ad(shared_data / "scmix_5cl_celseq2.h5ad")
    cells = cells[cells.obs["clean_singlet"].astype(bool)]
    genes = wells.var_names.intersection(cells.var_names)
    lines = ["H1975", "H2228", "HCC827"]
    of_line = [sp.csr_matrix(cells[cells.obs["cell_line"] == line].X) for line in lines]
    sizes = np.array([matrix.sum() / matrix.shape[0] for matrix in of_line])
    states = np.stack([np.asarray(matrix.sum(axis=0)).ravel() for matrix in of_line])
    states = states[:, cells.var_names.get_indexer(genes)]
    truth = wells.obs[lines].to_numpy(float)
    truth /= truth.sum(axis=1, keepdims=True)

    def error(**options):
        found = estimate_fractions(sp.csr_matrix(wells[:, genes].X).toarray(), states, **options)
        return np.abs(cell_fractions(found, sizes) - truth).mean()

    # equal fractions for all wells are off by 0.198
    assert error() < 0.05
    assert error(method="poisson") < 0.07
    assert error(method="poisson", n_markers=None) > 2 * error()
