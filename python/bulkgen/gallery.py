"""The figures of a report, inline in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkgen.arguments import checked
from bulkgen.fidelity.results import BenchmarkResults
from bulkgen.report.gallery import Drawing, Gallery
from bulkgen.report.page import require_report_extra

if TYPE_CHECKING:
    from bulkgen.study.results import StudyResults

__all__ = ["figures"]


@checked
def figures(results: BenchmarkResults | StudyResults) -> Gallery:
    """Draw the figures of a report, to look at in a notebook.

    Parameters
    ----------
    results
        Of :func:`bulkgen.benchmark_generators`, :func:`bulkgen.score_cells` or :func:`bulkgen.run_study`, or read from
        their folder.

    Returns
    -------
    Gallery
        Figures by name, in the order of the report. A notebook shows all of them, or one: ``gallery["ladder_0"]``,
        whose ``figure`` is Matplotlib's.

    Raises
    ------
    TypeError
        `results` are others.
    MissingExtraError
        Without Matplotlib or Jinja2 (``pip install 'bulkgen[report]'``).
    """
    require_report_extra()
    if isinstance(results, BenchmarkResults):
        from bulkgen.report.benchmark import benchmark_figures

        drawn = benchmark_figures(results).items()
        return Gallery(tuple(Drawing(name, description, figure) for name, (figure, description) in drawn))
    from bulkgen.report.study.page import study_page
    from bulkgen.study.reporting import study_content

    pictures = study_page(study_content(results)).pictures
    return Gallery(tuple(Drawing(picture.name, picture.description, picture.figure) for picture in pictures))
