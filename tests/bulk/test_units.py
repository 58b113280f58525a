"""Counts and TPM: each is taken for what it is, and anything else is refused with what to pass."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulkgen as bg
from bulkgen.bulk_input.units import checked_values
from bulkgen.errors import CountsError


def check(values, unit="counts", *, round=False):
    values = np.asarray(values)
    names = [f"S{i + 1}" for i in range(len(values))]
    return checked_values(values, unit, round=round, samples=names, genes=[f"G{i}" for i in range(values.shape[1])])


def refused(words: str):
    return pytest.raises(CountsError, match=re.escape(words))


def test_counts_come_back_whole_whatever_type_they_had():
    for dtype in (np.float32, np.float64, np.int32, np.uint8):
        result = check(np.array([[3, 0, 40], [1, 2, 200]], dtype))
        assert result.dtype == np.int64
        np.testing.assert_array_equal(result, [[3, 0, 40], [1, 2, 200]])


def test_few_counts_are_counts():
    np.testing.assert_array_equal(check([[1.0, 0.0, 2.0]]), [[1, 0, 2]])


@pytest.mark.parametrize("unit", ["counts", "tpm"])
def test_what_is_no_amount_is_refused_under_either_unit(unit):
    with refused("bulk values must be finite, but sample 'S2', gene 'G0' holds nan; write 0 where a gene was not seen"):
        check([[1.0, 2.0], [np.nan, 4.0]], unit)
    with refused("bulk values must be finite, but sample 'S1', gene 'G1' holds inf"):
        check([[1.0, np.inf]], unit)
    with refused("bulk values must not be negative, but sample 'S2', gene 'G1' holds -0.5; pass counts or TPM as they"):
        check([[1.0, 2.0], [0.5, -0.5]], unit)
    with refused("sample 'S2' has no counts; leave it out"):
        check([[1.0, 2.0], [0.0, 0.0]], unit)


@pytest.mark.parametrize("unit", ["counts", "tpm"])
@pytest.mark.parametrize("log", [np.log1p, lambda x: np.log2(x + 1), lambda x: np.log10(x + 1)])
def test_logarithms_are_refused_under_either_unit(unit, log):
    counts = np.random.default_rng(0).poisson(np.geomspace(0.1, 1e6, 50), (3, 50)).astype(float)
    with refused("the values look log-transformed: sample 'S1', gene 'G"):
        check(log(counts), unit)
    shares = 1e6 * counts / counts.sum(axis=1, keepdims=True)
    with refused("pass counts or TPM as they were before (2**x - 1 undoes log2(x + 1))"):
        check(log(shares), unit)


def test_tpm_are_refused_as_counts(tpm):
    words = "every sample sums to about a million, as TPM do: pass unit='tpm' (--unit tpm), or better the counts"
    whole = tpm.round()
    whole.iloc[0] += [0, 1, 2]  # rounding seldom leaves the sums equal
    for values in (tpm, tpm.round(2), whole):
        for rounding in (False, True):
            with refused(words):
                bg.read_bulk(values, round=rounding)


def test_counts_that_were_thinned_to_a_million_are_counts():
    values = np.random.default_rng(1).multinomial(1_000_000, np.full(20, 0.05), 3)
    np.testing.assert_array_equal(check(values), values)


def test_fractional_values_are_no_counts_until_rounding_is_asked_for():
    values = [[12.37, 100.0, 55.5], [8.0, 70.25, 3.5]]
    words = (
        "counts must be whole numbers, but sample 'S1', gene 'G0' holds 12.37; for expected counts (RSEM, Salmon, "
        "kallisto) pass round=True (--round), for TPM of a part of the genes unit='tpm' (--unit tpm)"
    )
    with refused(words):
        check(values)
    np.testing.assert_array_equal(check(values, round=True), np.rint(values))


def test_counts_are_refused_as_tpm(counts):
    total = f"{counts['S1'].sum():,.0f}"
    words = (
        f"unit='tpm', but all values are whole numbers and sample 'S1' sums to {total}, not a million: pass "
        "unit='counts' (--unit counts)"
    )
    with refused(words):
        bg.read_bulk(counts, unit="tpm")
    with refused(
        "unit='tpm', but sample 'S2' sums to 2,000,102, where TPM cannot exceed a million; for expected counts"
    ):
        check([[5e5, 5e5 + 0.5], [1e6, 1e6 + 101.5]], "tpm")


def test_tpm_keep_their_values(tpm):
    read = bg.read_bulk(tpm, unit="tpm")
    np.testing.assert_array_equal(read.X, tpm.to_numpy().T)
    rounded = tpm.round().to_numpy().T
    np.testing.assert_array_equal(check(rounded, "tpm"), rounded)


def test_tpm_of_a_part_of_the_genes_are_taken_with_a_warning(tpm):
    part = tpm.iloc[:5]
    least = part.sum().idxmin()
    words = (
        f"the TPM of sample '{least}' sum to {part[least].sum():,.0f}, not a million: a part of the genes is missing"
    )
    with pytest.warns(UserWarning, match=re.escape(words)) as caught:
        bg.read_bulk(part, unit="tpm")
    assert caught[0].filename == __file__


@given(
    st.lists(st.integers(0, 2**40), min_size=2, max_size=20),
    st.sampled_from(["counts", "scaled", "log"]),
)
def test_whatever_is_accepted_as_counts_is_whole_and_unchanged(row, made):
    values = np.array([row], float)
    values = {"counts": values, "scaled": values / 3, "log": np.log1p(values)}[made]
    try:
        result = check(values)
    except CountsError:
        assert made != "counts" or not values.any()
    else:
        np.testing.assert_array_equal(result, values)


def test_a_frame_of_counts_is_not_changed():
    table = pd.DataFrame([[1, 2], [3, 4]], index=["ENSG00000000001", "ENSG00000000001.2"], columns=["a1", "b1"])
    before = table.copy()
    bg.read_bulk(table)
    pd.testing.assert_frame_equal(table, before)
