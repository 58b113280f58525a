"""The report's figures: Matplotlib through its object API, without pyplot and its global state.

Panels are small (about 4.4 inches wide), because a report is also read on a phone, where wide figures shrink until
their letters cannot be read. Colours are Okabe and Ito's, told apart by colour-blind people; markers repeat them.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = [
    "confusion_matrix",
    "dress",
    "look",
    "new_figure",
    "own_style",
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

#: Stands in the metadata of every figure, so that a later report knows which files it may remove.
MAKER = "bulkgen report"


def own_style() -> AbstractContextManager[None]:
    """Return a context in which figures look alike, whatever the user, or an imported package, has set."""
    return matplotlib.style.context("default")


def to_svg(figure: Figure) -> bytes:
    """Render a figure as SVG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with own_style(), matplotlib.rc_context({"svg.hashsalt": "bulkgen"}):
        figure.savefig(buffer, format="svg", metadata={"Creator": MAKER, "Date": None})
    return buffer.getvalue()


def to_png(figure: Figure, *, dpi: int = 200) -> bytes:
    """Render a figure as PNG."""
    buffer = io.BytesIO()
    with own_style():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": MAKER})
    return buffer.getvalue()


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
