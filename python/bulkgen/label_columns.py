"""Columns of `obs` that are to hold labels, and what is wrong with one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["check_classes", "no_such_column"]

#: Fewer different numbers than this may be doses.
_MOST_NUMBERS = 10
#: Names that are listed; files of atlases have hundreds of columns.
_MOST_NAMES = 12


def no_such_column(columns: Iterable[object], name: str) -> str:
    """Say that `obs` has no such column, which one may be meant, and which there are."""
    names = [str(column) for column in columns]
    close = get_close_matches(name.casefold(), (by_case := {other.casefold(): other for other in names}), n=1)
    meant = f"; did you mean {by_case[close[0]]!r}?" if close else ";"
    listed = ", ".join(map(repr, names[:_MOST_NAMES])) or "none"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"obs has no column {name!r}{meant} columns: {listed}{more}"


def check_classes(values: pd.Series, name: str) -> None:
    """Refuse a column of measured numbers, where most cells would be a class of their own.

    Raises
    ------
    LabelError
        If more than half of the cells have a number of their own, and not all are whole.
    """
    if not (isinstance(values.dtype, np.dtype) and values.dtype.kind == "f"):
        return
    different = values.dropna().unique()
    measured = different.size > max(_MOST_NUMBERS, len(values) / 2) and bool((different != np.floor(different)).any())
    if measured:
        raise LabelError(
            f"column {name!r} holds measured numbers ({different.size:,} different ones in {len(values):,} cells), no "
            f"labels; name another column, make classes of it with pandas.cut, or text of it if each is a class"
        )
