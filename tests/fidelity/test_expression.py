"""Metrics of single cells and single genes against SciPy and plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from bulkgen.fidelity.expression import concordance, curve_difference, expression_metrics, ks_per_column
from bulkgen.fidelity.representation import column_moments
from bulkgen.fidelity.view import Undefined


@pytest.mark.parametrize("sizes", [(40, 40), (31, 57), (1, 9)])
def test_ks_of_each_column_is_that_of_scipy(sizes):
    rng = np.random.default_rng(1)
    # 450 columns: more than are sorted at once; few distinct values: most are tied
    x, y = (rng.poisson(rng.uniform(0, 3, 450), (n, 450)) for n in sizes)
    expected = [ks_2samp(x[:, i], y[:, i], method="asymp").statistic for i in range(450)]
    assert ks_per_column(x, y) == pytest.approx(expected, abs=1e-12)


def test_concordance_is_one_for_equals_and_falls_with_scale_and_offset():
    x = np.random.default_rng(2).normal(size=200)
    assert concordance(x, x) == pytest.approx(1)
    # by hand: 2 cov / (var x + var y + (difference of means)²)
    assert concordance(x, x + 1) == pytest.approx(2 * x.var() / (2 * x.var() + 1))
    assert concordance(x, 2 * x) == pytest.approx(4 * x.var() / (5 * x.var() + x.mean() ** 2))
    assert concordance(x, -(x - x.mean()) + x.mean()) == pytest.approx(-1)
    with pytest.raises(Undefined, match="one and the same value"):
        concordance(np.ones(3), np.ones(3))


def test_curves_are_compared_at_equal_means():
    rng = np.random.default_rng(3)
    mean = rng.uniform(-5, 5, 4000)
    line = (mean, 2 * mean)
    other = rng.uniform(-5, 5, 4000)
    # other genes' means, but the same variance for a mean: only the widths of the bins remain
    assert curve_difference(line, (other, 2 * other)) < 0.15
    assert curve_difference(line, (other, 2 * other + 1)) == pytest.approx(1, abs=0.1)
    with pytest.raises(Undefined, match="no range of means"):
        curve_difference(line, (other[:3], other[:3]))


def test_moments_of_sparse_columns_are_those_of_numpy(space):
    counts = space.test["control"].counts
    mean, variance = column_moments(counts)
    dense = counts.toarray().astype(np.float64)
    assert mean == pytest.approx(dense.mean(axis=0))
    assert variance == pytest.approx(dense.var(axis=0, ddof=1))


def test_the_test_cells_themselves_are_perfect(space):
    values = expression_metrics(space, space.view(space.test.cells), "drug a")
    for name, value in values.items():
        assert value == pytest.approx(1 if "concordance" in name else 0, abs=1e-12), name


def test_half_of_the_library_size_is_a_distance_of_one(space, make_cells):
    cells = make_cells(150, 2)
    cells.counts.data *= 2
    values = expression_metrics(space, space.view(cells), "control")
    assert values["library_size_wasserstein"] == pytest.approx(1, abs=0.01)
    assert values["zero_fraction_wasserstein"] == 0
    assert values["gene_mean_concordance"] < 0.95


def test_noise_of_each_gene_is_found_in_zeros_and_variances(space, make_cells):
    values = [
        expression_metrics(space, space.view(make_cells(150, 3, noise=noise)), "drug a") for noise in (0.0, 0.6, 1.2)
    ]
    for name, sign in (("gene_variance_concordance", -1), ("mean_variance_curve", 1), ("gene_ks", 1)):
        assert (np.diff([sign * value[name] for value in values]) > 0).all(), name
