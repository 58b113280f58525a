"""Hostile vocabularies: JSON without end or sense, pickles with code or that claim all memory."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from pathlib import Path

import stored_things
from hostile_cases import WITNESS, WORDS, Call, case


def _words(folder: Path, text: str) -> Path:
    (folder / "vocabulary.json").write_text(text)
    return folder / "vocabulary.json"


def _changed_words(folder: Path, **changed: object) -> Path:
    return _words(folder, json.dumps(_vocabulary() | changed))


def _vocabulary() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        return json.loads(stored_things.make("vocabulary", Path(folder)).read_text())


@case(WORDS, "open_vocabulary", "not JSON")
def vocabulary_nested_without_end(folder: Path) -> Path:
    return _words(folder, '{"format": ' + "[" * 200_000)


@case(WORDS, "open_vocabulary", "not JSON")
def vocabulary_with_a_number_of_a_million_digits(folder: Path) -> Path:
    return _words(folder, '{"format": ' + "9" * 1_000_000 + "}")


@case(WORDS, "open_vocabulary", "larger than")
def vocabulary_of_a_gigabyte(folder: Path) -> Path:
    path = _words(folder, "")
    # takes no room on the disk
    os.truncate(path, 1 << 30)
    return path


@case(WORDS, "open_vocabulary", "context")
def vocabulary_whose_context_is_huge(folder: Path) -> Path:
    return _changed_words(folder, context=1 << 60)


@case(WORDS, "open_vocabulary", "used twice")
def vocabulary_with_one_token_twice(folder: Path) -> Path:
    return _changed_words(folder, tokens=dict.fromkeys(_vocabulary()["tokens"], 5))


@case(WORDS, "open_vocabulary", "median nan")
def vocabulary_whose_medians_are_no_numbers(folder: Path) -> Path:
    return _changed_words(folder, medians=dict.fromkeys(_vocabulary()["medians"], float("nan")))


def _pickle(folder: Path, content: bytes) -> Path:
    (folder / "genes.pkl").write_bytes(content)
    return folder / "genes.pkl"


@case(WORDS, "open_pickle", "mkdir")
def pickle_with_code(folder: Path) -> Path:
    return _pickle(folder, pickle.dumps({"gene": Call(os.mkdir, str(folder / WITNESS))}))


@case(WORDS, "open_pickle", "mkdir")
def pickle_with_code_as_numpy_type(folder: Path) -> Path:
    named = b"cnumpy\ndtype\n(cos\nmkdir\nX" + len(str(folder / WITNESS)).to_bytes(4, "little")
    return _pickle(folder, b"\x80\x02" + named + str(folder / WITNESS).encode() + b"tR.")


@case(WORDS, "open_pickle", "TUPLE1")
def pickle_that_calls_what_the_memo_hides(folder: Path) -> Path:
    text = [b"\x8c" + bytes([len(word)]) + word for word in (b"posix", b"mkdir", b"numpy", b"dtype")]
    content = b"\x80\x04" + text[0] + b"\x94" + text[1] + b"\x94" + text[2] + text[3] + b"h\x00h\x01\x93"
    name = str(folder / WITNESS).encode()
    return _pickle(folder, content + b"X" + len(name).to_bytes(4, "little") + name + b"\x85R.")


@case(WORDS, "open_pickle", "more memory")
def pickle_with_a_memo_of_four_billion_places(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02}r\xff\xff\xff\xff.")


@case(WORDS, "open_pickle", "truncated")
def pickle_that_claims_a_string_of_four_gigabytes(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02}X\xff\xff\xff\xff.")


@case(WORDS, "open_pickle", "truncated")
def pickle_that_claims_a_frame_of_an_exabyte(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x04\x95" + (1 << 60).to_bytes(8, "little") + b"}.")


@case(WORDS, "open_pickle", "TUPLE1")
def pickle_nested_a_million_deep(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02" + b"N\x85" * 1_000_000 + b".")


@case(WORDS, "open_pickle", "instructions", heavy=True)
def pickle_of_thirty_million_marks(folder: Path) -> Path:
    return _pickle(folder, b"\x80\x02" + b"(" * 30_000_000 + b".")


@case(WORDS, "open_pickle", "larger than")
def pickle_larger_than_any_dictionary(folder: Path) -> Path:
    path = _pickle(folder, b"\x80\x02")
    os.truncate(path, 1 << 32)
    return path
