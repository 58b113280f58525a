"""The public rng argument."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkgen.rng import key_from_rng


@given(st.integers(0, 2**200))
def test_an_integer_of_any_size_always_gives_the_same_64_bit_key(seed):
    key = key_from_rng(seed)
    assert key == key_from_rng(seed) == key_from_rng(np.random.SeedSequence(seed))
    assert 0 <= key < 2**64


def test_keys_of_seeds_are_frozen():
    # a change here changes every random stream: bump STREAM_VERSION
    assert [key_from_rng(seed) for seed in (0, 1, 2**64, 2**130)] == GOLDEN


GOLDEN = [15793235383387715774, 7434755675892716031, 8649202198168436674, 16732062099500631801]


def test_neighbouring_seeds_have_unrelated_keys():
    keys = [key_from_rng(seed) for seed in range(2000)]
    assert len(set(keys)) == 2000
    bits = np.array([[key >> bit & 1 for bit in range(64)] for key in keys])
    # each bit is set in half of the keys, within 5 standard errors of a fair coin
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize("integer", [np.int64(5), np.uint8(5), np.int32(5)])
def test_numpy_integers_are_integers(integer):
    assert key_from_rng(integer) == key_from_rng(5)


def test_a_seed_sequence_is_not_consumed():
    sequence = np.random.SeedSequence(3)
    assert key_from_rng(sequence) == key_from_rng(sequence)
    assert sequence.n_children_spawned == 0
    child = sequence.spawn(1)[0]
    assert key_from_rng(child) != key_from_rng(sequence)


def test_a_generator_advances_by_one_word():
    generator, twin = np.random.default_rng(11), np.random.default_rng(11)
    keys = [key_from_rng(generator), key_from_rng(generator)]
    assert keys == [int(word) for word in twin.integers(0, 2**64, 2, dtype=np.uint64)]
    assert keys[0] != keys[1]
    assert generator.integers(1000) == twin.integers(1000)


def test_none_is_fresh_entropy():
    assert key_from_rng(None) != key_from_rng(None)
    assert key_from_rng() != key_from_rng()


@pytest.mark.parametrize(
    "wrong",
    [True, False, np.True_, 1.0, np.float64(3), "1", [1, 2], np.random.RandomState(0)],
    ids=lambda wrong: type(wrong).__name__,
)
def test_anything_else_is_refused(wrong):
    with pytest.raises(TypeError, match=r"rng must be an int, a numpy\.random\.SeedSequence"):
        key_from_rng(wrong)


@pytest.mark.parametrize("negative", [-1, np.int64(-3), -(2**70)])
def test_negative_seeds_are_refused(negative):
    with pytest.raises(ValueError, match=f"non-negative integer, got {negative}"):
        key_from_rng(negative)
