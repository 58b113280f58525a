"""All that the report of a study says and shows, made from its results alone, before it is HTML or Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bulkgen.report.page import require_report_extra
from bulkgen.report.study.content import error_text, runs_in, shortfall
from bulkgen.report.study.findings import levels
from bulkgen.report.tables import counted, number_text
from bulkgen.training.metrics import Scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkgen.fidelity.results import BenchmarkResults
    from bulkgen.report.study.content import StudyContent
    from bulkgen.report.study.sections import Section
    from bulkgen.report.study.view import Picture
    from bulkgen.report.tables import Table

__all__ = ["StudyPage", "study_page"]

#: Facts of the data that have a place of their own in the report.
_SHOWN_APART = ("name", "simulated", "origin", "note", "citation", "labels", "parts", "command")
#: What the banner says of where the cells come from.
_BANNERS = {"real": "REAL DATA: {}", "simulated": "SIMULATED DATA", "computed": "COMPUTED CELLS"}
_CAUTIONS = {
    "real": "",
    "simulated": "“Real cells” in this report are the simulation's own.",
    "computed": (
        "The cells of this data set were computed from others (sums, mixtures or synthetic cells): “real cells” in "
        "this report are the data set's own, and none of its scores is of measured cells."
    ),
}
_FACT_NAMES = {
    "n_cells": "cells",
    "n_genes": "genes",
    "qc": "quality control",
    "sha256": "SHA-256 of the data",
    "split_sha256": "SHA-256 of the split",
}


@dataclass(frozen=True)
class StudyPage:
    """All that the report of a study says and shows, before it is HTML or Markdown."""

    name: str
    data: str
    title: str
    banner: Mapping[str, object]
    summary: str
    caution: str
    runs: str
    troubled: bool
    uncertainty: str
    facts: Mapping[str, str]
    split: Table
    levels: tuple[str, ...]
    sections: tuple[Section, ...]
    confusions: tuple[Picture, ...]
    distributions: tuple[Picture, ...]
    failures: Table | None
    cost: Table
    benchmark: BenchmarkResults | None
    benchmark_error: str
    settings: str
    command: str
    versions: Mapping[str, str]
    citations: tuple[str, ...]

    @property
    def leading(self) -> list[tuple[str, list[str]]]:
        """The sentences at the head of the page, by part."""
        found = [
            (f"{part.letter}. {part.title}", [finding.text for finding in part.findings if finding.leading])
            for part in self.sections
        ]
        return [(part, sentences) for part, sentences in found if sentences]

    @property
    def pictures(self) -> list[Picture]:
        """Every figure in the order of the page."""
        drawn = [picture for part in self.sections for picture in part.pictures]
        return [*drawn, *self.confusions, *self.distributions]


def study_page(content: StudyContent) -> StudyPage:
    """Make what the report says and shows out of a study's results.

    Raises
    ------
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    """
    require_report_extra()
    from bulkgen.report.figures import own_style

    with own_style():
        return _page(content)


def _page(content: StudyContent) -> StudyPage:
    # these draw, and this module loads without Matplotlib
    from bulkgen.report.study.appendix import (
        confusion_pictures,
        cost_table,
        distribution_pictures,
        failure_table,
        split_table,
    )
    from bulkgen.report.study.sections import section

    in_study = set(content.table["part"])
    # thinning is about the same curve as bulkiness, and stands beside it
    order = sorted(content.parts, key=lambda part: "A1" if part.name == "thinning" else part.letter)
    counts = runs_in(content.table)
    data = content.data
    return StudyPage(
        name=content.name,
        data=data["name"],
        title=f"bulkgen study: {content.name} on {data['name']}",
        banner={
            "title": _BANNERS[content.origin].format(data["name"]),
            "note": data.get("note") or "",
            "measured": content.origin == "real",
        },
        summary=(
            "Can bulk RNA-seq, as pseudo-bulk or as cells generated from it, stand in for single cells as training "
            "data? Every model was tested on the same single cells, which took no part in training, estimation or any "
            "choice."
        ),
        caution=_CAUTIONS[content.origin],
        runs=_runs(content),
        troubled=counts["done"] < counts["all"] or content.benchmark_error is not None,
        uncertainty=_uncertainty(content),
        facts=_facts(data),
        split=split_table(content),
        levels=tuple(levels(content, content.main_problem)),
        sections=tuple(section(content, part) for part in order if part.name in in_study),
        confusions=tuple(confusion_pictures(content)),
        distributions=tuple(distribution_pictures(content)),
        failures=failure_table(content),
        cost=cost_table(content),
        benchmark=content.benchmark,
        benchmark_error="" if content.benchmark_error is None else error_text(content.benchmark_error),
        settings=content.settings,
        command=content.command,
        versions=content.versions,
        citations=content.citations,
    )


def _runs(content: StudyContent) -> str:
    counts = runs_in(content.table)
    sizes = (counted(counts["all"], "run"), counted(len(content.models), "model"), counted(content.seeds, "seed"))
    text = f"{', '.join(sizes)}: {counts['done']:,} done{shortfall(counts)}."
    return text if content.benchmark_error is None else f"{text} The benchmark of the generators failed."


def _uncertainty(content: StudyContent) -> str:
    """Say what the deviations are of, and what they are not: test cells; nothing while no run is done."""
    points = content.points
    done = points[points["status"] == "done"]
    if not len(done):
        return ""
    said = (
        "Balanced accuracy (mean recall of the labels) on the test cells, mean ± standard deviation over seeds. One "
        "test set serves all runs, so the deviations are of training sets and starting weights"
    )
    plain = done[done["plain"]]
    if not len(plain):
        return f"{said}, not of test cells."
    scores = Scores.from_dict(content.runs[str(plain["key"].iloc[0])]["result"]["test"])
    margin = number_text(scores.balanced_accuracy_margin)
    return f"{said}; the number of test cells alone leaves a score of real cells uncertain by about ± {margin} (95 %)."


def _facts(data: Mapping[str, Any]) -> dict[str, str]:
    """Say the facts of the data that have no other place."""
    shown = {name: value for name, value in data.items() if name not in _SHOWN_APART}
    return {
        _FACT_NAMES.get(name, name.replace("_", " ")): _said(value)
        for name, value in shown.items()
        if value not in (None, "", [], (), {})
    }


def _said(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_said(found)}" for name, found in value.items())
        case list() | tuple():
            return "; ".join(_said(found) for found in value)
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case str() if re.fullmatch("[0-9a-f]{40,}", value):
            # data.json has all of a hash
            return f"{value[:12]}…"
        case _:
            return str(value)
