"""Donors moved by the ratios of bulk profiles."""

from __future__ import annotations

import numpy as np
import pytest

import bulkgen
from fidelity.benchmark_cases import made_up_cells

CELLS = made_up_cells(per_label=60)


def moved(**options: object):
    options = {"by": "drug", "method": "donor_shift", "control": "none", "n_cells": 400} | options
    return bulkgen.synthesize(CELLS, **options)


@pytest.mark.parametrize("dose", [0.25, 0.5, 2.0])
def test_a_dose_changes_genes_and_not_library_sizes(dose):
    cells = moved(dose=dose)
    total = np.asarray(cells.X.sum(axis=1)).ravel()
    drug = cells.obs["drug"].to_numpy()
    control = total[drug == "none"]
    for label in np.unique(drug):
        here = total[drug == label]
        error = np.sqrt(here.var() / here.size + control.var() / control.size)
        assert abs(here.mean() - control.mean()) < 4 * error


def test_no_dose_gives_the_donors():
    cells = moved(dose=0)
    assert (CELLS.X[cells.obs["donor"].to_numpy()] != cells.X).nnz == 0


def test_one_column_of_controls_needs_no_list():
    CELLS.obs["plate"] = np.where(np.arange(CELLS.n_obs) % 2, "p1", "p2")
    one, several = (moved(by=["drug", "plate"], control_by=given, n_cells=5) for given in ("plate", ["plate"]))
    assert (one.X != several.X).nnz == 0
