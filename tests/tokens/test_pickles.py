"""Pickles are read by allow-list: what is more than a flat dictionary is refused and never runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from bulkgen.errors import UnsafePickleError, VocabularyError
from bulkgen.tokens import pickles
from bulkgen.tokens.pickles import read_bytes, read_pickle


def read(content, **options):
    return read_pickle(content, source="genes.pkl", **options)


class Command:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class PersistentPickler(pickle.Pickler):
    def persistent_id(self, obj):
        return "there" if obj == "elsewhere" else None


def persistent():
    file = io.BytesIO()
    PersistentPickler(file).dump({"gene": "elsewhere"})
    return file.getvalue()


def string(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_dictionaries_of_strings_and_numbers_are_read(protocol):
    values = {"<pad>": 0, "ENSG1": 70_000, "ENSG2": -1, "ENSG3": 2.5, "symbol µ": "ENSG4", "same": "ENSG4"}
    assert read(pickle.dumps(values, protocol=protocol)) == values


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("kind", [np.int16, np.int64, np.uint8, np.uint64, np.float16, np.float32, np.float64])
def test_numpy_scalars_become_plain_numbers(protocol, kind):
    values = {f"g{i}": kind(i) for i in range(120)}
    result = read(pickle.dumps(values, protocol=protocol))
    assert result == {key: value.item() for key, value in values.items()}
    assert {type(value) for value in result.values()} <= {int, float}


def test_scalars_written_by_numpy_1_and_2_read_the_same():
    two = pickle.dumps({"g": np.float64(0.1)}, protocol=2 + 1)
    one = two.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert one != two
    assert read(one) == read(two) == {"g": 0.1}


def test_big_endian_scalars_keep_their_value():
    assert read(pickle.dumps({"g": np.array([258], dtype=">i2")[0]})) == {"g": 258}


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_calls_os_system_is_refused_and_does_not_run(tmp_path, protocol, trusted):
    witness = tmp_path / "ran"
    content = pickle.dumps({"gene": Command(os.system, f"touch {witness}")}, protocol=protocol)
    with pytest.raises(UnsafePickleError, match=r"(posix|nt)\.system|STRING|UNICODE|PUT|DICT"):
        read(content, trusted=trusted)
    pickle.loads(content)  # the pickle is live: an ordinary reader runs it
    assert witness.exists()
    witness.unlink()
    with pytest.raises(UnsafePickleError):
        read(content, trusted=trusted)
    assert not witness.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_the_message_names_the_function_asked_for(protocol):
    with pytest.raises(UnsafePickleError, match=r"genes.pkl asks to call (posix|nt)\.system"):
        read(pickle.dumps(Command(os.system, "true"), protocol=protocol))


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        Command(eval, "1+1"),
        Command(getattr, "a", "upper"),
        Command(np.load, "x", None, True),
        OrderedDict(a=1),
        {"gene": np.arange(3)},
        {"gene": {1, 2}},
        {"gene": [Command(os.system, "true")]},
        {"gene": {"deeper": Command(os.system, "true")}},
        {"gene": bytearray(b"x")},
        {"gene": np.dtype("O")},
        {"gene": np.datetime64("2020-01-01")},
        {"gene": np.bool_(True)},
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_everything_but_a_flat_dictionary_is_refused(value, trusted):
    with pytest.raises(UnsafePickleError):
        read(pickle.dumps(value), trusted=trusted)


@pytest.mark.parametrize(
    "value", [{"gene": [1]}, {"gene": {"a": 1}}, {"gene": (1, 2)}, {"gene": None}, {"gene": True}, {1: 2}, [1], "a"]
)
def test_values_that_are_not_strings_or_numbers_are_refused(value):
    with pytest.raises(UnsafePickleError):
        read(pickle.dumps(value))


def test_a_name_hidden_in_the_memo_is_refused_by_the_reader():
    # the strings "posix", "system" are memoised, others follow, and the two are fetched back for STACK_GLOBAL
    content = b"\x80\x04" + string("posix") + b"\x94" + string("system") + b"\x94"
    content += string("numpy") + string("dtype") + b"h\x00h\x01\x93" + string("true") + b"\x85R."
    with pytest.raises(UnsafePickleError):
        read(content)
    with pytest.raises(UnsafePickleError, match=r"posix\.system"):
        read(content, trusted=True)


def test_a_dotted_name_cannot_reach_through_an_allowed_module():
    content = b"\x80\x04" + string("numpy") + string("dtype.__class__") + b"\x93."
    with pytest.raises(UnsafePickleError, match=r"numpy\.dtype\.__class__"):
        read(content)


def test_persistent_ids_and_extension_codes_are_refused():
    with pytest.raises(UnsafePickleError, match="BINPERSID"):
        read(persistent())
    with pytest.raises(UnsafePickleError, match="persistent"):
        read(persistent(), trusted=True)
    with pytest.raises(UnsafePickleError, match="EXT1"):
        read(b"\x80\x04\x82\x01.")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04}r\xff\xff\xff\x00.",  # a memo of 2**24 places
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"}.",  # a frame of a terabyte
        b"\x80\x04}X\xff\xff\xff\x7fabcK\x01s.",  # a string of 2 GB
        b"\x80\x04" + b"}" * 2**17 + b".",  # a dictionary for each byte
    ],
    ids=["memo", "frame", "string", "dictionaries"],
)
def test_claims_of_huge_memory_are_refused_before_they_are_made(content):
    tracemalloc.start()
    with pytest.raises((UnsafePickleError, VocabularyError)):
        read(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20


def test_deeply_nested_tuples_cannot_exhaust_the_stack():
    content = b"\x80\x04}(" + b")" + b"\x85" * 500_000 + b"K\x01u."
    with pytest.raises(UnsafePickleError):
        read(content)


def test_a_function_of_the_allow_list_cannot_be_changed():
    content = b"\x80\x04" + string("numpy") + string("dtype") + b"\x93" + b"}b."
    with pytest.raises(UnsafePickleError, match="change a function"):
        read(content)


@pytest.mark.parametrize("arguments", [("O",), ("V8",), ("i8,i8",), (np.dtype("f8"),)])
def test_numpy_types_other_than_plain_numbers_are_refused(arguments):
    with pytest.raises(UnsafePickleError):
        read(pickle.dumps({"gene": Command(np.dtype, *arguments)}))


def test_a_truncated_pickle_is_an_error_at_every_length():
    content = pickle.dumps({"ENSG1": np.float64(1.5), "ENSG2": 3, "ENSG3": "x"})
    for n in range(len(content)):
        with pytest.raises((VocabularyError, UnsafePickleError)):
            read(content[:n])


def test_a_file_that_is_no_pickle_is_an_error():
    with pytest.raises(VocabularyError, match=r"genes.pkl is truncated or not a pickle"):
        read(b"version https://git-lfs.github.com/spec/v1\n")


def test_a_file_beyond_the_size_cap_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_BYTES", 2**20)
    file = tmp_path / "big.pkl"
    file.write_bytes(bytes(2**20))
    assert len(read_bytes(file)) == 2**20
    file.write_bytes(bytes(2**20 + 1))
    with pytest.raises(VocabularyError, match=r"big.pkl is larger than 1 MB"):
        read_bytes(file)


def test_an_unreadable_file_is_an_error(tmp_path):
    with pytest.raises(VocabularyError, match="cannot be read"):
        read_bytes(tmp_path)


@pytest.mark.real_data
def test_the_published_dictionaries_read_as_an_ordinary_unpickler_reads_them(shared_data):
    for file in sorted((shared_data / "geneformer").glob("*.pkl")):
        content = file.read_bytes()
        values = read(content)
        assert values == read(content, trusted=True)
        # trusted here: these eight are the pinned ones
        expected = {key: getattr(value, "item", lambda v=value: v)() for key, value in pickle.loads(content).items()}
        assert values == expected
