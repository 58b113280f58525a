"""Cells drawn and encoded one at a time have the tokens of the cells that are drawn and then encoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bulkgen.kernels import backend_names, get_kernels
from bulkgen.kernels.row_encoding import RowEncoding
from bulkgen.kernels.truncated_gaussian import (
    draw_truncated_gaussian,
    draw_truncated_gaussian_tokens,
    plan_truncated_gaussian,
)
from kernel_cases import same_bits, truncated_gaussian_parameters

CELLS = 7
N_GENES = 700


def levels():
    """Every backend and instruction-set level of this installation."""
    names = ["numba"]
    if "native" in backend_names():
        names += get_kernels("native").levels
    return names


@pytest.fixture(params=levels())
def kernels(request):
    if request.param == "numba":
        yield get_kernels("numba")
        return
    native = get_kernels("native")
    before = native.level
    native.use_level(request.param)
    yield native
    native.use_level(before)


def encoding(*, most_genes=100, cls=-1, eos=-1, shared=True):
    rng = np.random.default_rng(4)
    token = np.where(rng.random(N_GENES) < 0.9, np.arange(N_GENES) + 4, -1).astype(np.int32)
    median = rng.choice([0.25, 1.0, 2.0], N_GENES)
    first = np.arange(N_GENES, dtype=np.int32)
    if shared:
        first[[20, 500]] = 3
        token[[3, 20, 500]], median[[3, 20, 500]] = 7, 1.5
    return RowEncoding(token, median, first if shared else np.empty(0, np.int32), most_genes, cls, eos)


def plan(sampler, *, masked=False, rounded=False):
    mean, deviation, lower, upper = truncated_gaussian_parameters(N_GENES)
    # what a generator asks for: nothing below zero
    lower = np.maximum(lower, 0.0)
    result = plan_truncated_gaussian(mean, deviation, lower, np.maximum(upper, lower + 1), sampler=sampler)
    if masked:
        result = result.masked(np.linspace(0, 1, N_GENES))
    return replace(result, round=rounded)


def fused(kernels, plan, encoding, *, first_cell=0, cells=CELLS, room=None, dtype=np.int16):
    out = np.empty(cells * encoding.room(N_GENES) if room is None else room, dtype)
    lengths, genes = np.zeros((2, cells), np.int64)
    draw_truncated_gaussian_tokens(plan, encoding, out, lengths, genes, key=9, first_cell=first_cell, kernels=kernels)
    return out[: lengths.sum()], lengths, genes


def in_two_steps(kernels, plan, encoding, *, dtype=np.int16):
    cells = np.empty((CELLS, N_GENES), np.float32)
    draw_truncated_gaussian(plan, cells, key=9, kernels=kernels, threads=1)
    out = np.empty(CELLS * encoding.room(N_GENES), dtype)
    lengths, genes = np.zeros((2, CELLS), np.int64)
    kernels.rank_tokens(
        np.arange(CELLS + 1, dtype=np.int64) * N_GENES,
        np.tile(np.arange(N_GENES, dtype=np.int32), CELLS),
        cells.reshape(-1),
        encoding.token,
        encoding.median,
        encoding.first_column,
        out,
        np.empty(0, np.float32),
        lengths,
        genes,
        most_genes=encoding.most_genes,
        cls=encoding.cls,
        eos=encoding.eos,
        first_row=0,
        last_row=CELLS,
    )
    return out[: lengths.sum()], lengths, genes


@pytest.mark.parametrize("sampler", ["inverse", "rejection"])
@pytest.mark.parametrize("how", [{}, {"masked": True}, {"rounded": True}, {"masked": True, "rounded": True}], ids=str)
@pytest.mark.parametrize(
    "limits", [{}, {"most_genes": 12, "cls": 2, "eos": 3}, {"most_genes": 9999, "shared": False}], ids=str
)
def test_one_step_gives_the_tokens_of_two(kernels, sampler, how, limits):
    one = fused(kernels, plan(sampler, **how), encoding(**limits))
    two = in_two_steps(kernels, plan(sampler, **how), encoding(**limits))
    assert all(same_bits(a, b) for a, b in zip(one, two, strict=True))
    assert one[1].min() > 0


def test_cells_can_be_made_alone_and_in_either_width(kernels):
    tokens, lengths, _ = fused(kernels, plan("inverse"), encoding())
    ends = np.cumsum(lengths)
    alone, _, _ = fused(kernels, plan("inverse"), encoding(), first_cell=4, cells=1, dtype=np.int32)
    assert np.array_equal(alone, tokens[ends[3] : ends[4]])


def test_what_does_not_fit_is_refused(kernels):
    with pytest.raises(ValueError, match="no room for the tokens of cell 2"):
        fused(kernels, plan("inverse"), encoding(), room=250)
    good, encoded = plan("inverse"), encoding()
    for name, changed in {
        "common": replace(good, common=good.common[:-1]),
        "keep": replace(good, keep=np.zeros(5, np.uint32)),
        "odd_gene": replace(good, odd_gene=good.odd_gene[::-1].copy()),
        "odd must": replace(good, odd=good.odd[:, 1:].copy()),
    }.items():
        with pytest.raises(ValueError, match=name):
            fused(kernels, changed, encoded)
    beyond = good.odd_gene.copy()
    beyond[-1] = N_GENES
    with pytest.raises(ValueError, match="odd_gene"):
        fused(kernels, replace(good, odd_gene=beyond), encoded)
    with pytest.raises(ValueError, match="first_column"):
        fused(kernels, good, replace(encoded, first_column=np.full(N_GENES, 5, np.int32)))


def test_genes_beyond_the_last_are_never_redrawn(kernels):
    """A plan whose padding can never land inside its bounds must neither hang nor write outside the row."""
    hopeless = plan("rejection")
    padding = hopeless.common.reshape(-1, 7, 256)[-1, :, N_GENES % 256 :]
    padding[2], padding[3] = 1.0, 0.0
    expected = fused(kernels, plan("rejection"), encoding())
    assert all(same_bits(a, b) for a, b in zip(fused(kernels, hopeless, encoding()), expected, strict=True))


def test_a_mask_keeps_a_gene_as_often_as_it_was_detected(kernels):
    n, cells = 512, 4000
    detection = np.repeat([0.0, 0.1, 0.5, 1.0], n // 4)
    law = plan_truncated_gaussian(np.full(n, 5.0), 1.0, 0.0, 10.0).masked(detection)
    out = np.empty((cells, n), np.float32)
    draw_truncated_gaussian(law, out, key=2, kernels=kernels, threads=1)
    seen = (out > 0).mean(axis=0)
    assert np.all(seen[: n // 4] == 0)
    assert np.all(seen[-n // 4 :] == 1)
    error = np.sqrt(detection * (1 - detection) / cells)
    assert np.all(np.abs(seen - detection) <= 5 * error)
