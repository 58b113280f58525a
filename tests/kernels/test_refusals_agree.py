"""Both backends take the same calls, give the same bits for them, and refuse the others with the same type of error.

Valid calls of every kernel are spoiled at random, with a fixed seed. No sanitizer is needed to see that one backend
follows what the other refuses; the native checks alone are fuzzed with one (``make fuzz``).
"""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.truncated_gaussian import plan_truncated_gaussian
from kernel_cases import KERNELS, random_csr, random_groups, truncated_gaussian_parameters

pytestmark = pytest.mark.skipif(len(backend_names()) < 2, reason="this installation has one backend only")

GENES, CELLS = 40, 6
N_SPOILED = 250


def matrix(prefix=""):
    indptr, indices, data = random_csr(3, cells=CELLS, genes=GENES)
    names = ("indptr", "indices", "data") if not prefix else ("donor_indptr", "donor_columns", "donor_values")
    return dict(zip(names, (indptr, indices, data), strict=True))


def grouped():
    rows, offsets = random_groups(3, CELLS, 3)
    return {**matrix(), "rows": rows, "offsets": offsets, "n_genes": GENES, "first_group": 0, "last_group": 3}


def cells():
    return {
        "indptr": np.zeros(CELLS + 1, np.int64),
        "columns": np.zeros(CELLS * GENES, np.int32),
        "values": np.zeros(CELLS * GENES, np.float32),
        "key": 7,
        "first_cell": 2**40,
    }


def table():
    threshold, other = np.zeros(GENES, np.uint64), np.zeros(GENES, np.int32)
    get_kernels("native").alias_table(np.arange(1.0, GENES + 1), threshold, other)
    return {"threshold": threshold, "other": other}


def columns():
    return {
        "token": np.arange(GENES, dtype=np.int32) - 2,
        "median": np.linspace(0.5, 3, GENES),
        "first_column": np.where(np.arange(GENES) == 9, 4, np.arange(GENES)).astype(np.int32),
        "most_genes": 15,
        "cls": 2,
        "eos": -1,
    }


def normals():
    plan = plan_truncated_gaussian(*(values[:GENES] for values in truncated_gaussian_parameters()), sampler="rejection")
    return {
        "common": plan.common,
        "keep": np.full(256, 2**31, np.uint32),
        "odd_gene": plan.odd_gene,
        "odd_proposal": plan.odd_proposal,
        "odd": plan.odd,
        "inverse": False,
        "round": False,
        "key": 7,
        "purposes": (1, 2, 7),
        "first_cell": 2**40,
    }


def negative_binomial():
    rates = {"overdispersion": np.linspace(0, 0.2, GENES), "inflation": np.linspace(0, 1, GENES), "total_rate": 1.0}
    return {**cells(), **table(), **rates, "sizes": np.array([20.0, 50.0]), "purposes": (8, 12, 13)}


