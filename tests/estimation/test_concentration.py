"""Concentrations against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.estimation.concentration import estimate_concentration
from estimation.simulation import negative_binomial_cells


def cells(seed, n_cells, concentration, *, n_genes=200):
    rng = np.random.default_rng(seed)
    profile = rng.dirichlet(np.full(n_genes, 0.3))
    sizes = np.rint(rng.lognormal(7.0, 0.4, n_cells)).astype(int)
    if np.isinf(concentration):
        return sp.csr_matrix(rng.multinomial(sizes, profile).astype(np.float32))
    shares = rng.gamma(np.maximum(concentration * profile, 1e-12), size=(n_cells, n_genes))
    return sp.csr_matrix(rng.multinomial(sizes, shares / shares.sum(axis=1, keepdims=True)).astype(np.float32))


@pytest.mark.parametrize("concentration", [3.0, 50.0, 1000.0])
@pytest.mark.parametrize("n_cells", [10, 1000])
def test_the_concentration_is_found(concentration, n_cells):
    found = [estimate_concentration(cells(s, n_cells, concentration), np.zeros(n_cells, int), 1) for s in range(8)]
    # 10 cells that share their own mean would be 10 % too similar without a correction
    assert np.mean(1 / np.array(found)) == pytest.approx(1 / concentration, rel=0.2 if n_cells == 10 else 0.03)


def test_multinomial_cells_have_next_to_no_concentration_of_their_own():
    assert estimate_concentration(cells(1, 2000, np.inf), np.zeros(2000, int), 1) > 1e5


def test_cells_express_as_many_genes_as_real_ones_whatever_the_strong_genes_do():
    # every gene varies alike, which no concentration can give
    mean = np.random.default_rng(1).lognormal(-1.5, 2.0, 2000)
    real = negative_binomial_cells(2, 400, mean, 0.5)
    found = estimate_concentration(real, np.zeros(400, int), 1)
    rng = np.random.default_rng(3)
    sums = np.asarray(real.sum(axis=0)).ravel()
    profile = (sums + 0.5) / (sums + 0.5).sum()
    shares = rng.gamma(np.broadcast_to(found * profile, (400, 2000)))
    sizes = np.asarray(real.sum(axis=1)).ravel().astype(int)
    made = rng.multinomial(sizes, shares / shares.sum(axis=1, keepdims=True))
    assert (made > 0).sum() == pytest.approx(real.nnz, rel=0.02)
    # a multinomial law has more genes
    assert (rng.multinomial(sizes, profile) > 0).sum() > 1.03 * real.nnz


def test_differences_between_strata_and_cells_left_out_do_not_matter():
    mixed = sp.vstack([cells(1, 500, 100.0), cells(2, 500, 100.0), cells(3, 50, 2.0)], format="csr")
    assert estimate_concentration(mixed, np.repeat([0, 1, -1], [500, 500, 50]), 2) == pytest.approx(100, rel=0.1)


def test_one_cell_or_one_gene_is_refused():
    one_gene = sp.csr_matrix(np.arange(1, 9, dtype=np.float32)[:, None])
    for matrix, codes in ((cells(1, 2, 10.0), np.array([0, 1])), (one_gene, np.zeros(8, int))):
        with pytest.raises(ValueError, match="cannot be estimated"):
            estimate_concentration(matrix, codes, 2)
