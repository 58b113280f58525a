"""Columns of one gene are added: exactly, in order, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bulkgen.tokens.rows import collapse_columns


def first_columns(groups):
    seen = {}
    return np.array([seen.setdefault(group, column) for column, group in enumerate(groups)], dtype=np.int64)


def added(X, first_column):
    """The definition, column by column from left to right."""
    result = np.zeros_like(X, dtype=np.int64 if X.dtype.kind in "iu" else np.float64)
    for column, target in enumerate(first_column):
        result[:, target] = result[:, target] + X[:, column]
    return result


@settings(deadline=None)
@given(
    X=npst.arrays(np.int32, st.tuples(st.integers(0, 5), st.just(9)), elements=st.integers(0, 3)),
    groups=st.lists(st.integers(0, 8), min_size=9, max_size=9),
    wide=st.booleans(),
)
def test_columns_of_a_group_are_added_into_the_first(X, groups, wide):
    block = sp.csr_matrix(X)
    if wide:
        block.indices, block.indptr = block.indices.astype(np.int64), block.indptr.astype(np.int64)
    first_column = first_columns(groups)
    result = collapse_columns(block, first_column)
    np.testing.assert_array_equal(result.toarray(), added(X, first_column))
    assert result.dtype == np.int64
    assert result.indices.dtype == block.indices.dtype
    for i in range(len(X)):
        row = result.indices[result.indptr[i] : result.indptr[i + 1]]
        assert (np.diff(row) > 0).all()


@settings(deadline=None)
@given(
    X=npst.arrays(np.float64, (3, 9), elements=st.floats(0, 1e12)), groups=st.permutations([0, 0, 0, 0, 0, 1, 1, 2, 3])
)
def test_fractions_are_added_in_the_order_of_the_columns(X, groups):
    first_column = first_columns(groups)
    result = collapse_columns(sp.csr_matrix(X), first_column)
    np.testing.assert_array_equal(result.toarray(), added(X, first_column))


@pytest.mark.parametrize(("dtype", "wide"), [(np.int32, np.int64), (np.float32, np.float64)])
def test_sums_do_not_overflow_the_type_of_the_counts(dtype, wide):
    block = sp.csr_matrix(np.array([[2**31 - 2**8, 2**31 - 2**8, 1]]).astype(dtype))
    result = collapse_columns(block, np.array([0, 0, 0]))
    assert result.dtype == wide
    assert result.toarray().tolist() == [[2**32 - 2**9 + 1, 0, 0]]
