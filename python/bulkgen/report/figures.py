"""The report's figures: Matplotlib through its object API, without pyplot and its global state.

Panels are small (about 4.4 inches wide), because a report is also read on a phone, where wide figures shrink until
their letters cannot be read. Colours are Okabe and Ito's, told apart by colour-blind people; markers repeat them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bulkgen.report.content import Report, ResultScores

__all__ = [
    "confusion_matrix",
    "distribution",
    "dress",
    "k_curve",
    "ladder",
    "look",
    "new_figure",
    "panel",
    "strip",
    "to_png",
    "to_svg",
]

#: Okabe and Ito's palette: blue, vermillion, bluish green, reddish purple, sky blue, orange.
MODEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MODEL_MARKERS = ("o", "s", "^", "D", "v", "P")
KIND_COLOURS = {"real": "#000000", "pseudobulk": "#0072B2", "synthetic": "#D55E00"}
KIND_NAMES = {"real": "real cells", "pseudobulk": "pseudo-bulk", "synthetic": "synthetic cells"}
GREY = "#5a5a5a"
_BLUES = LinearSegmentedColormap.from_list("recall", ["#ffffff", "#cfe1f2", "#6aaed6", "#0072B2", "#00416b"])

Metric = Literal["balanced_accuracy", "macro_f1", "accuracy"]
METRIC_NAMES: dict[Metric, str] = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
}


def to_svg(figure: Figure) -> bytes:
    """Render a figure as SVG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "bulkgen"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def to_png(figure: Figure, *, dpi: int = 200) -> bytes:
    """Render a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def k_curve(report: Report, metric: Metric = "balanced_accuracy") -> Figure:
    """Score against the aggregation factor k, one line per model, with the real ceiling and the floors.

    Only pseudo-bulk sets have a k; a model without any has no line.
    """
    figure, axes = panel(mark=_mark(report), height=3.4)
    for number, model in enumerate(report.models):
        colour, marker = look(number)
        points = sorted(
            (cells.aggregation, float(getattr(scores, metric)), _margin(scores, metric))
            for run, scores in report.scored
            if run.model == model and (cells := report.cells(run.training_set)).aggregation is not None
        )
        if points:
            k, score, margin = (np.array(values, dtype=float) for values in zip(*points, strict=True))
            axes.errorbar(
                k,
                score,
                yerr=None if np.isnan(margin).any() else margin,
                color=colour,
                marker=marker,
                capsize=3,
                label=f"{model}, pseudo-bulk",
            )
        ceiling = [
            float(getattr(scores, metric))
            for run, scores in report.scored
            if run.model == model and report.cells(run.training_set).kind == "real"
        ]
        if ceiling:
            axes.axhline(ceiling[0], color=colour, linestyle="--", linewidth=1.2, label=f"{model}, real cells")
    _floors(axes, report, metric)
    axes.set_xscale("log")
    ticks = sorted({cells.aggregation for cells in report.training_sets if cells.aggregation is not None})
    axes.set_xticks(ticks, [f"{k:g}" for k in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("aggregation factor k (cells per pseudo-bulk sample)")
    axes.set_ylabel(f"{METRIC_NAMES[metric]} on real test cells")
    axes.set_ylim(0.0, 1.02)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7.5, frameon=False)
    return figure


def ladder(report: Report) -> Figure:
    """Balanced accuracy of every training set, best set of the first model on top, with 95 % intervals."""
    names = [cells.name for cells in report.training_sets]
    figure, axes = panel(mark=_mark(report), height=1.5 + 0.38 * len(names))
    for number, model in enumerate(report.models):
        colour, marker = look(number)
        shift = 0.22 * (number - (len(report.models) - 1) / 2)
        found = [(run, scores) for run, scores in report.scored if run.model == model]
        axes.errorbar(
            [scores.balanced_accuracy for _, scores in found],
            [names.index(run.training_set) + shift for run, _ in found],
            xerr=[scores.balanced_accuracy_margin for _, scores in found],
            color=colour,
            marker=marker,
            linestyle="none",
            capsize=3,
            label=model,
        )
    _floors(axes, report, "balanced_accuracy", vertical=True)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0.0, 1.02)
    axes.set_xlabel("balanced accuracy on real test cells")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


def confusion_matrix(
    confusion: NDArray[np.int64], labels: Sequence[str], *, title: str, mark: str | None, note: str = ""
) -> Figure:
    """Share of each true label's test cells given each label, with the numbers of cells; `note` says of what."""
    figure, axes = panel(mark=mark, height=3.3, width=4.0)
    support = confusion.sum(axis=1)
    share = confusion / np.maximum(support, 1)[:, None]
    image = axes.imshow(share, cmap=_BLUES, vmin=0.0, vmax=1.0, aspect="auto")
    for row, column in np.ndindex(*confusion.shape):
        axes.text(
            column,
            row,
            f"{confusion[row, column]:,}",
            ha="center",
            va="center",
            fontsize=8.5,
            color="white" if share[row, column] > 0.55 else "black",
        )
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, [f"{label} ({n:,})" for label, n in zip(labels, support, strict=True)])
    axes.set_xlabel("predicted label")
    axes.set_ylabel(f"true label (test cells{note})")
    axes.set_title(title, fontsize=9.5)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true label's cells", fontsize=8)
    return figure


