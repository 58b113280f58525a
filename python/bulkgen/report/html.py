"""The report as one HTML file: figures inlined, no network, no script."""

from __future__ import annotations

import base64
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bulkgen.errors import MissingExtraError
from bulkgen.io.atomic import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bulkgen.report.content import Report

__all__ = ["findings", "render", "require_report_extra", "write_report"]


def require_report_extra() -> None:
    """Raise :class:`bulkgen.errors.MissingExtraError` where a package that reports need is not installed."""
    for module in ("matplotlib", "jinja2"):
        if find_spec(module) is None:
            raise MissingExtraError(module, "report")


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
    figures = _figures(report)
    from bulkgen.report.figures import to_png, to_svg

    place = Path(folder) / "report.html"
    drawn = {name: to_svg(figure) for name, (figure, _) in figures.items()}
    described = {name: text for name, (_, text) in figures.items()}
    with atomic_file(place, overwrite=overwrite) as temporary:
        temporary.write_text(render(report, drawn, described), encoding="utf-8")
    (Path(folder) / "figures").mkdir(exist_ok=True)
    for name, (figure, _) in figures.items():
        for suffix, content in (("svg", drawn[name]), ("png", to_png(figure))):
            with atomic_file(Path(folder) / "figures" / f"{name}.{suffix}", overwrite=overwrite) as temporary:
                temporary.write_bytes(content)
    return place


def render(report: Report, svg: dict[str, bytes], descriptions: dict[str, str]) -> str:
    """Fill the template: `svg` and `descriptions` (alternative texts) are keyed by the figure's name."""
    from jinja2 import Environment, StrictUndefined

    def image(name: str) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(svg[name]).decode("ascii")

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["score"] = lambda value: "–" if value != value else f"{value:.3f}"
    environment.filters["count"] = lambda value: f"{value:,.0f}"
    template = files("bulkgen.report").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        report=report,
        image=image,
        descriptions=descriptions,
        findings=findings(report),
        confusions=sorted(name for name in svg if name.startswith("confusion_")),
    )


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


def _figures(report: Report) -> dict[str, tuple[Figure, str]]:
    """Every figure with its alternative text, in the order of the report."""
    from bulkgen.report import figures as draw

    made: dict[str, tuple[Figure, str]] = {}
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
            draw.confusion_matrix(report, run, scores),
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
