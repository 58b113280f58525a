"""Results in a notebook: what they print, with a table below."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["with_table"]

_MOST_ROWS = 60


def with_table(result: object, table: pd.DataFrame) -> str:
    """Return the HTML of what `result` prints, and of a table; of a long one its first and last rows."""
    shown: str = table.to_html(notebook=True, max_rows=_MOST_ROWS, float_format="{:.4g}".format)
    return f"<p><code>{escape(repr(result))}</code></p>\n{shown}"
