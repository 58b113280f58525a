"""Figures of the benchmark of generators: ladder, mechanism, few-cells curve, genes, and the plane of real cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bulkgen.fidelity.methods import CEILING, FLOOR, MAJORITY
from bulkgen.fidelity.metrics import METRICS
from bulkgen.report.figures import GREY, dress, look, new_figure, panel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from bulkgen.fidelity.results import BenchmarkResults

__all__ = ["few_cells", "gene_scatter", "ladder", "mechanism", "plane"]

_ACCURACY = "tstr_balanced_accuracy"
_REAL, _FLOOR = "#000000", "#8a8a8a"
#: Real test cells behind the synthetic ones.
_BEHIND = "#c4c4c4"


def ladder(results: BenchmarkResults, model: str, methods: Sequence[str]) -> Figure:
    """Balanced accuracy of a model after training on each method's cells, with ceiling and floors."""
    figure, axes = panel(mark=_mark(results), height=1.45 + 0.34 * len(methods))
    for place, method in enumerate(methods):
        mean, deviation = results.value(method, _ACCURACY, model=model)
        colour, marker = appearance(results, method)
        if np.isnan(mean):
            axes.text(
                0.02, place, "failed", transform=axes.get_yaxis_transform(), color="#a40000", fontsize=8, va="center"
            )
            continue
        bar = None if np.isnan(deviation) else [deviation]
        axes.errorbar([mean], [place], xerr=bar, color=colour, marker=marker, markersize=6, capsize=3)
        axes.annotate(
            f"{mean:.3f}",
            (mean, place),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color="#333333",
        )
    _lines(axes.axvline, results, _ACCURACY, model)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.4, -0.75)
    known = [results.value(method, _ACCURACY, model=model)[0] for method in methods]
    known.append(results.value(MAJORITY, _ACCURACY)[0])
    axes.set_xlim(max(0.0, np.nanmin(known) - 0.06), 1.03)
    axes.set_xlabel(f"balanced accuracy ({model})")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7.5, frameon=False)
    return figure


