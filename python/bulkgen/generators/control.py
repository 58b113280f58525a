"""Which strata are the controls of which: vehicle, untreated, healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from bulkgen.kernels.protocol import Int64Array

__all__ = ["control_strata", "same_stratum", "stratum_name"]


def stratum_name(row: Sequence[object]) -> str:
    """Name a stratum for messages."""
    return repr(" | ".join(map(str, row)))


def same_stratum(row: Sequence[object], strata: pd.DataFrame, *, otherwise: str) -> int:
    """Return the number of the reference's stratum with these values.

    Raises
    ------
    LabelError
        If there is none; `otherwise` ends the message: why one is needed, and what to do.
    """
    wanted = (strata.astype(str) == [str(value) for value in row]).all(axis=1).to_numpy()
    if not wanted.any():
        raise LabelError(f"the reference has no cells of stratum {stratum_name(row)}{otherwise}")
    return int(np.argmax(wanted))


def control_strata(
    rows: pd.DataFrame, strata: pd.DataFrame, *, control: str, control_by: Sequence[str], where: str
) -> list[Int64Array]:
    """Find the controls of each stratum.

    Parameters
    ----------
    rows
        The strata to find controls of.
    strata
        The strata to look in; the same columns.
    control
        The value of the first column that marks controls.
    control_by
        Further columns (cell type, patient) in which a stratum and its controls must agree.
    where
        What `strata` are of, for messages: ``reference`` or ``bulk``.

    Returns
    -------
    list of numpy.ndarray
        For each row the numbers of its controls, ascending; at least one.

    Raises
    ------
    LabelError
        If a stratum has no control, or `control_by` names no further grouping column.
    """
    label = strata.columns[0]
    for column in control_by:
        if column not in strata.columns[1:]:
            raise LabelError(
                f"control_by names {column!r}, but cells are grouped by {', '.join(map(repr, strata.columns))}; "
                f"name one of those after {label!r}, or add the column to by="
            )
    marked = (strata[label].astype(str) == control).to_numpy()
    if not marked.any():
        values = ", ".join(map(str, strata[label].unique()))
        raise LabelError(f"control={control!r} names no stratum of the {where}; values of {label!r}: {values}")
    found = []
    for _, row in rows.iterrows():
        here = marked.copy()
        for column in control_by:
            here &= (strata[column].astype(str) == str(row[column])).to_numpy()
        if not here.any():
            missing = ", ".join(f"{column} {row[column]!r}" for column in control_by)
            raise LabelError(
                f"the {where} has no control ({label} {control!r}) of {missing}; use fewer columns in control_by"
            )
        found.append(np.flatnonzero(here).astype(np.int64))
    return found
