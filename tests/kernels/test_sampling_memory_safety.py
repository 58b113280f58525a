"""The sparse samplers called with arrays that do not fit together raise, and write nothing outside them."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.rows import Rows
from bulkgen.kernels.sampling import AliasTable, MultinomialPlan, PoissonLogNormalPlan, thin_matrix
from kernel_cases import cell_plans, cells_of, random_csr, thinned

both = pytest.mark.parametrize("backend", backend_names())
LAWS = ["multinomial", "poisson", "dirichlet_multinomial", "poisson_log_normal"]


def multinomial_arguments():
    table = AliasTable.of(np.arange(1.0, 11.0))
    rows = Rows.empty(3, 30)
    return {
        "indptr": rows.indptr,
        "columns": rows.columns,
        "values": rows.values,
        "threshold": table.threshold,
        "other": table.other,
        "sizes": np.array([20.0]),
        "poisson_total": False,
        "concentration": np.inf,
        "key": 1,
        "purposes": (8, 10),
        "first_cell": 0,
    }


def log_normal_arguments():
    arguments = multinomial_arguments()
    for name in ("threshold", "other", "poisson_total", "concentration"):
        del arguments[name]
    return arguments | {"scale": np.full(10, 0.1), "sigma": np.full(10, 0.5)}


@both
@pytest.mark.parametrize("gene", [-1, 10, 2**31 - 1, -(2**31)])
def test_genes_outside_the_alias_table_are_refused(backend, gene):
    arguments = multinomial_arguments()
    arguments["other"][4] = gene
    with pytest.raises(ValueError, match="other"):
        get_kernels(backend).multinomial(**arguments)


@both
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("indptr", np.zeros(0, np.int64), "indptr"),
        ("values", np.zeros(29, np.float32), "columns and values"),
        ("other", np.zeros(9, np.int32), "equal length"),
        ("sizes", np.zeros(0), "sizes"),
        ("sizes", np.array([1.0, -1.0]), "size"),
        ("sizes", np.array([np.nan]), "size"),
        ("sizes", np.array([2.0**31]), "size"),
        ("concentration", 0.0, "concentration"),
        ("concentration", np.nan, "concentration"),
        ("purposes", (8, 256), "purpose"),
    ],
)
def test_malformed_multinomials_are_refused(backend, name, value, error):
    with pytest.raises(ValueError, match=error):
        get_kernels(backend).multinomial(**multinomial_arguments() | {name: value})


@both
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("scale", np.zeros(9), "equal length"),
        ("sigma", np.zeros(0), "equal length"),
        ("sizes", np.zeros(0), "sizes"),
        ("purposes", (300, 1), "purpose"),
    ],
)
def test_malformed_log_normals_are_refused(backend, name, value, error):
    with pytest.raises(ValueError, match=error):
        get_kernels(backend).poisson_log_normal(**log_normal_arguments() | {name: value})


@both
def test_rates_that_are_no_rates_end_in_counts(backend):
    """The kernels check what memory safety needs; whatever else is handed to them comes to an end."""
    arguments = log_normal_arguments()
    arguments["scale"] = np.array([np.nan, np.inf, -1.0, 1e300, 5e-324, 0.0, -np.inf, 1.0, 1e16, 2.0])
    arguments["sigma"] = np.array([1.0, 1.0, 1.0, 1e300, 1.0, np.nan, 0.0, np.inf, 1.0, -3.0])
    assert get_kernels(backend).poisson_log_normal(**arguments) == 3
    assert np.all(arguments["values"][: arguments["indptr"][-1]] >= 1)


@both
@pytest.mark.parametrize("weights", [[np.nan, np.inf], [0.0, 0.0], [5e-324, 5e-324], [-1.0, 2.0], [1e308, 1e308]])
def test_weights_that_are_no_weights_end_in_a_table_of_its_genes(backend, weights):
    threshold, other = np.zeros(2, np.uint64), np.full(2, 99, np.int32)
    get_kernels(backend).alias_table(np.array(weights), threshold, other)
    assert set(other.tolist()) <= {0, 1}


@both
@pytest.mark.parametrize("law", LAWS)
def test_a_cell_without_room_is_not_begun_and_nothing_behind_the_room_is_written(backend, law):
    kernels = get_kernels(backend)
    plan = cell_plans(kernels)[law]
    lengths, columns, values = cells_of(plan, kernels)
    ends = np.cumsum(lengths)
    for room in [0, 1, *(int(end) + step for end in ends[5:8] for step in (-1, 0, 1))]:
        guarded = Rows(np.full(31, -7), np.full(room + 50, -7, np.int32), np.full(room + 50, -7, np.float32))
        rows = Rows(guarded.indptr, guarded.columns[:room], guarded.values[:room])
        written = plan.draw(rows, key=20240131, first_cell=2**40 - 3, kernels=kernels)
        assert written == np.searchsorted(ends, room, side="right")
        assert rows.indptr[0] == 0
        assert np.array_equal(rows.indptr[1 : written + 1], ends[:written])
        assert np.array_equal(rows.columns[: rows.indptr[written]], columns[: rows.indptr[written]])
        assert np.array_equal(rows.values[: rows.indptr[written]], values[: rows.indptr[written]])
        assert np.all(guarded.columns[room:] == -7)
        assert np.all(guarded.values[room:] == -7)


@both
def test_rows_without_room_are_not_thinned(backend):
    kernels, csr = get_kernels(backend), random_csr(0)
    kept = np.full(40, 0.5)
    whole = thinned(kernels, csr, kept)
    for room in (0, 60, 150, 333):
        part = thinned(kernels, csr, kept, room=room)
        assert part[0] < whole[0]
        assert np.array_equal(part[2], whole[2][: part[2].size])
        assert np.array_equal(part[3], whole[3][: part[3].size])


@both
@pytest.mark.parametrize(
    "change",
    [
        lambda p, i, d: (np.where(np.arange(p.size) == 3, 10**9, p), i, d),
        lambda p, i, d: (np.where(np.arange(p.size) == 3, -1, p), i, d),
        lambda p, i, d: (p - 1, i, d),
        lambda p, i, d: (p + 1, i, d),
        lambda p, i, d: (p, i[:-1].copy(), d),
        lambda p, i, d: (p[:-1].copy(), i, d),
    ],
    ids=["beyond the end", "negative", "before the beginning", "behind the end", "too few columns", "too few rows"],
)
def test_malformed_rows_are_not_thinned(backend, change):
    indptr, indices, data = random_csr(0)
    rows = Rows.empty(40, data.size)
    with pytest.raises(ValueError, match="ind"):
        get_kernels(backend).thin_rows(
            rows.indptr,
            rows.columns,
            rows.values,
            *change(indptr, indices, data),
            np.full(40, 0.5),
            key=1,
            purpose=9,
            first_cell=0,
        )


@both
def test_values_that_are_no_counts_are_thinned_to_counts(backend):
    data = np.array([np.nan, np.inf, -np.inf, -3.0, 0.0, 2.5, 1e300, 1.0])
    csr = (np.array([0, data.size]), np.arange(data.size, dtype=np.int64), data)
    for p in (0.5, 1.0, np.nan, 7.0, -1.0):
        _, _, columns, values = thinned(get_kernels(backend), csr, np.array([p]))
        assert np.all(values >= 1)
        assert set(columns.tolist()) <= {1, 5, 6, 7}


@both
def test_wrong_types_are_refused_not_converted(backend):
    for name, dtype in (("threshold", np.int64), ("other", np.int64), ("sizes", np.float32), ("indptr", np.int32)):
        arguments = multinomial_arguments()
        arguments[name] = arguments[name].astype(dtype)
        with pytest.raises(TypeError):
            get_kernels(backend).multinomial(**arguments)


def test_the_public_arguments_are_validated():
    with pytest.raises(ValueError, match="none below zero"):
        AliasTable.of([1.0, -1.0])
    with pytest.raises(ValueError, match="none below zero"):
        AliasTable.of([1.0, np.inf])
    with pytest.raises(ValueError, match="not all be zero"):
        AliasTable.of([0.0, 0.0])
    with pytest.raises(ValueError, match="vector"):
        AliasTable.of([])
    with pytest.raises(ValueError, match="library size"):
        MultinomialPlan.of([1.0], [])
    with pytest.raises(ValueError, match="concentration"):
        MultinomialPlan.of([1.0], [5.0], concentration=0)
    with pytest.raises(ValueError, match="sigma"):
        PoissonLogNormalPlan.of([1.0], [-1.0], [5.0])
    import scipy.sparse as sp

    matrix = sp.csr_matrix(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="one per row"):
        thin_matrix(matrix, [0.5, 0.5], key=1)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        thin_matrix(matrix, 1.5, key=1)
