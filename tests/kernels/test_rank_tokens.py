"""Rank-value tokens are those of the definition, whatever the values are, and no input reaches out of the arrays."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkgen.kernels import backend_names, get_kernels
from kernel_cases import random_csr, tokens
from oracle.rank_tokens import collapse, rank_tokens

both = pytest.mark.parametrize("backend", backend_names())

#: Counts that a sort by the bits of a quotient could get wrong: denormals, ties, neighbours, the largest floats.
ODD_VALUES = {
    "ties": np.array([1.0, 2.0, 4.0]),
    "equal": np.array([3.0]),
    "denormal": np.array([5e-324, 1e-323, 1e-310, 2.2250738585072014e-308]),
    "huge range": np.array([1e-45, 1e-30, 1.0, 1e30, 1e38]),
    "beyond": np.array([5e-324, 1.0, 1.7976931348623157e308]),
    "neighbours": 1.0 + np.arange(9) * 2.0**-52,
    "one outlier": np.concatenate([1.0 + np.arange(500) * 2.0**-50, [1e300]]),
}


def compare(backend, matrix, token, median, first_column=(), *, counts_too=True, **options):
    """Check a dense matrix, all of whose entries are stored, against the oracle."""
    rows, columns = matrix.shape
    csr = (
        np.arange(rows + 1, dtype=np.int64) * columns,
        np.tile(np.arange(columns, dtype=np.int32), rows),
        matrix.reshape(-1),
    )
    genes, lengths, out, counts = tokens(get_kernels(backend), csr, token, median, first_column, **options)
    ends = np.cumsum(lengths)
    for row in range(rows):
        cell = matrix[row].tolist()
        if len(first_column):
            cell = collapse(cell, [int(first) for first in first_column])
        expected, values = rank_tokens(cell, token, median, **options)
        here = slice(ends[row] - lengths[row], ends[row])
        assert out[here].tolist() == expected
        assert genes[row] == sum(count != 0 and t >= 0 for count, t in zip(cell, token, strict=True))
        if counts_too:
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(counts[here], np.float32(values))


@both
@given(data=st.data(), columns=st.integers(1, 60), seed=st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_tokens_are_those_of_the_definition(backend, data, columns, seed):
    rng = np.random.default_rng(seed)
    kind = data.draw(st.sampled_from(["int32", "int64", "float32", "float64"]))
    matrix = rng.negative_binomial(1, data.draw(st.sampled_from([0.02, 0.3, 0.7])), (3, columns)).astype(kind)
    if kind.startswith("float") and data.draw(st.booleans()):
        matrix *= rng.random(matrix.shape).astype(kind)
    token = np.where(rng.random(columns) < 0.8, rng.permutation(columns) + 4, -1).astype(np.int32)
    median = rng.choice([0.5, 1.0, 2.0], columns) if data.draw(st.booleans()) else rng.lognormal(0, 1, columns)
    first_column = ()
    if data.draw(st.booleans()):
        _, first, group = np.unique(
            rng.integers(0, max(columns // 2, 1), columns), return_index=True, return_inverse=True
        )
        first_column = first[group]
        token, median = token[first_column], median[first_column]
    cls, eos = data.draw(st.sampled_from([(-1, -1), (2, 3), (-1, 3)]))
    compare(
        backend, matrix, token, median, first_column, most_genes=data.draw(st.integers(0, columns)), cls=cls, eos=eos
    )


@both
@pytest.mark.parametrize("values", ODD_VALUES.values(), ids=ODD_VALUES)
@pytest.mark.parametrize("columns", [5, 300, 3000])
@pytest.mark.parametrize("merged", [False, True])
def test_odd_values_are_ordered_exactly(backend, values, columns, merged):
    rng = np.random.default_rng(columns)
    matrix = rng.choice(values, (2, columns))
    matrix[1, rng.random(columns) < 0.3] = 0
    token = np.arange(columns, dtype=np.int32)
    # exact powers of two and others, so that quotients tie, underflow and overflow
    median = rng.choice([0.25, 1.0, 1.0, 3.0, 1e10], columns)
    first_column = np.arange(columns)
    if merged:
        first_column[columns // 2 :: 7] = columns // 3
        first_column[1::11] = 0
        first_column = first_column[first_column]
        token, median = token[first_column], median[first_column]
    for most_genes in (1, columns // 2, columns - 1, columns, columns + 1):
        with np.errstate(over="ignore", under="ignore"):
            compare(backend, matrix, token, median, first_column if merged else (), most_genes=most_genes)


@both
def test_dense_rows_keep_the_largest(backend):
    rng = np.random.default_rng(0)
    matrix = rng.lognormal(0, 1.5, (2, 20_000)).astype(np.float32)
    token, median = np.arange(20_000, dtype=np.int32), rng.lognormal(0, 1, 20_000)
    compare(backend, matrix, token, median, most_genes=2048)
    compare(backend, matrix, token, median, most_genes=20_000)


@both
@pytest.mark.parametrize("value", [np.int32, np.int64])
def test_integers_of_one_gene_are_added_exactly(backend, value):
    largest = np.iinfo(value).max // (1 if value is np.int32 else 4)
    # a double, or an int32, would lose the difference between the genes
    matrix = np.array([[largest, 1, largest, 1, largest, largest]], value)
    first_column = np.array([0, 0, 0, 3, 3, 3], np.int32)
    token = np.array([7, 7, 7, 8, 8, 8], np.int32)
    compare(backend, matrix, token, np.ones(6), first_column, most_genes=6)


@both
def test_a_gene_of_several_columns_ties_where_its_first_column_stands(backend):
    # the first column of the gene has no count: its place in the tie is its own all the same
    token, first_column = np.array([5, 6, 5, 7], np.int32), np.array([0, 1, 0, 3], np.int32)
    csr = (np.array([0, 3], np.int64), np.array([1, 2, 3], np.int32), np.array([2, 2, 2], np.float32))
    _, _, out, _ = tokens(get_kernels(backend), csr, token, np.ones(4), first_column, most_genes=4)
    assert out.tolist() == [5, 6, 7]


@both
def test_rows_do_not_depend_on_the_range_they_are_encoded_in(backend):
    kernels = get_kernels(backend)
    csr = random_csr(3, density=0.5)
    rng = np.random.default_rng(5)
    token, median, first_column = np.arange(130, dtype=np.int32), rng.lognormal(0, 1, 130), np.arange(130) // 2 * 2
    token, median = token[first_column], median[first_column]
    genes, lengths, out, counts = tokens(kernels, csr, token, median, first_column, most_genes=20)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    for first, last in ((0, 40), (0, 1), (7, 31), (39, 40), (12, 12)):
        here_genes, here_lengths = np.full((2, 40), -1, np.int64)
        size = ends[last] - ends[first]
        here, here_counts = np.empty(size, np.int32), np.empty(size, np.float32)
        kernels.rank_tokens(
            *csr, token, median, first_column.astype(np.int32), here, here_counts, here_lengths, here_genes,
            most_genes=20, cls=-1, eos=-1, first_row=first, last_row=last,
        )  # fmt: skip
        assert np.array_equal(here, out[ends[first] : ends[last]])
        assert np.array_equal(here_counts, counts[ends[first] : ends[last]])
        inside = np.zeros(40, bool)
        inside[first:last] = True
        assert np.array_equal(here_genes, np.where(inside, genes, -1))
        assert np.array_equal(here_lengths, np.where(inside, lengths, -1))


TOKEN, MEDIAN = np.arange(130, dtype=np.int32), np.ones(130)


@both
@pytest.mark.parametrize("column", [-1, -(2**31), 130, 2**31 - 1])
def test_columns_out_of_range_are_skipped_not_followed(backend, column):
    indptr, indices, data = random_csr(0)
    wild = indices.copy()
    wild[indptr[1] - 1] = column
    kept = np.ones(indices.size, bool)
    kept[indptr[1] - 1] = False
    shorter = np.where(np.arange(indptr.size) >= 1, indptr - 1, indptr)
    for first_column in ((), np.zeros(130)):
        found, expected = (
            tokens(get_kernels(backend), csr, TOKEN, MEDIAN, first_column, most_genes=99)
            for csr in ((indptr, wild, data), (shorter, indices[kept], data[kept]))
        )
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@both
@pytest.mark.parametrize("cls", [-1, 2])
def test_an_output_without_room_is_refused_at_its_row(backend, cls):
    kernels, csr = get_kernels(backend), random_csr(0)
    _, lengths, _, _ = tokens(kernels, csr, TOKEN, MEDIAN, most_genes=9, cls=cls)
    for row in (0, 5, 39):
        room = int(lengths[: row + 1].sum()) - 1
        if lengths[row]:
            with pytest.raises(ValueError, match=f"no room for the tokens of row {row}$"):
                tokens(kernels, csr, TOKEN, MEDIAN, most_genes=9, cls=cls, room=room)
    tokens(kernels, csr, TOKEN, MEDIAN, most_genes=9, cls=cls, room=int(lengths.sum()))


@both
def test_nothing_is_written_behind_the_tokens(backend):
    kernels, csr = get_kernels(backend), random_csr(1)
    out, counts = np.full(10_000, -7, np.int16), np.full(10_000, -7, np.float32)
    lengths, genes = np.zeros((2, 40), np.int64)
    nobody = np.empty(0, np.int32)
    kernels.rank_tokens(
        *csr, TOKEN, MEDIAN, nobody, out, counts, lengths, genes, most_genes=99, cls=2, eos=3, first_row=3, last_row=9
    )
    assert np.all(out[lengths.sum() :] == -7)
    assert np.all(counts[lengths.sum() :] == -7)
    assert np.all(out[: lengths.sum()] >= 0)


@both
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_values_that_are_no_counts_write_nothing_outside(backend, bad):
    indptr, indices, data = random_csr(2, density=0.9)
    data[::3] = bad
    for first_column in ((), np.arange(130) // 5 * 5):
        for most_genes in (5, 200):
            _, lengths, out, _ = tokens(
                get_kernels(backend), (indptr, indices, data), TOKEN, MEDIAN, first_column, most_genes=most_genes
            )
            assert np.all((out >= 0) & (out < 130))
            assert np.all(lengths <= most_genes)


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indptr": (3, 10**9)}, "indptr"),
        ({"indptr": (3, -1)}, "indptr"),
        ({"indptr": (0, -1)}, "indptr"),
        ({"first_column": (4, 5)}, "first_column"),
        ({"first_column": (4, -1)}, "first_column"),
        ({"first_column": (6, 5)}, "first_column"),
    ],
)
def test_arrays_that_lead_outside_are_refused(backend, change, message):
    indptr, indices, data = random_csr(0)
    first_column = np.arange(130, dtype=np.int32)
    first_column[5] = 4
    for name, (place, value) in change.items():
        {"indptr": indptr, "first_column": first_column}[name][place] = value
    options = {"most_genes": 5, "cls": -1, "eos": -1, "first_row": 0, "last_row": 40}
    rest = (np.empty(10**4, np.int16), np.empty(0, np.float32), np.empty(40, np.int64), np.empty(40, np.int64))
    with pytest.raises(ValueError, match=message):
        get_kernels(backend).rank_tokens(indptr, indices, data, TOKEN, MEDIAN, first_column, *rest, **options)


@both
def test_arrays_of_other_lengths_are_refused(backend):
    csr = random_csr(0)
    options = {"most_genes": 5, "cls": -1, "eos": -1, "first_row": 0, "last_row": 40}
    right = {
        "token": TOKEN,
        "median": MEDIAN,
        "first_column": np.empty(0, np.int32),
        "out": np.empty(999, np.int16),
        "out_counts": np.empty(999, np.float32),
        "lengths": np.empty(40, np.int64),
        "genes": np.empty(40, np.int64),
    }
    for name in right:
        wrong = right | {name: np.zeros(7, right[name].dtype)}
        with pytest.raises(ValueError, match=name.replace("out_counts", "out")):
            get_kernels(backend).rank_tokens(*csr, *wrong.values(), **options)
    with pytest.raises(ValueError, match="range"):
        get_kernels(backend).rank_tokens(*csr, *right.values(), **(options | {"last_row": 41}))


@both
def test_a_sparse_row_and_the_same_row_with_its_zeros_have_the_same_tokens(backend):
    indptr, indices, data = random_csr(6)
    dense = sp.csr_matrix((data, indices, indptr), shape=(40, 130)).toarray()
    every = (np.arange(41, dtype=np.int64) * 130, np.tile(np.arange(130, dtype=np.int32), 40), dense.reshape(-1))
    found, expected = (
        tokens(get_kernels(backend), csr, TOKEN, MEDIAN, most_genes=12) for csr in ((indptr, indices, data), every)
    )
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("value", [np.float32, np.int32])
@pytest.mark.parametrize("merged", [False, True])
def test_kernels_of_numba_encode_rows_that_they_make(value, merged):
    from numba import njit

    from bulkgen.kernels.numba_rank_tokens import encode_row, row_scratch

    sums = np.int64 if value is np.int32 else np.float64

    @njit(nogil=True)
    def encode_dense(row, token, median, first_column, out, counts):
        scratch = row_scratch(token, median, first_column, sums, row.size)
        return encode_row(token, median, first_column, 40, 2, 3, None, row, scratch, out, counts)

    row = np.random.default_rng(0).integers(0, 5, 130).astype(value)
    first_column = np.arange(130, dtype=np.int32) // 3 * 3 if merged else np.empty(0, np.int32)
    token = TOKEN[first_column] if merged else TOKEN
    out, counts = np.empty(50, np.int16), np.empty(50, np.float32)
    genes, size = encode_dense(row, token, MEDIAN, first_column, out, counts)
    csr = (np.array([0, 130], np.int64), np.arange(130, dtype=np.int32), row)
    expected = tokens(get_kernels("numba"), csr, token, MEDIAN, first_column, most_genes=40, cls=2, eos=3)
    assert genes == expected[0][0]
    assert size == expected[1][0]
    assert out[:size].tolist() == expected[2].tolist()
    assert counts[:size].tolist() == expected[3].tolist()