CALLS = {
    "philox_words": lambda: {"out": np.zeros((3, 300), np.uint32), "key": 7, "purpose": 1, "first_cell": 5},
    "philox_block": lambda: {"out": np.zeros(4, np.uint32), "counter": np.arange(4, dtype=np.uint32), "key": 7},
    "check_csr": lambda: {**matrix(), "n_columns": GENES, "first_row": 1, "last_row": CELLS},
    "group_sums_dense": lambda: {**grouped(), "out": np.zeros((3, GENES)), "first_gene": 5, "last_gene": GENES},
    "group_sums_count": lambda: {**grouped(), "out": np.zeros(3, np.int64)},
    "group_sums": lambda: {
        **grouped(),
        "out_indptr": np.arange(4) * GENES,
        "out_indices": np.zeros(3 * GENES, np.int32),
        "out_data": np.zeros(3 * GENES, np.int64),
        "out_counts": np.zeros(3, np.int64),
    },
    "group_moments_integer": lambda: {
        **grouped(),
        "moments": np.zeros((3, GENES, 4), np.int64),
        "first_gene": 0,
        "last_gene": 30,
    },
    "group_moments_real": lambda: {**grouped(), "moments": np.zeros((3, GENES, 5)), "first_gene": 0, "last_gene": 30},
    "rank_tokens": lambda: {
        **matrix(),
        **columns(),
        "out": np.zeros(200, np.int16),
        "out_counts": np.zeros(200, np.float32),
        "lengths": np.zeros(CELLS, np.int64),
        "genes": np.zeros(CELLS, np.int64),
        "first_row": 1,
        "last_row": CELLS,
    },
    "truncated_gaussian": lambda: {**normals(), "out": np.zeros((CELLS, GENES), np.float32)},
    "truncated_gaussian_tokens": lambda: {
        **normals(),
        **columns(),
        "out": np.zeros(200, np.int16),
        "lengths": np.zeros(CELLS, np.int64),
        "genes": np.zeros(CELLS, np.int64),
    },
    "alias_table": lambda: {"weights": np.arange(1.0, GENES + 1), **table()},
    "multinomial": lambda: {
        **cells(),
        **table(),
        "sizes": np.array([20.0, 50.0]),
        "poisson_total": True,
        "concentration": 4.0,
        "purposes": (8, 10),
    },
    "poisson_log_normal": lambda: {
        **cells(),
        "scale": np.linspace(0, 0.1, GENES),
        "sigma": np.linspace(0, 2, GENES),
        "sizes": np.array([20.0, 50.0]),
        "purposes": (8, 11),
    },
    "thin_rows": lambda: {
        **matrix(),
        **{f"out_{name}": value for name, value in cells().items() if name in ("indptr", "columns", "values")},
        "probability": np.linspace(0, 1, CELLS),
        "key": 7,
        "purpose": 9,
        "first_cell": 3,
    },
    "negative_binomial": negative_binomial,
    "copula": lambda: {
        **negative_binomial(),
        "gene": np.array([3, 8], np.int32),
        "rate": np.full(2, 0.3),
        "dispersion": np.full(2, 0.5),
        "loadings": np.full((3, 2), 0.5, np.float32),
        "own": np.full(2, 0.5),
        "purposes": (8, 12, 13, 18, 19),
    },
    "choose_donors": lambda: {
        "out": np.zeros(50, np.int64),
        "donors": np.arange(17),
        "shared": False,
        "key": 7,
        "purpose": 14,
        "first_cell": 2**41,
    },
    "donor_shift": lambda: {
        **cells(),
        **matrix("donor"),
        **table(),
        "donor": np.arange(CELLS),
        "sizes": np.full(CELLS, 30.0),
        "overdispersion": np.full(GENES, 0.01),
        "ratio": np.geomspace(0.2, 5, GENES),
        "log_ratio": np.log(np.geomspace(0.2, 5, GENES)),
        "alpha": 2.0,
        "beta": 3.0,
        "keep": 0.8,
        "total_addition": 0.5,
        "purposes": (15, 16, 17, 12),
    },
    "variates": lambda: {
        "out": np.zeros((2, 30)),
        "parameters": np.array([20.0, 0.3, -0.7]),
        "law": 2,
        "key": 7,
        "purpose": 10,
        "first_cell": 3,
    },
}

#: No number of them is accepted and then taken as work or memory without end.
WILD_REALS = (np.nan, np.inf, -np.inf, -1.0, -0.0, 0.0, 5e-324, 0.5, 1.0, 200.0, 2.0**31, 1e300)
WILD_INTEGERS = (-(2**63), -(2**31), -1, 0, 1, 39, 40, 255, 256, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64)


def wild_element(rng, array):
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(WILD_REALS).astype(array.dtype)[rng.integers(len(WILD_REALS))]
    bounds = np.iinfo(array.dtype)
    fitting = [value for value in WILD_INTEGERS if bounds.min <= value <= bounds.max]
    return fitting[rng.integers(len(fitting))]


def spoiled_array(rng, array):
    """The array with another element, length, type or place in memory."""
    kind = rng.integers(10)
    changed = array.copy()
    if kind < 3 and array.size:
        changed.flat[rng.integers(array.size)] = wild_element(rng, array)
    elif kind == 3:
        changed = array[..., :-1].copy()
    elif kind == 4:
        changed = np.concatenate([array, array[..., :1]], axis=-1)
    elif kind == 5:
        changed = array[..., :0].copy()
    elif kind == 6:
        changed = np.repeat(array, 2, axis=-1)[..., ::2]
    elif kind == 7:
        changed = array.astype(array.dtype.newbyteorder())
    elif kind == 8:
        memory = np.zeros(array.nbytes + 1, np.uint8)
        changed = memory[1:].view(array.dtype).reshape(array.shape)
        changed[...] = array
    else:
        with np.errstate(all="ignore"):
            changed = array.astype([np.int16, np.float64, np.complex128, np.uint32][rng.integers(4)])
    return changed


