"""The results page in Markdown: the tables of the report, and figures that are there."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bulkgen.errors import OutputExistsError
from bulkgen.report.study.markdown import markdown, write_markdown
from bulkgen.report.study.page import study_page
from bulkgen.report.tables import table_markdown
from study_cases import make_study


@pytest.fixture(scope="module")
def content():
    whole = make_study()
    return dataclasses.replace(whole, table=whole.table[whole.table["part"].isin(["mixing", "ladder"])])


def test_section_has_every_table_of_the_report(content):
    page = study_page(content)
    text = markdown(page, figures="figures")
    tables = [table for found in page.sections for block in found.blocks for table in block.tables]
    assert len(tables) > 8
    for table in (*tables, page.split, page.cost):
        assert table_markdown(table).partition("\n\n")[2].replace("<", "&lt;").replace(">", "&gt;") in text
    assert "\n\n## poster: SIMULATED DATA (the simulated twin of sci-Plex2)\n\nNo cell was measured." in text
    assert "ValueError: no &lt;cells&gt; of BMS" in text
    assert "bulkgen study run poster --out poster" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(content):
    for block in re.findall(r"(?:^\|.*\n)+", markdown(study_page(content), figures="figures"), re.M):
        rows = block.strip().split("\n")
        assert len({row.count("|") for row in rows}) == 1


def test_page_holds_several_studies_and_its_figures_exist(content, tmp_path):
    other = dataclasses.replace(content, name="the other/one")
    page = write_markdown([content, other], tmp_path / "results.md")
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert {link.split("/")[1] for link in links} == {"poster", "the_other_one"}
    assert all((tmp_path / link).read_bytes().startswith(b"<?xml") for link in links)
    assert text.count("### C. Mixing") == 2
    with pytest.raises(OutputExistsError, match=r"results\.md exists"):
        write_markdown([content], page)


def test_studies_of_one_name_are_refused(content, tmp_path):
    with pytest.raises(ValueError, match="two studies are called 'poster'"):
        write_markdown([content, content], tmp_path / "results.md")
    assert not list(tmp_path.iterdir())
