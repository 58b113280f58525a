"""Files that the hosting site and tools read are well-formed, and agree with what the package says."""

from __future__ import annotations

import pytest
import yaml

import bulkgen
from conftest import ROOT


def read(path: str):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version():
    citation = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == bulkgen.__version__
    assert all("title" in reference and "authors" in reference for reference in citation["references"])


@pytest.mark.parametrize("template", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem)
def test_issue_templates_ask_for_something(template):
    form = yaml.safe_load(template.read_text(encoding="utf-8"))
    if template.stem == "config":
        assert form["blank_issues_enabled"] is True
    else:
        assert form["name"]
        assert form["description"]
        assert all(field["attributes"]["label"] for field in form["body"])
