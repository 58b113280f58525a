"""The report of a study as one self-contained page in HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkgen.report.page import write_page
from bulkgen.report.study.page import study_page

if TYPE_CHECKING:
    from pathlib import Path

    from bulkgen.report.page import Figures
    from bulkgen.report.study.content import StudyContent

__all__ = ["write_html"]


def write_html(content: StudyContent, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``report.html`` and, under ``figures/``, every figure as SVG and PNG.

    Parameters
    ----------
    content
        The results of a study.
    folder
        An existing folder.
    overwrite
        Replace a report that is there.

    Returns
    -------
    Path
        Where ``report.html`` is.

    Raises
    ------
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    OutputExistsError
        If ``report.html`` exists and `overwrite` is false.
    """
    page = study_page(content)
    figures: Figures = {picture.name: (picture.figure, picture.description) for picture in page.pictures}
    benchmark = None
    if page.benchmark is not None:
        from bulkgen.report.benchmark import benchmark_content, benchmark_figures

        benchmark = benchmark_content(page.benchmark)
        figures |= {f"benchmark_{name}": drawn for name, drawn in benchmark_figures(page.benchmark).items()}
    further = {
        "confusions": ("Confusion matrices", page.confusions),
        "cells": ("Training sets", page.distributions),
        "benchmark": ("Generators, measured", benchmark or page.benchmark_error),
        "failures": ("Failures", page.failures),
        "cost": ("Cost", page.cost),
    }
    return write_page(
        folder,
        "study.html.j2",
        figures,
        overwrite=overwrite,
        page=page,
        further=[(anchor, heading) for anchor, (heading, there) in further.items() if there],
        benchmark=benchmark,
        title=page.title,
        banner=page.banner,
        command=page.command,
        versions=page.versions,
        citations=page.citations,
    )
