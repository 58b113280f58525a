"""What is published of the studies is what their stored runs say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("matplotlib")

import study_results
from bulkgen.report.study.markdown import markdown
from bulkgen.report.study.page import study_page
from bulkgen.study.reporting import study_content
from bulkgen.study.results import results_table

ROOT = Path(__file__).parents[2]
PAGE = study_results.PAGE.read_text(encoding="utf-8")
NAMES = study_results.names()


def test_every_study_is_stored():
    assert {f"{name}.toml" for name in NAMES} == {
        path.name for path in (ROOT / "benchmarks" / "studies").glob("*.toml")
    }


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_those_of_the_stored_runs(name):
    with study_results.opened(name) as results:
        assert not results.missing
        assert not results.failed
        table = results_table(results.points, results.runs, labels=tuple(results.data.labels))
        stored = pd.read_csv(study_results.STORED / name / "results.csv", keep_default_na=False, na_values=[""])
        pd.testing.assert_frame_equal(
            table.reset_index(drop=True).astype(object).where(table.notna(), None),
            stored.astype(object).where(stored.notna(), None),
            check_exact=False,
            rtol=1e-12,
        )


def test_the_page_is_what_a_stored_study_gives():
    name = "interferon_tiny"
    with study_results.opened(name) as results:
        section = markdown(study_page(study_content(results)), figures=f"results/{name}")
    assert section.strip() in PAGE


def test_every_picture_of_the_page_is_there():
    links = re.findall(r"\]\((results/[^)]+\.svg)\)", PAGE)
    assert len(links) > 50
    assert sorted(links) == sorted(f"results/{p.parent.name}/{p.name}" for p in (ROOT / "docs/results").glob("*/*.svg"))


def test_stored_settings_name_no_place_of_a_machine():
    for path in study_results.STORED.glob("*/*.[tj]*"):
        if path.suffix in (".toml", ".json"):
            assert not re.search(r'"/(tmp|home|root|work)/', path.read_text(encoding="utf-8")), path


def test_curves_are_named_as_the_study_names_its_generators():
    assert "· donor_shift: balanced accuracy on real test cells against real cells per class" in PAGE
    assert "control None" not in PAGE
