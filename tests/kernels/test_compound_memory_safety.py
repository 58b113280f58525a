"""The compound kernels called with arrays that do not fit together raise and write nothing outside them."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels

both = pytest.mark.parametrize("backend", backend_names())
WHOLE = np.uint64(2**64 - 1)


def chunk(cells=3, room=30):
    return {
        "indptr": np.zeros(cells + 1, np.int64),
        "columns": np.empty(room, np.int32),
        "values": np.empty(room, np.float32),
    }


def table(genes=10):
    return {"threshold": np.full(genes, WHOLE), "other": np.arange(genes, dtype=np.int32)}


def negative_binomial():
    return {
        **chunk(),
        "sizes": np.array([3.0, 5.0]),
        **table(),
        "overdispersion": np.full(10, 0.1),
        "inflation": np.empty(0),
        "total_rate": 1.0,
        "key": 1,
        "purposes": (8, 12, 13),
        "first_cell": 0,
    }


def copula():
    return negative_binomial() | {
        "gene": np.array([1, 4], np.int32),
        "rate": np.full(2, 0.1),
        "dispersion": np.full(2, 0.1),
        "loadings": np.full((3, 2), 0.1, np.float32),
        "own": np.full(2, 0.9),
        "purposes": (8, 12, 13, 18, 19),
    }


def donor_shift():
    return {
        **chunk(),
        "donor": np.array([0, 1, 0]),
        "donor_indptr": np.array([0, 2, 3]),
        "donor_columns": np.array([1, 5, 9], np.int32),
        "donor_values": np.array([1, 20, 3], np.float32),
        "sizes": np.array([21.0, 3.0]),
        "overdispersion": np.full(10, 0.1),
        "ratio": np.full(10, 2.0),
        "log_ratio": np.empty(0),
        **table(),
        "alpha": 0.0,
        "beta": 0.0,
        "keep": 0.9,
        "total_addition": 1.0,
        "key": 1,
        "purposes": (15, 16, 17, 12),
        "first_cell": 0,
    }


CASES = {"negative_binomial": negative_binomial, "copula": copula, "donor_shift": donor_shift}
#: kernel, argument, wrong value, message
WRONG = [
    *((name, "other", np.full(10, wrong, np.int32), "other") for name in CASES for wrong in (-1, 10)),
    *((name, "other", np.zeros(9, np.int32), "equal length") for name in CASES),
    *((name, "indptr", np.zeros(0, np.int64), "indptr") for name in CASES),
    *((name, "values", np.empty(29, np.float32), "equal length") for name in CASES),
    *((name, "overdispersion", np.zeros(9), "overdispersion") for name in CASES),
    *((name, "sizes", np.array([-1.0, 2.0]), "size") for name in CASES),
    *((name, "sizes", np.array([2.0, np.nan]), "size") for name in CASES),
    ("negative_binomial", "total_rate", 1e12, "2\\^30"),
    ("negative_binomial", "total_rate", np.nan, "2\\^30"),
    ("negative_binomial", "sizes", np.empty(0), "size"),
    ("negative_binomial", "inflation", np.zeros(9), "inflation"),
    ("negative_binomial", "purposes", (8, 12, 256), "purpose"),
    ("copula", "gene", np.array([1, 10], np.int32), "gene must hold"),
    ("copula", "gene", np.array([-1, 1], np.int32), "gene must hold"),
    ("copula", "rate", np.zeros(3), "equal length"),
    ("copula", "own", np.zeros(1), "equal length"),
    *(("copula", "rate", np.array([0.1, wrong]), "2\\^30") for wrong in (1e300, -0.1, np.nan)),
    *(("copula", "dispersion", np.array([0.1, wrong]), "below 0") for wrong in (-1.0, np.nan)),
    ("copula", "loadings", np.zeros((2, 3), np.float32), "loadings"),
    ("donor_shift", "donor", np.array([0, 2, 0]), "donor must hold"),
    ("donor_shift", "donor", np.array([0, -1, 0]), "donor must hold"),
    ("donor_shift", "donor", np.array([0, 1]), "one element per cell"),
    ("donor_shift", "donor_indptr", np.array([0, 9, 3]), "indptr"),
    ("donor_shift", "donor_indptr", np.array([0, 2, 4]), "indptr"),
    ("donor_shift", "sizes", np.array([1.0]), "one element per row"),
    ("donor_shift", "ratio", np.ones(9), "ratio"),
    ("donor_shift", "log_ratio", np.ones(9), "log_ratio"),
    ("donor_shift", "log_ratio", np.ones(10), "alpha and beta"),
    ("donor_shift", "keep", 0.0, "keep"),
    ("donor_shift", "keep", np.nan, "keep"),
    ("donor_shift", "total_addition", -1.0, "2\\^30"),
]


@both
@pytest.mark.parametrize("name", CASES)
def test_arrays_that_fit_are_taken(backend, name):
    assert getattr(get_kernels(backend), name)(**CASES[name]()) == 3


@both
@pytest.mark.parametrize(("name", "argument", "value", "message"), WRONG)
def test_arrays_that_do_not_fit_are_refused(backend, name, argument, value, message):
    with pytest.raises(ValueError, match=message):
        getattr(get_kernels(backend), name)(**(CASES[name]() | {argument: value}))


@both
@pytest.mark.parametrize("name", CASES)
def test_wrong_types_are_refused_not_converted(backend, name):
    arguments = CASES[name]()
    for argument, value in arguments.items():
        if isinstance(value, np.ndarray):
            with pytest.raises(TypeError):
                getattr(get_kernels(backend), name)(**(arguments | {argument: value.astype(np.complex128)}))


@both
@pytest.mark.parametrize("column", [-1, 10, -(2**31), 2**31 - 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e30, 0.0, 5.0])
def test_entries_of_donors_that_are_no_counts_are_passed_over(backend, column, value):
    arguments = donor_shift() | {"ratio": np.ones(10), "keep": 1.0, "total_addition": 0.0}
    arguments["donor_columns"] = np.array([1, column, 9], np.int32)
    arguments["donor_values"] = np.array([1, 5, value], np.float32)
    assert get_kernels(backend).donor_shift(**arguments) == 3
    last = [9] if value == 5 else []
    assert arguments["columns"][: arguments["indptr"][3]].tolist() == [1, *last, 1]


@both
@pytest.mark.parametrize("name", CASES)
def test_a_cell_without_room_is_not_written(backend, name):
    guarded = np.full(7, -7, np.int32)
    arguments = CASES[name]() | {"columns": guarded[2:3], "values": np.empty(1, np.float32)}
    assert getattr(get_kernels(backend), name)(**arguments) < 3
    assert np.all(np.delete(guarded, 2) == -7)


@both
def test_donors_are_chosen_from_some(backend):
    kernels = get_kernels(backend)
    with pytest.raises(ValueError, match="at least one donor"):
        kernels.choose_donors(
            np.empty(3, np.int64), np.empty(0, np.int64), shared=False, key=1, purpose=14, first_cell=0
        )
    with pytest.raises(ValueError, match="purpose"):
        kernels.choose_donors(np.empty(3, np.int64), np.arange(3), shared=False, key=1, purpose=256, first_cell=0)
