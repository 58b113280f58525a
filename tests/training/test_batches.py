"""Cutting, padding and the order of batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from bulkgen.training.batches import Cells, LengthGroupedSampler, collate, cut_lengths, cut_tokens  # noqa: E402


@given(st.integers(0, 30), st.integers(3, 40), st.booleans())
def test_cutting_keeps_the_first_genes_and_the_special_tokens(genes, context, special):
    row = np.arange(10, 10 + genes, dtype=np.int16)
    if special:
        row = np.concatenate(([2], row, [3])).astype(np.int16)
    cut = cut_tokens(row, context, eos=3 if special else None)
    assert len(cut) == min(len(row), context)
    assert cut.dtype == np.int16
    if special:
        assert cut[0] == 2
        assert cut[-1] == 3
        assert np.array_equal(cut[1:-1], row[1 : len(cut) - 1])
    else:
        assert np.array_equal(cut, row[: len(cut)])


def test_no_context_cuts_nothing_and_copies_nothing():
    row = np.arange(5, dtype=np.int16)
    assert cut_tokens(row, None, eos=3) is row


def test_a_batch_is_padded_to_a_multiple_of_eight_of_its_longest(tokens):
    cells = Cells(tokens([[5, 6, 7], [8] * 9, [9]]), context=None, classes=np.array([2, 0, 1]))
    batch = collate([cells[i] for i in range(3)], pad=0, positions=64)
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == batch["labels"].dtype == torch.int64
    assert batch["input_ids"].shape == (3, 16)
    assert batch["input_ids"].tolist() == [[5, 6, 7] + [0] * 13, [8] * 9 + [0] * 7, [9] + [0] * 15]
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 9, 1]
    assert batch["labels"].tolist() == [2, 0, 1]


def test_padding_does_not_go_beyond_the_positions(tokens):
    cells = Cells(tokens([[5] * 11]), context=None)
    batch = collate([cells[0]], pad=0, positions=12)
    assert batch["input_ids"].shape == (1, 12)
    assert "labels" not in batch


def test_a_cell_without_tokens_is_one_pad_that_counts(tokens):
    cells = Cells(tokens([[], [4, 5]]), context=None)
    batch = collate([cells[0], cells[1]], pad=0, positions=64)
    assert batch["attention_mask"].sum(dim=1).tolist() == [1, 2]
    assert batch["input_ids"][0].sum() == 0


def test_sorted_cells_keep_their_classes_and_remember_their_places(tokens):
    data = tokens([[5], [6, 7, 8], [9, 10]])
    cells = Cells(data, context=2, classes=np.array([7, 8, 9]), sort_by_length=True)
    assert cells.order.tolist() == [1, 2, 0]
    assert cells.lengths.tolist() == [2, 2, 1]
    assert [(cells[i]["input_ids"].tolist(), cells[i]["label"]) for i in range(3)] == [
        ([6, 7], 8),
        ([9, 10], 9),
        ([5], 7),
    ]
    assert cut_lengths(data, 2).tolist() == [1, 2, 2]


@given(n=st.integers(1, 700), batch_size=st.integers(1, 40), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_every_cell_comes_once_per_epoch_in_an_order_of_seed_and_epoch(n, batch_size, seed, epoch):
    lengths = np.random.default_rng(n).integers(1, 500, size=n)

    def order():
        sampler = LengthGroupedSampler(lengths, batch_size=batch_size, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert sorted(order()) == list(range(n))
    assert order() == order()


def test_epochs_and_seeds_have_different_orders():
    lengths = np.random.default_rng(0).integers(1, 500, size=200)
    orders = set()
    for seed in range(2):
        sampler = LengthGroupedSampler(lengths, batch_size=16, seed=seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
    assert len(orders) == 6


def test_grouping_by_length_saves_padding_and_leaves_batches_in_random_order():
    lengths = np.random.default_rng(0).integers(1, 500, size=1600)
    batches = np.array(list(LengthGroupedSampler(lengths, batch_size=32, seed=0))).reshape(-1, 32)

    def padded(order):
        return lengths[order].max(axis=1).sum() * 32

    shuffled = np.random.default_rng(1).permutation(1600).reshape(-1, 32)
    assert padded(batches) < 1.05 * lengths.sum()
    assert padded(shuffled) > 1.8 * lengths.sum()
    longest = lengths[batches].max(axis=1)
    assert abs(np.corrcoef(longest, np.arange(50))[0, 1]) < 0.4
