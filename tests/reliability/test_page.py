"""The page of faults is what the stored results say."""

from __future__ import annotations

import json
import re

import pytest

import reliability_page

RECORDS = sorted(reliability_page.RESULTS.glob("*.json"))


def test_the_page_is_what_the_stored_results_say():
    assert reliability_page.PAGE.read_text(encoding="utf-8") == reliability_page.page()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_result_has_what_the_page_needs_and_names_no_place_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    record = json.loads(text)
    assert record["name"] == path.stem
    assert set(record) >= {"title", "command", "date", "machine", "seconds", "rows"}
    assert all(set(row) == {"case", "tried", "failures", "note"} for row in record["rows"])
    assert all(0 <= row["failures"] <= row["tried"] for row in record["rows"])
    assert not re.search(r"/(tmp|home|root|work)/", text)


def test_a_bar_in_a_note_does_not_break_the_table():
    row = {"case": "a|b", "tried": 1200, "failures": 0, "note": "two\nlines"}
    record = {"title": "T", "command": "c", "date": "d", "machine": "m", "seconds": 1, "rows": [row]}
    assert "| a\\|b | 1,200 | 0 | two lines |" in reliability_page.section(record)
