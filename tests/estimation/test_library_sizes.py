"""Library sizes of generated cells."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.errors import CountsError
from bulkgen.estimation.library_sizes import library_size_table


def test_the_bootstrap_holds_the_sizes_themselves():
    assert library_size_table(np.array([30.0, 10.0, 20.0])).tolist() == [10, 20, 30]


def test_the_log_normal_table_has_the_moments_of_the_logarithms():
    sizes = np.random.default_rng(1).lognormal(8.5, 0.4, 400)
    table = np.log(library_size_table(sizes, law="log_normal"))
    assert table.mean() == pytest.approx(np.log(sizes).mean(), abs=1e-3)
    assert table.std() == pytest.approx(np.log(sizes).std(ddof=1), rel=5e-3)
    assert np.all(np.diff(table) >= 0)


def test_sizes_are_at_least_one():
    assert library_size_table(np.array([0.2, 1.0, 2.0]), law="log_normal").min() == 1


def test_few_or_empty_cells_are_refused():
    with pytest.raises(CountsError, match="at least 2 reference cells, got 1"):
        library_size_table(np.array([5.0]), law="log_normal")
    with pytest.raises(CountsError, match="at least 1"):
        library_size_table(np.array([]))
    with pytest.raises(CountsError, match="empty reference cells"):
        library_size_table(np.array([5.0, 0.0]))
