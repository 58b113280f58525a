"""Pseudo-bulk as a generator: sums of distinct cells of the stratum, regrouped without end."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.errors import LabelError
from count_cases import labelled_cells, make_cells
from generator_cases import negative_binomial


@pytest.fixture(scope="module")
def marked():
    """Cell i has one molecule, of gene i: sums say which cells are in them."""
    return make_cells(sp.identity(50, np.float32, "csr"), label=np.repeat(["A", "B"], [30, 20]).astype(object))


@pytest.mark.parametrize("k", [1, 4, 7])
def test_a_group_is_the_sum_of_k_distinct_cells_of_its_stratum(marked, k):
    made = bulkgen.synthesize(marked, by="label", method="pseudobulk", k=k, n_cells=90)
    X = made.X.toarray()
    assert set(np.unique(X)) == {0, 1}
    assert (X.sum(axis=1) == k).all()
    assert X[:90, 30:].sum() == X[90:, :30].sum() == 0
    # no cell comes again before all full groups of an order are used
    orders = 30 // k
    for first in range(0, 90 - orders, orders):
        assert X[first : first + orders].sum(axis=0).max() == 1
    # and the next order is another one
    assert k == 1 or not np.array_equal(X[:orders], X[orders : 2 * orders])
    if k == 1:
        assert not np.array_equal(X[:30], X[30:60])


def test_a_stratum_of_fewer_cells_is_one_group(marked):
    made = bulkgen.synthesize(marked, by="label", method="pseudobulk", k=25, n_cells=3)
    assert made.X.sum(axis=1).ravel().tolist() == [[25] * 3 + [20] * 3]


def test_thinned_groups_have_the_library_sizes_of_cells_and_the_profile():
    rng = np.random.default_rng(1)
    profile = rng.dirichlet(np.ones(40))
    sizes = rng.lognormal(6.5, 0.5, 400)
    cells = make_cells(negative_binomial(rng, profile, sizes, 0.5), label=np.full(400, "A", object))
    made, summed = (
        bulkgen.synthesize(cells, by="label", method="pseudobulk", k=20, thin=thin, n_cells=2000).X
        for thin in (True, False)
    )
    real = np.asarray(cells.X.sum(axis=1)).ravel()
    found = np.asarray(made.sum(axis=1)).ravel()
    assert summed.sum() == pytest.approx(20 * real.sum() * 5, rel=1e-6)
    assert found.mean() == pytest.approx(real.mean(), rel=0.03)
    np.testing.assert_allclose(np.quantile(found, [0.1, 0.5, 0.9]), np.quantile(real, [0.1, 0.5, 0.9]), rtol=0.08)
    share = np.asarray(made.sum(axis=0)).ravel() / made.sum()
    real_share = np.asarray(cells.X.sum(axis=0)).ravel() / real.sum()
    strong = real_share > 0.01
    np.testing.assert_allclose(share[strong], real_share[strong], rtol=0.05)


def test_every_stratum_must_have_cells():
    cells = labelled_cells(1, {"A": 20, "B": 20})
    profiles = bulkgen.bulk_profiles(cells, by="label")
    with pytest.raises(LabelError, match="the reference has no cells of stratum 'B', and pseudo-bulk is made of them"):
        bulkgen.synthesize(profiles, reference=cells[cells.obs["label"] == "A"].copy(), method="pseudobulk")