def spoiled(rng, arguments):
    """The call with one argument spoiled, now and then with two, and what was spoiled."""
    changed = dict(arguments)
    names = rng.choice(list(changed), 1 + (rng.random() < 0.2), replace=False).tolist()
    for name in names:
        value = changed[name]
        if isinstance(value, np.ndarray):
            changed[name] = spoiled_array(rng, value)
        elif isinstance(value, tuple):
            purposes = list(value)
            purposes[rng.integers(len(value))] = WILD_INTEGERS[rng.integers(len(WILD_INTEGERS))]
            changed[name] = tuple(purposes)
        elif isinstance(value, float):
            changed[name] = WILD_REALS[rng.integers(len(WILD_REALS))]
        elif not isinstance(value, bool):
            changed[name] = [*WILD_INTEGERS, 1.5, "1", None][rng.integers(len(WILD_INTEGERS) + 3)]
    return changed, {name: changed[name] for name in names}


def outcome(backend, name, arguments):
    """What a call raises, or what it returns with the arrays as they are after it."""
    own = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in arguments.items()}
    for key, value in arguments.items():
        if isinstance(value, np.ndarray) and not (value.flags.c_contiguous and value.flags.aligned):
            own[key] = value
    try:
        result = getattr(get_kernels(backend), name)(**own)
    except (ValueError, TypeError, MemoryError) as error:
        return type(error)
    return result, own


def written(result, own):
    """What a call has to have written: the rows of sparse cells and the tokens that there are."""
    if isinstance(result, tuple) and result[0] >= 0 and "offsets" in own:
        return [result[0]]
    arrays = {key: value for key, value in own.items() if isinstance(value, np.ndarray)}
    prefix = "out_" if "probability" in own else ""
    if isinstance(result, int) and f"{prefix}columns" in own:
        pointers = own[f"{prefix}indptr"][: result + 1]
        for key in ("columns", "values"):
            arrays[prefix + key] = own[prefix + key][: pointers[-1]]
        arrays[f"{prefix}indptr"] = pointers
    if "lengths" in own:
        end = int(own["lengths"].sum())
        arrays |= {key: own[key][:end] for key in ("out", "out_counts") if key in own}
    return [repr(result), *((key, value.dtype, value.shape, value.tobytes()) for key, value in sorted(arrays.items()))]


def test_no_kernel_is_left_out():
    assert set(CALLS) == set(KERNELS)


@pytest.mark.parametrize("name", CALLS)
def test_backends_take_and_refuse_the_same_calls(name):
    rng = np.random.default_rng(20261123)
    valid = CALLS[name]()
    assert written(*outcome("native", name, valid)) == written(*outcome("numba", name, valid))
    taken = 0
    for _ in range(N_SPOILED):
        call, what = spoiled(rng, valid)
        native, numba = outcome("native", name, call), outcome("numba", name, call)
        if isinstance(native, type) or isinstance(numba, type):
            # of two faults, either may be met first
            same = native is numba if len(what) == 1 else isinstance(native, type) and isinstance(numba, type)
            assert same, f"native: {native}, numba: {numba}, of {what}"
        else:
            taken += 1
            assert written(*native) == written(*numba), what
    assert 0 < taken < N_SPOILED


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("backend", backend_names())
def test_read_only_outputs_are_refused(backend, name):
    outputs = {"out", "moments", "columns", "values", "out_columns", "out_indices", "lengths", "other"}
    if name not in ("alias_table",):
        outputs.discard("other")
    for output in outputs & set(CALLS[name]()):
        call = CALLS[name]()
        call[output].flags.writeable = False
        with pytest.raises(ValueError, match=r"read-?only|writeable"):
            getattr(get_kernels(backend), name)(**call)
