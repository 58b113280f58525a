"""The table that says what each sample is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from bulkgen.bulk_input.report import shown
from bulkgen.errors import LabelError
from bulkgen.io import read_table
from bulkgen.io.tables import UNNAMED
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_sample_table", "sample_rows", "words_of"]


def read_sample_table(samples: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return the sample table, its index made a column where it holds names.

    Raises
    ------
    OSError, ValueError
        As :func:`bulkgen.io.read_table`.
    """
    # as text: a sample called 007 must not become 7
    table = samples if isinstance(samples, pd.DataFrame) else read_table(samples, text=True)
    if not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index(names="sample" if table.index.name is None else table.index.name)
    table = table.rename(columns=str)
    if table.columns.has_duplicates:
        raise ValueError(f"column {table.columns[table.columns.duplicated()][0]!r} of the sample table occurs twice")
    return table.rename(columns={name: "sample" for name in table.columns[:1] if name.startswith(UNNAMED)})


def words_of(table: pd.DataFrame) -> set[str]:
    """Every value of the table as text: the names of the samples are among them."""
    return {word for column in table for word in _words(table[column])}


def _words(column: pd.Series) -> list[str]:
    return [str(value).strip() for value in column.dropna()]


def sample_rows(table: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Find the rows of the samples of a matrix.

    Parameters
    ----------
    table
        From :func:`read_sample_table`.
    names
        Samples of the matrix.

    Returns
    -------
    pandas.DataFrame
        One row per sample that has one, in the order of `names`, which are its index; numbers as numbers.
    tuple of str
        Samples without a row.

    Raises
    ------
    LabelError
        If no column names the samples, or one is named twice.

    Warns
    -----
    UserWarning
        If samples have no row, or rows no sample.
    """
    wanted = set(names)
    hits = {column: len(wanted.intersection(_words(table[column]))) for column in table}
    best = max(hits, key=lambda column: hits[column], default=None)
    if best is None or hits[best] == 0:
        raise LabelError(
            f"no column of the sample table ({', '.join(map(repr, table.columns))}) names the samples "
            f"({', '.join(map(repr, names[:3]))}, ...); R replaces blanks, - and a leading digit in names: "
            "read.csv(check.names = FALSE) keeps them"
        )
    names_here = table[best]
    keys = names_here.astype(object).where(names_here.notna(), "").astype(str).str.strip()
    twice = keys[keys.duplicated() & keys.isin(wanted)]
    if len(twice):
        raise LabelError(f"sample {twice.iloc[0]!r} has more than one row in the sample table (column {best!r})")
    found = table.set_axis(pd.Index(keys, dtype=object)).loc[[name for name in names if name in set(keys)]]
    missing = tuple(name for name in names if name not in set(keys))
    if missing:
        warn(f"{len(missing)} of {len(names)} samples are not in the sample table and are left out: {shown(missing)}")
    without = [key for key in keys if key not in wanted]
    if without:
        warn(f"{len(without)} of {len(table)} rows of the sample table have no sample: {shown(without)}")
    return found.apply(lambda column: column if column.name == best else _numbers_if_all(column)), missing


def _numbers_if_all(column: pd.Series) -> pd.Series:
    """Read a column of text as numbers where every value is one, written as a number is (not 007)."""
    if pd.api.types.is_numeric_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return column
    values = column.dropna().astype(str).str.strip()
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.empty or numbers.isna().any() or values.str.fullmatch(r"[+-]?0\d.*").any():
        return column
    return pd.to_numeric(column)
