"""The report of the demo: models trained on several sets of cells, tested on one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkgen.report.page import render_page, require_report_extra, write_page

if TYPE_CHECKING:
    from pathlib import Path

    from bulkgen.report.content import Report
    from bulkgen.report.page import Figures

__all__ = ["findings", "render", "write_report"]

_TEMPLATE = "report.html.j2"


def write_report(report: Report, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write ``report.html`` and, under ``figures/``, every figure as SVG and PNG.

    Parameters
    ----------
    report
        What to show.
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
    require_report_extra()
    return write_page(folder, _TEMPLATE, _figures(report), overwrite=overwrite, **_content(report))


def render(report: Report, svg: dict[str, bytes], descriptions: dict[str, str]) -> str:
    """Fill the template: `svg` and `descriptions` (alternative texts) are keyed by the figure's name."""
    return render_page(_TEMPLATE, svg, descriptions, **_content(report))


def _content(report: Report) -> dict[str, object]:
    return {
        "title": report.title,
        "banner": {"title": "SIMULATED DATA", "note": report.data_note} if report.simulated else None,
        "report": report,
        "findings": findings(report),
        "command": report.command,
        "versions": report.versions,
        "citations": report.citations,
    }


def findings(report: Report) -> list[str]:
    """Say in sentences what the numbers say, and nothing else."""
    sentences = []
    for model in report.models:
        found = [(report.cells(run.training_set), scores) for run, scores in report.scored if run.model == model]
        real = next((scores for cells, scores in found if cells.kind == "real"), None)
        if real is not None:
            sentences.append(
                f"{model}, trained on real cells: balanced accuracy {real.balanced_accuracy:.3f} "
                f"(± {real.balanced_accuracy_margin:.3f}), the ceiling for this test set and model."
            )
        curve = sorted(
            (cells.aggregation, scores.balanced_accuracy) for cells, scores in found if cells.aggregation is not None
        )
        if len(curve) > 1:
            values = ", ".join(f"{score:.3f} at k = {k:g}" for k, score in curve)
            sentences.append(f"{model}, trained on pseudo-bulk: {values}.")
        for cells, scores in found:
            if cells.kind == "synthetic":
                against = ""
                if real is not None:
                    against = f", {scores.balanced_accuracy - real.balanced_accuracy:+.3f} against real cells"
                sentence = f"{model}, trained on {cells.name}: {scores.balanced_accuracy:.3f}{against}."
                sentences.append(sentence.replace("-0.", "−0."))
    return sentences


def _figures(report: Report) -> Figures:
    """Every figure with its alternative text, in the order of the report."""
    from bulkgen.report import figures as draw

    made: Figures = {}
    if report.scored:
        made["ladder"] = (draw.ladder(report), "Balanced accuracy of every training set and model")
        if any(cells.aggregation is not None for cells in report.training_sets):
            made["k_curve"] = (draw.k_curve(report), "Balanced accuracy against the aggregation factor k")
            made["k_curve_macro_f1"] = (
                draw.k_curve(report, "macro_f1"),
                "Macro-F1 against the aggregation factor k, with the majority baseline",
            )
            made["k_curve_accuracy"] = (
                draw.k_curve(report, "accuracy"),
                "Plain accuracy against the aggregation factor k, with the majority baseline",
            )
    for number, (run, scores) in enumerate(report.scored):
        made[f"confusion_{number:02d}"] = (
            draw.confusion_matrix(
                scores.confusion,
                scores.labels,
                title=f"{run.training_set} · {run.model}",
                mark="simulated data" if report.simulated else None,
            ),
            f"Confusion matrix: {run.training_set}, {run.model}",
        )
    made["token_lengths"] = (draw.distribution(report, "token_lengths"), "Tokens per cell of every set")
    made["expressed_genes"] = (
        draw.distribution(report, "expressed_genes", logarithmic=True),
        "Expressed genes per cell of every set",
    )
    made["library_sizes"] = (
        draw.distribution(report, "library_sizes", logarithmic=True),
        "Counts per cell of every set",
    )
    return made