def mechanism(results: BenchmarkResults, metric: str, model: str) -> Figure:
    """Plot the utility of every method against one metric of its cells: what makes cells useful."""
    figure, axes = panel(mark=_mark(results), height=3.9)
    for method in results.methods:
        x, x_deviation = results.value(method, metric)
        y, y_deviation = results.value(method, _ACCURACY, model=model)
        if np.isnan(x) or np.isnan(y):
            continue
        colour, marker = appearance(results, method)
        axes.errorbar(
            [x],
            [y],
            xerr=None if np.isnan(x_deviation) else [x_deviation],
            yerr=None if np.isnan(y_deviation) else [y_deviation],
            color=colour,
            marker=marker,
            markersize=6,
            linestyle="none",
            capsize=2,
            elinewidth=1,
            label=method,
        )
    known = METRICS[metric]
    unit = f" ({known.unit})" if known.unit else ""
    axes.axvline(known.perfect, color=GREY, linewidth=1, linestyle=":", label=f"perfect ({known.perfect:g})")
    if known.unit == "tokens":
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(left=-1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(f"{_sentence(known.description)}{unit}")
    axes.set_ylabel(f"balanced accuracy ({model})")
    axes.grid(color="#eeeeee", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7.5, frameon=False)
    return figure


def few_cells(results: BenchmarkResults) -> Figure:
    """Balanced accuracy against the real cells per class, alone and with each method's cells."""
    # "all" differs between seeds by a cell or so: it is one place on the axis, and the last
    table = results.few_cells
    table = table.assign(place=np.where(table["all"], np.inf, table["size"]))
    places = sorted(table["place"].unique())
    everything = table.loc[table["all"], "size"]
    names = [f"{place:.0f}" if np.isfinite(place) else f"all\n({everything.mean():.0f})" for place in places]
    figure, axes = panel(mark=_mark(results), height=3.9)
    for method in table["synthetic"].unique():
        points = table[table["synthetic"] == method].groupby("place")["balanced_accuracy"]
        mean, deviation = points.mean(), points.std(ddof=1)
        colour, marker = appearance(results, method) if method else (_REAL, "o")
        axes.errorbar(
            [places.index(place) for place in mean.index],
            mean.to_numpy(),
            yerr=None if deviation.isna().any() else deviation.to_numpy(),
            color=colour,
            marker=marker,
            linestyle="-" if method else "--",
            markersize=5,
            linewidth=1.4,
            capsize=2,
            label=f"real + {method}" if method else "real cells alone",
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("real cells per class")
    axes.set_ylabel("balanced accuracy (linear)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7.5, frameon=False)
    return figure


def gene_scatter(results: BenchmarkResults, method: str) -> Figure:
    """Means and shares of zeros of the genes in a method's cells against those in real test cells."""
    table = results.genes[results.genes["method"] == method]
    figure = new_figure(mark=_mark(results), height=2.5, width=4.8)
    means, zeros = figure.subplots(1, 2)
    colour, _ = appearance(results, method)
    seen = (table["real_mean"] > 0) | (table["mean"] > 0)
    # genes that one side lacks stand on the axis, at a tenth of the smallest mean
    lowest = 0.1 * float(table.loc[table["real_mean"] > 0, "real_mean"].min())
    pairs = (
        (means, np.maximum(table["real_mean"], lowest), np.maximum(table["mean"], lowest), "mean count of a gene"),
        (zeros, table["real_zeros"], table["zeros"], "share of zeros of a gene"),
    )
    for axes, real, made, name in pairs:
        dress(axes)
        axes.scatter(real[seen], made[seen], s=3, color=colour, alpha=0.25, linewidths=0, rasterized=True)
        ends = [min(real[seen].min(), made[seen].min()), max(real[seen].max(), made[seen].max())]
        axes.plot(ends, ends, color=GREY, linewidth=0.9)
        axes.set_title(name, fontsize=8.5)
        axes.set_xlabel("real test cells", fontsize=8)
        axes.set_ylabel(method, fontsize=8)
        axes.tick_params(labelsize=7)
    means.set_xscale("log")
    means.set_yscale("log")
    zeros.xaxis.set_major_locator(MaxNLocator(4))
    return figure


def plane(results: BenchmarkResults, method: str) -> Figure:
    """Plot a method's cells on the real test cells, in two principal components of the real training cells."""
    table = results.projection
    figure, axes = panel(mark=_mark(results), height=3.1, width=3.6)
    real, made = table[table["method"] == "test"], table[table["method"] == method]
    axes.scatter(real["x"], real["y"], s=9, color=_BEHIND, linewidths=0, rasterized=True, label="real test cells")
    for number, label in enumerate(sorted(made["label"].unique())):
        here = made[made["label"] == label]
        colour, marker = look(number)
        axes.scatter(
            here["x"],
            here["y"],
            s=9,
            color=colour,
            marker=marker,
            alpha=0.6,
            linewidths=0,
            rasterized=True,
            label=str(label),
        )
    axes.set_title(method, fontsize=9.5)
    axes.set_xlabel("first component")
    axes.set_ylabel("second component")
    # the same window for every method, set by all but the farthest cells of any
    for set_limits, values in ((axes.set_xlim, table["x"]), (axes.set_ylim, table["y"])):
        low, high = np.quantile(values, [0.002, 0.998])
        set_limits(low - 0.08 * (high - low), high + 0.08 * (high - low))
    figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False, markerscale=1.6)
    return figure


def appearance(results: BenchmarkResults, method: str) -> tuple[str, str]:
    """Colour and marker of a method, the same in every figure."""
    if method == CEILING:
        return _REAL, "o"
    if method == FLOOR:
        return _FLOOR, "X"
    return look([name for name in results.methods if name not in (CEILING, FLOOR)].index(method))


def _lines(draw: Callable[..., object], results: BenchmarkResults, metric: str, model: str) -> None:
    """Draw ceiling, floor and majority across a panel."""
    for method, name, style, colour in (
        (CEILING, "real training cells (ceiling)", "--", _REAL),
        (FLOOR, "independent Poisson (floor)", ":", _FLOOR),
        (MAJORITY, "always the commonest label", "-.", GREY),
    ):
        mean, _ = results.value(method, metric, model="" if method == MAJORITY else model)
        if not np.isnan(mean):
            draw(mean, color=colour, linestyle=style, linewidth=1.1, label=f"{name}: {mean:.2f}", zorder=0)


def _mark(results: BenchmarkResults) -> str | None:
    found = results.not_measured
    return None if found is None else found["what"]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