def distribution(
    report: Report, what: Literal["token_lengths", "expressed_genes", "library_sizes"], *, logarithmic: bool = False
) -> Figure:
    """Tokens, genes or counts per cell of every set: median, quartiles, and the 5th to 95th percentile."""
    sets = (report.test_set, *report.training_sets)
    figure, axes = panel(mark=_mark(report), height=1.35 + 0.34 * len(sets))
    for place, cells in enumerate(sets):
        values = np.asarray(getattr(cells, what), dtype=float)
        if len(values):
            strip(axes, place, np.quantile(values, np.linspace(0.0, 1.0, 101)), KIND_COLOURS[cells.kind])
    if what != "library_sizes":
        axes.axvline(report.context, color=GREY, linestyle=":", linewidth=1.2)
        axes.annotate(
            f"context {report.context:,}",
            (report.context, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=GREY,
        )
    axes.set_yticks(range(len(sets)), [cells.name for cells in sets])
    axes.set_ylim(len(sets) - 0.5, -0.5)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0.0)
    unit = {"token_lengths": "tokens", "expressed_genes": "expressed genes", "library_sizes": "counts (UMI)"}[what]
    axes.set_xlabel(f"{unit} per cell or pseudo-bulk sample")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    for kind in dict.fromkeys(cells.kind for cells in sets):
        axes.plot([], [], color=KIND_COLOURS[kind], linewidth=6, alpha=0.55, label=KIND_NAMES[kind])
    figure.legend(loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    return figure


def panel(*, mark: str | None, height: float, width: float = 4.4) -> tuple[Figure, Axes]:
    """Make a figure of one panel; `mark` says in its corner what was not measured."""
    figure = new_figure(mark=mark, height=height, width=width)
    axes = figure.add_subplot()
    dress(axes)
    return figure, axes


def new_figure(*, mark: str | None, height: float, width: float) -> Figure:
    """Make an empty figure; `mark` says in its corner what was not measured."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    if mark:
        figure.suptitle(mark, x=0.99, ha="right", fontsize=7.5, color=GREY, style="italic")
    return figure


def dress(axes: Axes) -> None:
    """Give axes the look of the report."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.set_axisbelow(True)


def strip(axes: Axes, place: int, quantiles: NDArray[np.float64], colour: str) -> None:
    """Draw the median, the quartiles and the 5th to 95th percentile of 101 quantiles in one row."""
    low, first, middle, third, high = quantiles[[5, 25, 50, 75, 95]]
    axes.plot([low, high], [place, place], color=colour, linewidth=1.2, solid_capstyle="butt")
    axes.plot([first, third], [place, place], color=colour, linewidth=9, alpha=0.55, solid_capstyle="butt")
    axes.plot([middle], [place], marker="|", markersize=13, markeredgewidth=2, color=colour)


def look(number: int) -> tuple[str, str]:
    """Colour and marker number `number`; the first 36 pairs differ."""
    n = len(MODEL_COLOURS)
    return MODEL_COLOURS[number % n], MODEL_MARKERS[(number + number // n) % len(MODEL_MARKERS)]


def _mark(report: Report) -> str | None:
    return "simulated data" if report.simulated else None


def _margin(scores: ResultScores, metric: Metric) -> float:
    return scores.balanced_accuracy_margin if metric == "balanced_accuracy" else float("nan")


def _floors(axes: Axes, report: Report, metric: Metric, *, vertical: bool = False) -> None:
    """Draw the score of always answering the commonest label, and that of guessing."""
    if not report.scored:
        return
    scores = report.scored[0][1]
    majority, chance = scores.majority[metric], 1.0 / len(scores.labels)
    draw = axes.axvline if vertical else axes.axhline
    # guessing uniformly has no macro-F1 that the number of labels alone gives
    same = metric == "macro_f1" or abs(majority - chance) < 5e-3
    name = "majority label = chance" if same and metric != "macro_f1" else "majority label"
    draw(majority, color=GREY, linestyle="-.", linewidth=1.2, label=f"{name} ({majority:.2f})")
    if not same:
        draw(chance, color=GREY, linestyle=":", linewidth=1.2, label=f"chance ({chance:.2f})")
