"""Files of another kind, version or content are refused in one way."""

from __future__ import annotations

import json

import pytest

from bulkgen.errors import VocabularyError
from bulkgen.json_format import JsonFormat

FORMAT = JsonFormat("bulkgen-words", 2, what="a list of words", remedy="write it again", error=VocabularyError)


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "words.json"
    path.write_text(json.dumps({**FORMAT.head, "words": ["naïve"]}, ensure_ascii=False), encoding="utf-8")
    assert FORMAT.read(path) == {"format": "bulkgen-words", "version": 2, "words": ["naïve"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "words.json is damaged: it is not JSON (.*); write it again"),
        (b'{"format": "bulkgen-words"', "words.json is damaged: it is not JSON"),
        (b"\xff\xfe\xfd", "words.json is damaged: it is not JSON"),
        (b"[" * 100_000, "words.json is damaged: it is not JSON"),
        (b"9" * 10_000, "words.json is damaged: it is not JSON"),
        (b"[]", 'words.json is not a list of words \\(no "format": "bulkgen-words"\\)'),
        (b"{}", "words.json is not a list of words"),
        (b'{"format": "bulkgen-cells", "version": 2}', "words.json is not a list of words"),
        (b'{"format": "bulkgen-words"}', "has version None .* reads 2: pip install --upgrade bulkgen"),
        (b'{"format": "bulkgen-words", "version": 3}', "has version 3 of its format; this bulkgen reads 2"),
        (b'{"format": "bulkgen-words", "version": "' + b"3" * 9999 + b'"}', "has version '3{39} of"),
    ],
)
def test_what_is_something_else_is_refused_in_one_way(tmp_path, content, said):
    path = tmp_path / "words.json"
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=said):
        FORMAT.read(path)


def test_a_file_that_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        FORMAT.read(tmp_path / "words.json")
