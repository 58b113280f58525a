"""Controls within further columns."""

from __future__ import annotations

import numpy as np

import bulkgen
from fidelity.drug_cells import made_up_cells


def test_one_column_of_controls_needs_no_list():
    cells = made_up_cells(per_label=60)
    cells.obs["plate"] = np.where(np.arange(cells.n_obs) % 2, "p1", "p2")
    options = {"by": ["drug", "plate"], "method": "donor_shift", "control": "none", "n_cells": 5}
    one, several = (bulkgen.synthesize(cells, control_by=given, **options) for given in ("plate", ["plate"]))
    assert (one.X != several.X).nnz == 0
