"""Random words stand at their published and documented addresses."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkgen.kernels import backend_names, get_kernels
from conftest import ROOT

word = st.integers(0, 2**32 - 1)


def known_answers():
    with (ROOT / "tests" / "vectors" / "philox4x32_10.csv").open() as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            values = {name: [int(part, 16) for part in text.split()] for name, text in row.items()}
            yield values["counter"], values["key"], values["words"]


def philox(name, counter, key):
    out = np.empty(4, np.uint32)
    get_kernels(name).philox_block(out, np.array(counter, np.uint32), key=key)
    return out.tolist()


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize(("counter", "key", "words"), list(known_answers()))
def test_philox_gives_the_published_answers(backend, counter, key, words):
    assert philox(backend, counter, key[0] | key[1] << 32) == words


def plain_philox(counter, key):
    """Ten rounds in Python's unbounded integers, from the paper's definition."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


@pytest.mark.parametrize("backend", backend_names())
@given(counter=st.tuples(word, word, word, word), key=st.integers(0, 2**64 - 1))
def test_philox_is_the_papers_function_for_any_counter_and_key(backend, counter, key):
    assert philox(backend, counter, key) == plain_philox(counter, key)


@pytest.mark.parametrize("backend", backend_names())
@given(cell=st.integers(0, 2**64 - 4), position=st.integers(0, 600), purpose=st.integers(0, 255), key=st.integers(0, 9))
def test_a_word_stands_at_its_documented_address(backend, cell, position, purpose, key):
    out = np.empty((3, 601), np.uint32)
    get_kernels(backend).philox_words(out, key=key, purpose=purpose, first_cell=cell)
    block = plain_philox(
        [
            position // 256 * 64 + position % 64,
            (cell + 2) & 0xFFFFFFFF,
            (cell + 2) >> 32,
            purpose << 24,
        ],
        key,
    )
    assert out[2, position] == block[position // 64 % 4]


@pytest.mark.parametrize("backend", backend_names())
def test_wrong_arguments_are_refused(backend):
    kernels = get_kernels(backend)
    with pytest.raises(TypeError):
        kernels.philox_words(np.empty((2, 2), np.int32), key=0, purpose=0, first_cell=0)
    with pytest.raises(TypeError):
        kernels.philox_words(np.empty((4, 4), np.uint32)[:, ::2], key=0, purpose=0, first_cell=0)
    with pytest.raises(ValueError, match="purpose"):
        kernels.philox_words(np.empty((2, 2), np.uint32), key=0, purpose=256, first_cell=0)
    with pytest.raises(ValueError, match="two dimensions"):
        kernels.philox_words(np.empty(4, np.uint32), key=0, purpose=0, first_cell=0)
