"""Figures of a study, from spreads and names: curves, ladders, mechanism, epochs, distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bulkgen.report.figures import GREY, KIND_COLOURS, KIND_NAMES, look, panel, strip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bulkgen.report.tables import Spread

__all__ = [
    "CEILING_COLOUR",
    "Line",
    "Reference",
    "Rung",
    "curve",
    "distributions",
    "dots",
    "epochs",
    "ladder",
    "mechanism",
]

CEILING_COLOUR = "#000000"
_FAILED = "#a40000"


@dataclass(frozen=True)
class Line:
    """A line of a curve: places on the axis, and the spread over seeds at each."""

    name: str
    x: Sequence[float]
    y: Sequence[Spread]
    colour: str
    marker: str
    style: str = "-"
    hollow: bool = False


@dataclass(frozen=True)
class Reference:
    """A level drawn across a panel: a ceiling or a floor."""

    name: str
    value: float
    style: str
    colour: str = GREY


@dataclass(frozen=True)
class Rung:
    """A row of a ladder; without a score it failed or was not run, as `why` says."""

    name: str
    score: Spread
    colour: str
    marker: str
    why: str = "failed"


def curve(
    lines: Sequence[Line],
    references: Sequence[Reference],
    *,
    x_name: str,
    y_name: str,
    title: str,
    mark: str | None,
    ticks: Mapping[float, str] | None = None,
    logarithmic: bool = False,
    floor: float = 0.0,
) -> Figure:
    """Plot scores against what was varied, with standard deviations over seeds.

    `ticks` names places of the axis; where they are given, points stand at equal steps in their order. `floor` is the
    lowest score on the axis.
    """
    figure, axes = panel(mark=mark, height=4.1)
    places = None if ticks is None else {value: place for place, value in enumerate(ticks)}
    for number, line in enumerate(lines):
        known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y.known]
        if not known:
            continue
        # error bars of lines at the same place would lie on each other
        aside = (number - (len(lines) - 1) / 2) * 0.012
        if places is not None:
            x = [places[value] + 4 * aside for value, _ in known]
        else:
            x = [value * (1 + 3 * aside) if logarithmic else value for value, _ in known]
        axes.errorbar(
            x,
            [spread.mean for _, spread in known],
            yerr=[spread.bar or 0.0 for _, spread in known],
            color=line.colour,
            marker=line.marker,
            markersize=5.5,
            markerfacecolor="white" if line.hollow else line.colour,
            linestyle=line.style,
            linewidth=1.5,
            elinewidth=1,
            capsize=2,
            label=line.name,
        )
    _levels(axes, references)
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), list(ticks.values()))
    elif logarithmic:
        axes.set_xscale("log")
        values = sorted({value for line in lines for value in line.x})
        axes.set_xticks(values, [f"{value:,g}" for value in values])
        axes.set_xticks([], minor=True)
    # a deviation may reach above 1, and is not cut
    tops = [spread.mean + (spread.bar or 0.0) for line in lines for spread in line.y if spread.known]
    axes.set_ylim(floor, max([1.03, *(top + 0.01 for top in tops)]))
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.set_title(title, fontsize=9.5)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    _legend(figure)
    return figure


def ladder(
    rungs: Sequence[Rung], references: Sequence[Reference], *, x_name: str, title: str, mark: str | None
) -> Figure:
    """One row per training set, with standard deviations over seeds."""
    figure, axes = panel(mark=mark, height=1.75 + 0.33 * len(rungs))
    for place, rung in enumerate(rungs):
        if not rung.score.known:
            colour = _FAILED if rung.why == "failed" else GREY
            axes.text(
                0.02, place, rung.why, transform=axes.get_yaxis_transform(), color=colour, fontsize=8, va="center"
            )
            continue
        bar = None if rung.score.bar is None else [rung.score.bar]
        axes.errorbar(
            [rung.score.mean], [place], xerr=bar, color=rung.colour, marker=rung.marker, markersize=6, capsize=3
        )
        axes.annotate(
            f"{rung.score.mean:.3f}",
            (rung.score.mean, place),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color="#333333",
            # a level may run through the number
            bbox={"boxstyle": "square,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )
    _levels(axes, references, vertical=True)
    axes.set_yticks(range(len(rungs)), [rung.name for rung in rungs])
    axes.set_ylim(len(rungs) - 0.4, -0.75)
    ends = [rung.score.mean + sign * (rung.score.bar or 0.0) for rung in rungs if rung.score.known for sign in (-1, 1)]
    ends += [reference.value for reference in references]
    axes.set_xlim(max(0.0, min(ends, default=0.0) - 0.06), min(1.04, max(ends, default=1.0) + 0.08))
    axes.set_xlabel(x_name)
    axes.set_title(title, fontsize=9.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    _legend(figure)
    return figure


def dots(
    names: Sequence[str],
    columns: Mapping[str, Sequence[Spread]],
    references: Sequence[Reference],
    *,
    x_name: str,
    title: str,
    mark: str | None,
) -> Figure:
    """One row per training set with a mark for each of several scores, such as one for each problem."""
    figure, axes = panel(mark=mark, height=2.1 + 0.4 * len(names))
    for number, (column, spreads) in enumerate(columns.items()):
        colour, marker = look(number)
        # marks at the same score would hide each other
        aside = (number - (len(columns) - 1) / 2) * 0.12
        known = [(place + aside, spread) for place, spread in enumerate(spreads) if spread.known]
        if known:
            axes.errorbar(
                [spread.mean for _, spread in known],
                [place for place, _ in known],
                xerr=[spread.bar or 0.0 for _, spread in known],
                color=colour,
                marker=marker,
                markersize=5.5,
                linestyle="none",
                elinewidth=1,
                capsize=2,
                label=column,
            )
    _levels(axes, references, vertical=True)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(right=max(1.04, axes.get_xlim()[1]))
    axes.set_xlabel(x_name)
    axes.set_title(title, fontsize=9.5)
    axes.grid(color="#dddddd", linewidth=0.6)
    _legend(figure)
    return figure


def mechanism(
    rungs: Sequence[Rung],
    x: Sequence[Spread],
    *,
    perfect: float,
    x_name: str,
    y_name: str,
    title: str,
    mark: str | None,
    counts: bool = False,
) -> Figure:
    """Plot the score of each training set against a measure of its cells; `counts` has a symmetric log axis."""
    figure, axes = panel(mark=mark, height=4.4)
    for rung, measured in zip(rungs, x, strict=True):
        if not (rung.score.known and measured.known):
            continue
        axes.errorbar(
            [measured.mean],
            [rung.score.mean],
            xerr=None if measured.bar is None else [measured.bar],
            yerr=None if rung.score.bar is None else [rung.score.bar],
            color=rung.colour,
            marker=rung.marker,
            markersize=6,
            linestyle="none",
            capsize=2,
            elinewidth=1,
            label=rung.name,
        )
    axes.axvline(perfect, color=GREY, linewidth=1, linestyle=":", label=f"perfect ({perfect:g})")
    if counts:
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(left=-1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.set_title(title, fontsize=9.5)
    axes.grid(color="#eeeeee", linewidth=0.6)
    _legend(figure)
    return figure


def epochs(
    lines: Sequence[Line], tests: Sequence[Spread], references: Sequence[Reference], *, title: str, mark: str | None
) -> Figure:
    """Plot the validation score after each epoch, and the test score of the model that was kept beside its end."""
    figure, axes = panel(mark=mark, height=4.1)
    last = max((max(line.x) for line in lines), default=1.0)
    for number, (line, test) in enumerate(zip(lines, tests, strict=True)):
        axes.plot(
            line.x,
            [spread.mean for spread in line.y],
            color=line.colour,
            marker=line.marker,
            markersize=4,
            markerfacecolor="white",
            linestyle="--",
            linewidth=1.4,
            label=f"{line.name}: validation",
        )
        if test.known:
            place = last * (1.06 + 0.05 * number)
            bar = None if test.bar is None else [test.bar]
            axes.errorbar(
                [place],
                [test.mean],
                yerr=bar,
                color=line.colour,
                marker=line.marker,
                markersize=7,
                linestyle="none",
                capsize=3,
                label=f"{line.name}: test",
            )
    axes.axvline(last * 1.03, color="#bbbbbb", linewidth=0.8)
    _levels(axes, references)
    axes.set_ylim(0.0, 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel("epoch (right of the line: on real test cells, after training)")
    axes.set_ylabel("balanced accuracy")
    axes.set_title(title, fontsize=9.5)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    _legend(figure)
    return figure


def distributions(
    sets: Sequence[tuple[str, str, Sequence[float]]], *, unit: str, mark: str | None, context: int | None = None
) -> Figure:
    """Median, quartiles and the 5th to 95th percentile of sets of cells: name, kind, and 101 quantiles of each."""
    figure, axes = panel(mark=mark, height=1.5 + 0.34 * len(sets))
    kinds = {"mixed": "synthetic"}
    for place, (_, kind, quantiles) in enumerate(sets):
        strip(axes, place, np.asarray(quantiles, dtype=float).clip(1.0), KIND_COLOURS[kinds.get(kind, kind)])
    if context is not None:
        axes.axvline(context, color=GREY, linestyle=":", linewidth=1.2, label=f"context ({context:,} tokens)")
    axes.set_yticks(range(len(sets)), [name for name, _, _ in sets])
    axes.set_ylim(len(sets) - 0.5, -0.5)
    axes.set_xscale("log")
    ends = [float(value) for _, _, quantiles in sets for value in (quantiles[5], quantiles[95])]
    subs = (1.0, 2.0, 5.0) if max(ends) < 100 * max(1.0, min(ends)) else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{unit} per cell or sample")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    for kind in dict.fromkeys(kinds.get(kind, kind) for _, kind, _ in sets):
        axes.plot([], [], color=KIND_COLOURS[kind], linewidth=6, alpha=0.55, label=KIND_NAMES[kind])
    _legend(figure)
    return figure


def _levels(axes: Axes, references: Sequence[Reference], *, vertical: bool = False) -> None:
    """Draw ceilings and floors, with their values in the legend."""
    draw = axes.axvline if vertical else axes.axhline
    for reference in references:
        draw(
            reference.value,
            color=reference.colour,
            linestyle=reference.style,
            linewidth=1.2,
            zorder=1,
            label=f"{reference.name}: {reference.value:.2f}",
        )


def _legend(figure: Figure) -> None:
    """Put the legend below, in as many columns as its longest name leaves room for."""
    names = [name for axes in figure.axes for name in axes.get_legend_handles_labels()[1]]
    columns = 2 if max(map(len, names), default=0) <= 34 else 1
    # room for three lines is in every figure; the panel must not pay for more
    lines = -(-len(names) // columns)
    figure.set_figheight(figure.get_figheight() + 0.16 * max(0, lines - 3))
    figure.legend(loc="outside lower center", ncols=columns, fontsize=7.5, frameon=False)
