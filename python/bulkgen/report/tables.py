"""Tables of a report, as plain data that HTML and Markdown both show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["Cell", "Row", "Spread", "Table", "counted", "difference_text", "number_text", "signed", "table_markdown"]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds.

    Attributes
    ----------
    mean
        NaN where there is no value.
    sd
        Standard deviation (n − 1); NaN for one value.
    n
        Number of values.
    """

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float] | pd.Series) -> Spread:
        """Take the finite values."""
        found = np.asarray(list(values), dtype=float)
        found = found[np.isfinite(found)]
        if not found.size:
            return cls(float("nan"), float("nan"), 0)
        return cls(float(found.mean()), float(found.std(ddof=1)) if found.size > 1 else float("nan"), int(found.size))

    @property
    def known(self) -> bool:
        """Whether there is any value."""
        return self.n > 0

    @property
    def bar(self) -> float | None:
        """Length of an error bar; ``None`` where nothing is to be drawn."""
        return None if np.isnan(self.sd) else self.sd

    def __str__(self) -> str:
        """Return mean ± sd to three decimals, or a dash."""
        if not self.known:
            return "–"
        text = f"{self.mean:.3f}" + ("" if np.isnan(self.sd) else f" ± {self.sd:.3f}")
        return text.replace("-", "−")


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is the best of its column, and how dark its ground is (0 to 1)."""

    text: str
    strong: bool = False
    shade: float | None = None
    failed: bool = False

    @property
    def parts(self) -> tuple[str, str]:
        """The number, and what follows its ±."""
        head, _, tail = self.text.partition(" ± ")
        return head, tail


@dataclass(frozen=True)
class Row:
    """One row; a ``floor`` is a reference line such as the majority label, shown apart."""

    name: str
    cells: tuple[Cell, ...]
    role: Literal["row", "floor"] = "row"

    @classmethod
    def of(cls, name: str, *cells: Cell | Spread | str, role: Literal["row", "floor"] = "row") -> Row:
        """Make a row of texts, spreads and cells."""
        return cls(name, tuple(cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in cells), role)


@dataclass(frozen=True)
class Table:
    """A table: `columns` are the headings, the first of them that of the rows' names."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False  # closed until it is clicked, on a screen

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns) - 1:
                raise ValueError(
                    f"row {row.name!r} has {len(row.cells)} cells for {len(self.columns) - 1} columns: {self.caption}"
                )

    @property
    def narrow(self) -> bool:
        """Whether it fits beside a figure: few columns, and nothing but numbers in them."""
        return len(self.columns) <= 4 and all(len(cell.text) <= 12 for row in self.rows for cell in row.cells)


def counted(number: int, word: str) -> str:
    """Write a number of things."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def number_text(value: float, deviation: float = float("nan")) -> str:
    """Write a number, with its standard deviation where there is one, to about three digits."""
    if np.isnan(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1.995 else 3
    # a small number keeps three digits of its own, as long as it can be read
    if 0 < size < 0.01:
        digits = 4
    text = f"{value:,.{digits}f}"
    if not np.isnan(deviation):
        text += f" ± {deviation:,.{digits}f}"
    return text.replace("-", "−")


def difference_text(spread: Spread) -> str:
    """Write a difference with its sign."""
    if not spread.known:
        return "–"
    return signed(spread.mean) + ("" if np.isnan(spread.sd) else f" ± {spread.sd:.3f}")


def signed(value: float) -> str:
    """Write a number to three decimals with its sign; 0 has none."""
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "−")


def table_markdown(table: Table) -> str:
    """Write a table in Markdown, its caption above it."""

    def line(texts: Iterable[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"

    def shown(cell: Cell) -> str:
        return f"**{cell.text}**" if cell.strong and cell.text != "–" else cell.text

    lines = [line(table.columns), "|---" + "|---:" * (len(table.columns) - 1) + "|"]
    for row in table.rows:
        name = f"*{row.name}*" if row.role == "floor" else row.name
        lines.append(line([name, *(shown(cell) for cell in row.cells)]))
    return (f"{table.caption}\n\n" if table.caption else "") + "\n".join(lines)
