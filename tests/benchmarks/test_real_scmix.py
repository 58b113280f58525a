"""The whole way on real cells: the table on the page of the studies is that of its results."""

from __future__ import annotations

import json
import re

import real_scmix
from conftest import ROOT


def test_the_table_of_the_whole_way_is_that_of_its_results():
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / re.search(r"`(benchmarks/results/\S+-real_scmix\.json)`", page)[1]).read_text())
    assert real_scmix.table(results["results"]["rows"]) in page
