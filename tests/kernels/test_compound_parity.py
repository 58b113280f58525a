"""The compound kernels: the same bits from both backends, at every level, however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.donor_shift import donors_of_cells
from compound_cases import GENES, NAMES, cells_drawer, drawn
from kernel_cases import same_bits

cases = pytest.mark.parametrize("name", NAMES)
both = pytest.mark.parametrize("backend", backend_names())


def all_same(first, second):
    return all(same_bits(a, b) for a, b in zip(first, second, strict=True))


@cases
@pytest.mark.skipif(len(backend_names()) < 2, reason="this installation has one backend only")
@pytest.mark.parametrize("level", ["baseline", "x86-64-v3", "x86-64-v4"])
def test_both_backends_draw_the_same_bits_at_every_level(name, level):
    native = get_kernels("native")
    if level not in native.levels:
        pytest.skip(f"this processor or build has no {level}")
    before = native.level
    native.use_level(level)
    try:
        first = drawn(cells_drawer(name, native), 40)
    finally:
        native.use_level(before)
    assert first[0].max() > 50
    assert all_same(first, drawn(cells_drawer(name, get_kernels("numba")), 40))


@both
@cases
def test_cells_do_not_depend_on_how_they_are_cut_or_on_the_room(name, backend):
    draw = cells_drawer(name, get_kernels(backend))
    whole = drawn(draw, 33)
    ends = np.concatenate([[0], np.cumsum(whole[0])])
    for first, last in ((0, 1), (1, 21), (21, 33)):
        part = drawn(draw, last - first, first_cell=(3 << 40) + 7 + first)
        entries = slice(ends[first], ends[last])
        assert all_same(part, (whole[0][first:last], whole[1][entries], whole[2][entries]))
    assert all_same(drawn(draw, 33, room=GENES), whole)


@both
@cases
def test_rows_are_sorted_whole_counts_and_differ_between_keys_and_strata(name, backend):
    draw = cells_drawer(name, get_kernels(backend))
    lengths, columns, values = drawn(draw, 20)
    assert np.all(values >= 1)
    assert np.array_equal(values, np.floor(values))
    ends = np.cumsum(lengths)
    for first, last in zip(ends - lengths, ends, strict=True):
        assert np.all(np.diff(columns[first:last]) > 0)
    assert columns.min() >= 0
    assert columns.max() < GENES
    for other in (drawn(draw, 20, key=5), drawn(draw, 20, first_cell=(4 << 40) + 7)):
        assert not all_same(other, (lengths, columns, values))


@pytest.mark.skipif(len(backend_names()) < 2, reason="this installation has one backend only")
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 64, 1000])
def test_both_backends_choose_the_same_donors(n, shared):
    donors = np.arange(7, 7 + n)
    first = (2**23 << 40) + 2**39
    chosen = [
        donors_of_cells(donors, 500, key=9, first_cell=first, shared=shared, kernels=get_kernels(name))
        for name in backend_names()
    ]
    assert same_bits(*chosen)
