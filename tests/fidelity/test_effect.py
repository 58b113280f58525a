"""Effects: fold changes and differential genes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import ttest_ind

from bulkgen.fidelity import Cells, Space
from bulkgen.fidelity.effect import contrast, effect_metrics, top_genes
from bulkgen.fidelity.view import GeneMeans, Undefined


def test_t_against_a_control_is_welchs():
    rng = np.random.default_rng(1)
    x, y = rng.poisson(2, (40, 6)), rng.poisson(3, (25, 6))
    x[:, 5] = y[:, 5] = 1
    means = [GeneMeans(v.mean(0), v.mean(0), v.var(0, ddof=1), len(v)) for v in (x, y)]
    result = contrast(means[0], [means[1]])
    assert result.t[:5] == pytest.approx(ttest_ind(x[:, :5], y[:, :5], equal_var=False).statistic)
    assert result.t[5] == 0
    assert result.fold_change[5] == 0
    assert result.fold_change[0] == pytest.approx(np.log2((x[:, 0].mean() + 0.01) / (y[:, 0].mean() + 0.01)))


def test_top_genes_are_those_of_largest_t_among_the_allowed():
    t = np.array([5.0, -7.0, 1.0, 9.0])
    assert top_genes(t, np.array([0, 1, 2]), 2).tolist() == [1, 0]


def test_cells_of_the_same_law_have_the_real_effect(space, make_cells):
    values = effect_metrics(space, space.view(make_cells(150, 3)), "drug a")
    assert values["fold_change_slope"] == pytest.approx(1, abs=0.1)
    assert values["fold_change_correlation"] > 0.9
    # 30 genes are differential; the rest of a top list is chance
    assert values["de_overlap_50"] > 0.6


def test_the_test_cells_themselves_are_perfect(space):
    values = effect_metrics(space, space.view(space.test.cells), "drug b")
    assert values == pytest.approx(dict.fromkeys(values, 1.0))


def test_an_effect_halved_in_the_logarithm_has_half_of_the_slope(space, make_cells):
    halved = make_cells(600, 4)
    dense = halved.counts.toarray()
    control = dense[halved.labels == "control"]
    factor = np.sqrt((control.mean(0) + 1e-3) / (dense[halved.labels == "drug a"].mean(0) + 1e-3))
    dense[halved.labels == "drug a"] *= factor
    cells = Cells(sp.csr_matrix(dense.astype(np.float32)), halved.labels, halved.genes)
    values = effect_metrics(space, space.view(cells), "drug a")
    assert values["fold_change_slope"] == pytest.approx(0.5, abs=0.07)


def test_classes_without_any_effect_have_no_slope_and_no_correlation(space, make_cells):
    cells = make_cells(150, 5)
    shuffled = Cells(cells.counts, np.random.default_rng(0).permutation(cells.labels), cells.genes)
    values = effect_metrics(space, space.view(shuffled), "drug a")
    assert values["fold_change_slope"] == pytest.approx(0, abs=0.1)


def test_the_control_has_no_effect_and_without_a_control_every_class_has_one(space, training, make_cells):
    with pytest.raises(Undefined, match="control class"):
        effect_metrics(space, space.view(training), "control")
    rest = Space.fit(training, space.test.cells, key=5)
    values = effect_metrics(rest, rest.view(make_cells(150, 3)), "control")
    assert values["fold_change_slope"] == pytest.approx(1, abs=0.1)


def test_the_mean_of_the_others_does_not_depend_on_their_numbers_of_cells(training, make_cells):
    test = make_cells(150, 2)
    space = Space.fit(training, test, key=5)
    many = make_cells(150, 3)
    few = many.take(np.concatenate([many.rows("control"), many.rows("drug a"), many.rows("drug b")[:40]]))
    slopes = [effect_metrics(space, space.view(c), "control")["fold_change_slope"] for c in (many, few)]
    assert slopes[0] == pytest.approx(slopes[1], abs=0.1)
