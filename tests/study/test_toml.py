"""Settings as TOML, read back by the standard library."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkgen.study.toml import to_toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda below: st.lists(below, max_size=3),
    max_leaves=8,
)
TABLES = st.recursive(
    st.dictionaries(TEXT, VALUES, max_size=4),
    lambda below: st.dictionaries(TEXT, VALUES | below, max_size=4),
    max_leaves=6,
)


@given(TABLES)
def test_what_is_written_is_read_back(table):
    assert tomllib.loads(to_toml(table)) == table


@given(TABLES, TABLES)
def test_tables_in_one_line_are_read_back(one, other):
    table = {"parameters": one, "method": "m", "below": {"parameters": other}}
    assert tomllib.loads(to_toml(table, inline=frozenset({"parameters"}))) == table


def test_none_is_a_comment_and_not_a_key():
    text = to_toml({"a": None, "b": {"c": 1, "d": None}, "parameters": {"e": None}}, inline=frozenset({"parameters"}))
    assert tomllib.loads(text) == {"b": {"c": 1}, "parameters": {}}
    assert "# a is not set" in text.splitlines()
    assert "# d is not set" in text.splitlines()


def test_a_value_without_a_form_is_refused():
    with pytest.raises(TypeError, match="a complex has no form in TOML"):
        to_toml({"a": 1j})
