"""Elementary functions against exact rational references and the C library's."""

from __future__ import annotations

import hashlib
import math
import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkgen import elementary

REFERENCE = {"log": np.log, "log1p": np.log1p, "exp": np.exp, "expm1": np.expm1}


def relative_error(found: float, exact: Decimal) -> float:
    return abs(float((Decimal(found) - exact) / exact)) if exact else abs(found)


def exact(name: str, x: float) -> Decimal:
    value = Decimal(x)
    return {
        "log": lambda: value.ln(),
        "log1p": lambda: (1 + value).ln(),
        "exp": lambda: value.exp(),
        "expm1": lambda: value.exp() - 1,
    }[name]()


@pytest.mark.parametrize("name", REFERENCE)
def test_relative_error_is_below_1e_15_against_60_digits(name):
    rng = np.random.default_rng(1)
    if name.startswith("log"):
        points = np.concatenate([np.exp(rng.uniform(-700, 700, 300)), 1 + rng.normal(0, 1e-3, 300), [5e-324, 1.7e308]])
        if name == "log1p":
            # 60 digits do not hold 1 + x for smaller ones
            points = np.concatenate([points[points > 1e-30], rng.uniform(-1, 1, 300), rng.normal(0, 1e-9, 300)])
    else:
        points = np.concatenate([rng.uniform(-700, 700, 300), rng.normal(0, 1, 300), rng.normal(0, 1e-9, 300)])
    with localcontext() as context:
        context.prec = 60
        found = getattr(elementary, name)(points)
        errors = [relative_error(float(y), exact(name, float(x))) for x, y in zip(points, found, strict=True)]
    assert max(errors) < 1e-15


@given(st.floats(1e-150, 1e150), st.floats(-2, 2))
def test_power_is_that_of_the_c_library(base, exponent):
    assert float(elementary.power(base, exponent)) == pytest.approx(base**exponent, rel=1e-12)


@pytest.mark.parametrize("name", REFERENCE)
@given(x=st.floats(allow_nan=True, allow_infinity=True))
def test_every_double_gives_what_the_c_library_gives(name, x):
    with np.errstate(all="ignore"):
        expected = float(REFERENCE[name](x))
    found = float(getattr(elementary, name)(x))
    # one unit of a subnormal result is allowed beside the relative error
    assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected, rel=2e-15, abs=5e-324)


def test_power_at_the_edges():
    cases = {(0, 0): 1, (0, 2): 0, (0, -1): np.inf, (np.inf, 0): 1, (np.inf, -1): 0, (1, np.nan): 1, (np.nan, 0): 1}
    for (base, exponent), expected in cases.items():
        assert float(elementary.power(base, exponent)) == expected
    assert np.isnan(elementary.power(-1.0, 2.0))
    assert np.isnan(elementary.power(np.nan, 1.0))


@pytest.mark.parametrize("name", REFERENCE)
def test_functions_never_decrease(name):
    start = {"log": 1e-3, "log1p": -0.999}.get(name, -30.0)
    x = np.concatenate([np.linspace(start, 30, 200_001), 1 + np.arange(-1000, 1000) * 2.0**-52])
    assert np.all(np.diff(getattr(elementary, name)(np.sort(x))) >= 0)


@pytest.mark.parametrize("name", REFERENCE)
def test_nothing_warns_and_shapes_are_kept(name):
    x = np.array([[0.0, -0.0, -2.0], [np.inf, -np.inf, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(elementary, name)(x).shape == x.shape
        assert getattr(elementary, name)(np.empty(0)).shape == (0,)
        elementary.power(x, x)


def test_bits_are_the_recorded_ones():
    x = np.arange(1, 5001) / 617.0
    digest = hashlib.sha256()
    for values in (
        elementary.log(x),
        elementary.log1p(x),
        elementary.exp(x - 4),
        elementary.expm1(x - 4),
        elementary.power(x, 0.37),
    ):
        digest.update(values.astype("<f8").tobytes())
    assert digest.hexdigest()[:16] == "b023a0f352256f6f"
