"""Columns of obs that are to hold labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bulkgen.errors import LabelError
from bulkgen.label_columns import check_classes, no_such_column
from bulkgen.splits import strata_of
from bulkgen.tokens.obs import obs_table


def test_the_column_that_is_meant_is_named_whatever_its_case():
    assert no_such_column(["cell_line", "plate"], "cellline") == (
        "obs has no column 'cellline'; did you mean 'cell_line'? columns: 'cell_line', 'plate'"
    )
    assert "did you mean 'Drug'?" in no_such_column(["plate", "Drug"], "drug")
    assert no_such_column([], "drug") == "obs has no column 'drug'; columns: none"


def test_many_columns_are_not_all_listed():
    assert no_such_column([f"c{i}" for i in range(200)], "drug").endswith("'c11' and 188 more")


def test_measured_numbers_are_no_labels_and_doses_are():
    cells = 40
    measured = pd.DataFrame({"n_counts": np.linspace(0.1, 9.7, cells)}, index=[str(i) for i in range(cells)])
    with pytest.raises(LabelError, match=r"'n_counts' holds measured numbers \(40 different ones in 40 cells\)"):
        strata_of(measured, "n_counts")
    with pytest.raises(LabelError, match=r"pandas\.cut"):
        obs_table(measured, label="n_counts", columns=[])
    obs_table(measured, label=None, columns=["n_counts"])
    for labels in (np.tile([0.1, 0.5, 10.0, 100.0], 10), np.arange(40.0), np.tile([0, 1], 20), np.tile(["a", "b"], 20)):
        check_classes(pd.Series(labels), "dose")
