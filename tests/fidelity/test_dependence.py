"""Dependence between genes."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.fidelity.dependence import correlations, dependence_metrics


def test_correlations_are_those_of_numpy_and_zero_for_constants():
    values = np.random.default_rng(1).poisson(0.3, (50, 8)).astype(np.float32)
    assert correlations(values) == pytest.approx(np.corrcoef(values.T))
    # 0.1 has no exact float32: its mean over cells is not quite itself
    values[:, 3] = 0.1
    result = correlations(values)
    assert not result[3].any()
    assert not result[:, 3].any()


def test_training_cells_find_every_correlation_again(space, training):
    values = dependence_metrics(space, space.view(training.as_synthetic()), "drug a")
    assert values["correlation_slope"] == pytest.approx(1)
    assert values["eigen_spectrum_ratio"] == pytest.approx(1, abs=0.1)


def test_genes_drawn_independently_find_none_again(space, make_cells):
    alike = dependence_metrics(space, space.view(make_cells(150, 3)), "drug a")
    apart = dependence_metrics(space, space.view(make_cells(150, 3, dependent=False)), "drug a")
    assert alike["correlation_slope"] == pytest.approx(1, abs=0.1)
    # the common library size remains, which normalisation takes out
    assert apart["correlation_slope"] == pytest.approx(0, abs=0.1)
    assert apart["eigen_spectrum_ratio"] < 0.8 < alike["eigen_spectrum_ratio"]
    assert apart["correlation_difference"] > 1.1 * alike["correlation_difference"]
