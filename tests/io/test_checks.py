"""Matrices of counts: what is accepted comes out canonical and unchanged, what is not is named."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bulkgen.errors import BulkgenError, CountsError, InvalidCsrError
from bulkgen.io import canonical_counts, is_integral, library_sizes
from bulkgen.kernels import backend_names
from count_cases import make_cells, matrix_bytes

KERNEL_TYPES = (np.float32, np.float64, np.int32, np.int64)
CONTAINERS = {
    "dense": np.array,
    "fortran": np.asfortranarray,
    "csr_matrix": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "csc_array": sp.csc_array,
    "coo_matrix": sp.coo_matrix,
    "coo_array": sp.coo_array,
    "lil_matrix": sp.lil_matrix,
    "dok_matrix": sp.dok_matrix,
    "bsr_matrix": sp.bsr_matrix,
    "dia_matrix": sp.dia_matrix,
}
EXAMPLE = np.array([[0, 3, 0, 1], [0, 0, 0, 0], [7, 0, 0, 2], [0, 0, 5, 0]])


@pytest.fixture(params=backend_names())
def backend(request, monkeypatch):
    monkeypatch.setenv("BULKGEN_BACKEND", request.param)
    return request.param


def canonical(X, **options) -> sp.csr_matrix:
    return canonical_counts(X, require_integers=options.pop("require_integers", True), **options)


# --- what is accepted


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@settings(max_examples=15, deadline=None)
@given(counts=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 9)))
def test_every_container_gives_the_same_canonical_counts_and_stays_as_it_was(container, counts):
    X = container(counts)
    before = X.copy()
    result = canonical(X)
    assert isinstance(result, sp.csr_matrix)
    assert result.has_canonical_format
    assert np.array_equal(result.toarray(), counts)
    assert type(X) is type(before)
    unchanged = X.toarray() if sp.issparse(X) else X
    assert np.array_equal(unchanged, counts)


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "longdouble", ">i2", ">i8", ">f4"]
)
def test_every_number_type_keeps_its_values(dtype):
    dtype = np.dtype(dtype)
    largest = {"b": lambda: 1, "f": lambda: 2048}.get(dtype.kind, lambda: min(np.iinfo(dtype).max, 2**63 - 1))()
    dense = np.zeros((3, 2), dtype)
    dense[0, 1] = 1
    dense[2, 0] = largest
    result = canonical(dense)
    assert result.dtype.type in KERNEL_TYPES
    assert result.dtype.isnative
    assert [int(value) for value in result.data] == [1, largest]
    if dtype.isnative and dtype != np.float16:
        for make in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix):
            assert matrix_bytes(canonical(make(dense))) == matrix_bytes(result)


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array])
def test_stored_values_of_a_foreign_byte_order_are_read_right(container):
    X = container(EXAMPLE.astype(np.float32))
    X.data = X.data.astype(">f4")
    assert np.array_equal(canonical(X).toarray(), EXAMPLE)


@pytest.mark.parametrize("index", [np.int32, np.int64, np.uint32])
def test_index_types_do_not_change_the_result(index):
    X = sp.csr_matrix(EXAMPLE.astype(np.float32))
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    result = canonical(X)
    assert np.array_equal(result.toarray(), EXAMPLE)
    assert library_sizes(result).tolist() == EXAMPLE.sum(axis=1).tolist()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_unsorted_and_repeated_columns_are_summed_in_a_copy(data):
    rows = data.draw(st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=1, max_size=5))
    lengths = [len(row) for row in rows]
    columns = np.array([column for row in rows for column in row], np.int32)
    values = data.draw(hnp.arrays(np.float32, columns.size, elements=st.integers(0, 100)))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    X = sp.csr_matrix((values, columns, indptr), shape=(len(rows), 5))
    before = matrix_bytes(X)
    result = canonical(X)
    expected = np.zeros(X.shape)
    np.add.at(expected, (np.repeat(np.arange(len(rows)), lengths), columns), values)
    assert result.has_canonical_format
    assert np.array_equal(result.toarray(), expected)
    assert matrix_bytes(X) == before


@pytest.mark.parametrize("make", [sp.coo_matrix, sp.coo_array, sp.csr_matrix, sp.csc_matrix])
def test_repeated_entries_of_narrow_types_do_not_wrap(make):
    entries = (np.array([200, 100], np.uint8), ([0, 0], [0, 0]))
    X = make((1, 1), dtype=np.uint8)
    if X.format == "coo":
        X = make(entries, shape=(1, 1))
    else:
        X.data, X.indices = entries[0], np.zeros(2, np.int32)
        X.indptr = np.array([0, 2], np.int32)
    assert canonical(X).toarray().tolist() == [[300]]


def test_a_canonical_matrix_is_not_copied():
    X = sp.csr_matrix(EXAMPLE.astype(np.float32))
    result = canonical(X)
    assert np.shares_memory(result.data, X.data)
    assert np.shares_memory(result.indices, X.indices)


def test_explicit_zeros_are_kept():
    X = sp.csr_matrix((np.array([0.0, 2.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 3))
    assert canonical(X).nnz == 2


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("container", [np.zeros, sp.csr_matrix, sp.csc_matrix])
def test_matrices_without_cells_or_genes_are_accepted(shape, container):
    assert canonical(container(shape)).shape == shape


def test_views_of_an_anndata_are_accepted():
    for X in (EXAMPLE.astype(np.float32), sp.csr_matrix(EXAMPLE.astype(np.float32))):
        view = make_cells(X)[[2, 0], 1:]
        assert np.array_equal(canonical(view.X).toarray(), EXAMPLE[[2, 0], 1:])


def test_whole_numbers_stored_as_floats_are_counts_and_fractions_only_where_they_may_be():
    X = EXAMPLE.astype(np.float64)
    assert is_integral(canonical(X))
    X[2, 0] += 0.5
    fractional = canonical(X, require_integers=False)
    assert fractional[2, 0] == 7.5
    assert not is_integral(fractional)
    assert is_integral(canonical(EXAMPLE))


def test_library_sizes_are_exact_sums():
    X = sp.csr_matrix(np.full((2, 3000), 16777215, np.float32))
    assert library_sizes(canonical(X)).tolist() == [16777215 * 3000] * 2


# --- what is refused


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "finite"), (np.inf, "finite"), (-np.inf, "finite"), (-3.0, "negative")]
)
def test_values_that_no_counts_can_have_are_refused_by_cell_and_gene(container, value, words):
    X = EXAMPLE.astype(np.float64)
    X[2, 1] = value
    for require_integers in (True, False):
        with pytest.raises(CountsError) as error:
            canonical(container(X), require_integers=require_integers, cell_names=list("ABCD"), gene_names=list("wxyz"))
        assert words in str(error.value)
        assert f"cell 'C', gene 'x' holds {value}" in str(error.value)


@pytest.mark.usefixtures("backend")
def test_the_first_offender_is_named_also_after_empty_cells():
    X = np.zeros((6, 3))
    X[4, 2], X[4, 1], X[5, 0] = 0.25, 0.5, 0.75
    for container in (np.array, sp.csr_matrix, sp.csc_matrix):
        with pytest.raises(CountsError, match=r"cell 4, gene 1 holds 0\.5"):
            canonical(container(X))


def test_log_normalised_counts_are_recognised_and_the_remedy_named():
    counts = np.random.default_rng(0).poisson(1.0, (20, 50)).astype(np.float32)
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    adata = make_cells(sp.csr_matrix(logged))
    with pytest.raises(CountsError) as error:
        canonical(adata.X, cell_names=adata.obs_names, gene_names=adata.var_names)
    message = str(error.value)
    gene = np.flatnonzero(logged[0])[0]
    assert f"cell 'c0', gene 'g{gene}' holds {logged[0, gene]}" in message
    for remedy in ("looks log-normalised", "raw counts", "bulkgen.read(path, layer='counts')", "--layer counts"):
        assert remedy in message


def test_fractions_too_large_for_a_logarithm_are_not_called_log_normalised():
    with pytest.raises(
        CountsError,
        match=r"pass raw counts, often a layer .*; expected counts \(RSEM, salmon\) are to be rounded first",
    ) as error:
        canonical(np.array([[1.5, 1e5]]))
    assert "log" not in str(error.value)


def test_scaled_values_are_recognised():
    with pytest.raises(CountsError, match=r"negative.*looks scaled"):
        canonical(np.array([[-0.3, 1.2], [0.1, -1.0]]))
    with pytest.raises(CountsError) as error:
        canonical(np.array([[-3, 1]]))
    assert "scaled" not in str(error.value)


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.array([["1", "2"]]), TypeError, "numbers"),
        (np.array([[1, None]], object), TypeError, "object"),
        (np.array([[1 + 2j]]), TypeError, "complex"),
        (np.arange(3.0), ValueError, "two dimensions.*got 1"),
        (np.zeros((2, 2, 2)), ValueError, "two dimensions.*got 3"),
        (sp.coo_array(np.arange(3.0)), ValueError, "two dimensions.*got 1"),
        ([[1, 2]], TypeError, "list"),
        (pd.DataFrame([[1, 2]]), TypeError, "DataFrame"),
        (None, TypeError, "NoneType"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_matrix_of_numbers_is_refused(X, error, words):
    with pytest.raises(error, match=words):
        canonical(X)


@pytest.mark.parametrize("container", [np.array, sp.csr_matrix])
def test_a_matrix_on_disk_is_refused_with_the_remedy(tmp_path, container):
    make_cells(container(EXAMPLE.astype(np.float32))).write_h5ad(tmp_path / "x.h5ad")
    adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    with pytest.raises(TypeError, match="to_memory"):
        canonical(adata.X)
    adata.file.close()


def broken(make, **arrays):
    X = make(EXAMPLE.astype(np.float32))
    for name, change in arrays.items():
        array = getattr(X, name).copy()
        setattr(X, name, change(array))
    return X


def put(position, value):
    def change(array):
        array[position] = value
        return array

    return change


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array])
@pytest.mark.parametrize(
    "arrays",
    [
        {"indices": put(2, 4)},
        {"indices": put(1, 10**9)},
        {"indices": put(0, -1)},
        {"indptr": put(1, 5)},
        {"indptr": put(2, -1)},
        {"indptr": put(2, 10**9)},
        {"indptr": put(0, 1)},
        {"indptr": put(-1, 4)},
        {"indptr": put(-1, 6)},
        {"indptr": lambda array: array[:-1]},
        {"indptr": lambda array: np.append(array, 5)},
        {"indptr": lambda array: array[:0]},
        {"indices": lambda array: array[:-1]},
        {"data": lambda array: array[:-1]},
    ],
)
def test_a_malformed_structure_is_refused_before_anything_reads_through_it(make, arrays):
    # SciPy itself reads and writes out of bounds here: a crash, not an exception
    with pytest.raises(InvalidCsrError) as error:
        canonical(broken(make, **arrays))
    assert isinstance(error.value, BulkgenError)
    assert isinstance(error.value, ValueError)


@pytest.mark.usefixtures("backend")
def test_the_malformed_row_or_entry_is_named_in_the_words_of_the_format():
    with pytest.raises(InvalidCsrError, match="first at row 1"):
        canonical(broken(sp.csr_matrix, indptr=put(1, 3)))
    with pytest.raises(InvalidCsrError, match="stored entry 2 has column 77, but the matrix has 4 columns"):
        canonical(broken(sp.csr_matrix, indices=put(2, 77)))
    with pytest.raises(InvalidCsrError, match="stored entry 2 has row 77, but the matrix has 4 rows"):
        canonical(broken(sp.csc_matrix, indices=put(2, 77)))
    with pytest.raises(InvalidCsrError, match="the column pointers"):
        canonical(broken(sp.csc_matrix, indptr=put(0, 1)))
