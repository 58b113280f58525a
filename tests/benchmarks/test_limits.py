"""The page on limits shows what its experiment found, and the experiment finds it again."""

from __future__ import annotations

import json

import pytest

import limits
from conftest import ROOT
from machine import RESULTS

STORED = json.loads(max(RESULTS.glob("*-limits.json")).read_text(encoding="utf-8"))["results"]


def test_the_page_holds_the_stored_tables():
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    for table in limits.page_tables(STORED):
        assert table in page


def test_a_repeat_finds_what_is_stored():
    # a gene on the edge of 5 % may be on either side of it with another SciPy
    assert limits.false_positives(0) == pytest.approx(STORED["false_positives"][0], abs=1.5 / limits.N_GENES)


def test_only_donors_keep_the_rate_that_was_allowed():
    for found in STORED["false_positives"]:
        donors, *others = found.values()
        assert donors < 0.1
        assert min(others) > 0.3
