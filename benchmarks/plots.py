"""The plots of the page of the benchmarks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from race import spread

_INK, _GRID, _GUIDE = "#222222", "#e3e3e3", "#9a9a9a"
# Okabe and Ito: told apart by every kind of colour vision
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = ("o", "s", "D", "^", "v", "P")
_RACES = {
    "truncated_gaussian": "truncated normals",
    "pseudobulk_many": "sums, groups of ten",
    "pseudobulk_few": "sums, 28 groups",
    "gene_moments": "moments of genes",
    "tokenize": "tokens",
    "synthesize": "synthesis to tokens",
    "peer_multinomial": "multinomial cells",
    "peer_poisson": "Poisson cells",
    "peer_negative_binomial": "negative binomial cells",
    "peer_donor_shift": "moved donors",
    "thin_cells": "thinned cells",
    "thin_libraries": "thinned libraries",
}
_AXES = {"groups": "groups", "genes": "genes", "nonzeros": "non-zero entries", "molecules": "molecules per cell"}


def draw(results: dict, folder: Path) -> list[Path]:
    """Draw what the results have; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with _style():
        for name, plot in (("ratios", _ratios), ("scaling", _scaling), ("kernels", _kernels)):
            path = folder / f"{name}.svg"
            figure = plot(results)
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            # no date: the same results give the same file
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
            written.append(path)
    return written


@contextmanager
def _style() -> Iterator[None]:
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "bulkgen",
        "figure.facecolor": "white",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": _INK,
        "axes.edgecolor": _GUIDE,
        "axes.labelcolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": _GRID,
        "grid.linewidth": 0.6,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }
    # what decoupler sets when it is imported is not wanted here
    with mpl.style.context(["default", style]):
        yield


def _ratios(results: dict) -> Figure | None:
    """How many times as long each peer takes as bulkgen: one line per pair."""
    rows = [row for row in results["figures"] if row["race"] in _RACES and _is_peer(row)]
    if not rows:
        return None
    figure = Figure(figsize=(7.6, 0.9 + 0.24 * len(rows)))
    axes = figure.subplots()
    jobs = list(dict.fromkeys(row["race"] for row in rows))
    for place, row in enumerate(rows):
        colour = _COLOURS[jobs.index(row["race"]) % len(_COLOURS)]
        axes.plot([1, row["median"]], [place, place], color=colour, linewidth=1.4, alpha=0.5)
        axes.plot([row["least"], row["most"]], [place, place], color=colour, linewidth=3.2, alpha=0.4)
        axes.plot(row["median"], place, "o", color=colour, markersize=5)
        axes.annotate(
            f"{row['median']:,.0f}×" if row["median"] >= 10 else f"{row['median']:.1f}×",
            (max(row["median"], row["most"], 1.0), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(1, color=_INK, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(0.7, 0.8 * min(row["least"] for row in rows)), 3 * max(row["most"] for row in rows))
    axes.set_yticks(range(len(rows)), [f"{_RACES[row['race']]}: {row['against']} / {row['what']}" for row in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}×"))
    axes.set_xlabel("time of the first / time of the second")
    return figure


def _is_peer(row: dict) -> bool:
    return "against" in row and not row["against"].startswith("bulkgen")


def _scaling(results: dict) -> Figure | None:
    """Time against size, log-log, with lines of slope one."""
    curves = {name: results["curves"][name] for name in _AXES if name in results["curves"]}
    if not curves:
        return None
    figure = Figure(figsize=(3.3 * len(curves), 3.1))
    row = figure.subplots(1, len(curves), squeeze=False)
    labels = list(dict.fromkeys(label for found in curves.values() for label in found))
    for axes, (name, found) in zip(row[0], curves.items(), strict=True):
        for label, points in found.items():
            k = labels.index(label)
            x, y = zip(*points, strict=True)
            _guide(axes, x, y)
            axes.plot(x, y, color=_COLOURS[k], marker=_MARKERS[k], markersize=4, linewidth=1.4, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(_AXES[name])
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        # the guides of a flat curve would else decide the range
        times = [time for points in found.values() for _, time in points]
        axes.set_ylim(min(times) / 2, max(times) * 2)
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(_seconds))
        axes.minorticks_off()
    row[0][0].set_ylabel("time")
    handles = {
        label: handle
        for axes in row[0]
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        if label in labels
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles))
    return figure


def _guide(axes: Axes, x: tuple[float, ...], y: tuple[float, ...]) -> None:
    """Draw the line of cost proportional to size through the last point."""
    axes.plot(x, [y[-1] * value / x[-1] for value in x], color=_GUIDE, linewidth=0.9, linestyle=(0, (4, 3)))


def _kernels(results: dict) -> Figure | None:
    """Time per unit of work of each kernel by backend, threads and level."""
    races = {name: found for name, found in results["races"].items() if name.startswith("kernel_")}
    if not races:
        return None
    sides = list(dict.fromkeys(side for found in races.values() for side in found["seconds"]))
    figure = Figure(figsize=(7.6, 0.8 + 0.5 * len(races)))
    axes = figure.subplots()
    for place, found in enumerate(races.values()):
        for k, side in enumerate(side for side in sides if side in found["seconds"]):
            time = spread(found["seconds"][side])["median"] / found["work"] * 1e9
            axes.plot(
                time,
                place + (k - len(sides) / 2 + 0.5) * 0.09,
                linestyle="none",
                marker=_MARKERS[k % len(_MARKERS)],
                color=_COLOURS[k % len(_COLOURS)] if k < len(_COLOURS) else _INK,
                markersize=5,
                label=side if place == 0 else None,
            )
    axes.set_xscale("log")
    axes.set_yticks(range(len(races)), [name.removeprefix("kernel_").replace("_", " ") for name in races])
    axes.set_ylim(len(races) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(_minor))
    axes.set_xlabel("nanoseconds per value drawn or entry read")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def _minor(value: float, _: int) -> str:
    """Label 2 and 5 between the powers of ten."""
    leading = value / 10 ** math.floor(math.log10(value))
    return f"{value:,g}" if round(leading) in (2, 5) else ""


def _short(value: float, _: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _seconds(value: float, _: int) -> str:
    for size, unit in ((1, "s"), (1e-3, "ms")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value * 1e6:g} µs"
