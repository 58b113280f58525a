"""From the results of a study to its report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.fidelity.results import BenchmarkResults
from bulkgen.report.study.content import PartWords, StudyContent
from bulkgen.report.study.html import write_html
from bulkgen.study.folder import StudyFolder

if TYPE_CHECKING:
    from pathlib import Path

    from bulkgen.study.results import StudyResults

__all__ = ["study_content", "write_report"]

_CITATIONS = (
    "Rank-value encoding: Theodoris et al., Transfer learning enables predictions in network biology, "
    "Nature 618:616 (2023).",
)


def write_report(results: StudyResults) -> Path:
    """Write ``report.html`` and ``figures/`` into the study's folder, in the place of older ones, and return the page.

    Raises
    ------
    MissingExtraError
        Without the extra ``report``.
    """
    return write_html(study_content(results), results.folder, overwrite=True)


def study_content(results: StudyResults) -> StudyContent:
    """Return what the report of a study shows."""
    folder = StudyFolder(results.folder)
    config, data = results.config, results.data
    return StudyContent(
        name=config.name,
        data=data.model_dump(mode="json"),
        parts=tuple(
            PartWords(name, part.letter, part.title, part.question, part.x_name, part.note)
            for name, part in config.parts.items()
        ),
        table=results.table,
        specifications={point.run.key: point.run.model_dump(mode="json") for point in results.points},
        runs=results.runs,
        split=pd.read_parquet(folder.split),
        command=data.command
        or shlex.join(["bulkgen", "study", "run", folder.settings.name, "--out", folder.path.name]),
        settings=folder.settings.read_text(encoding="utf-8"),
        versions=_versions(results),
        citations=(*filter(None, [data.citation]), *_CITATIONS),
        benchmark=BenchmarkResults.load(folder.benchmark) if folder.benchmark.is_dir() else None,
        benchmark_error=results.benchmark_error,
    )


def _versions(results: StudyResults) -> dict[str, str]:
    """Return the versions of packages that runs were made with, all of them where they differ."""
    found: dict[str, dict[str, None]] = {}
    for record in results.runs.values():
        for package, version in record["versions"].items():
            found.setdefault(package, {})[version] = None
    return {package: ", ".join(versions) for package, versions in found.items()}
