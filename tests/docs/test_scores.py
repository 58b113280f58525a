"""Scores in prose are those of the pages that are made from stored results."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT

SCORE = re.compile(r"[−+]?\d\.\d{3} ± \d\.\d{3}")


def scores(*pages: str, until: str = "\0") -> set[str]:
    texts = ((ROOT / page).read_text(encoding="utf-8").partition(until)[0] for page in pages)
    return {score for text in texts for score in SCORE.findall(" ".join(text.split()))}


# what follows in the studies is a table of its own results
@pytest.mark.parametrize(
    ("page", "until", "least"), [("README.md", "\0", 30), ("docs/studies.md", "\n## The whole way", 40)]
)
def test_every_score_in_prose_stands_on_a_page_made_from_results(page, until, least):
    told = scores(page, until=until)
    assert len(told) >= least
    assert told <= scores("docs/results.md", "docs/generators.md")
