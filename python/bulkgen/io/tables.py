"""Tables in: delimited text (CSV, TSV, GCT; also compressed) and parquet."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

__all__ = ["TABLE_SUFFIXES", "UNNAMED", "read_table"]

#: Endings of tables; text may also be compressed.
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".gct", ".parquet")
_OPEN: dict[str, Callable[..., TextIO]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: In the order in which they are tried on the header: a tab is hardly ever part of a name, a blank often is.
_SEPARATORS = "\t,; "
#: How a column without a name is called, followed by its place.
UNNAMED = "Unnamed: "


def read_table(path: str | Path, *, text: bool = False) -> pd.DataFrame:
    """Read a table with a header.

    The separator (tab, comma, semicolon or blank) is found from the header. Comment lines above the header and the two
    lines that open a GCT file are skipped; columns without a name and without a value are left out.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv``, ``.txt``, ``.tab`` or ``.gct``, also with ``.gz``, ``.bz2`` or ``.xz``; or ``.parquet``.
    text
        Leave the values of delimited text as they are written; else numbers are read as numbers.

    Returns
    -------
    pandas.DataFrame
        With row names in the index where the header has no place for them, as R writes tables. A name may occur twice.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    OSError
        If it cannot be read as a table.
    ValueError
        If it ends in something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    compression = path.suffix if path.suffix in _OPEN else ""
    kind = Path(path.stem).suffix if compression else path.suffix
    if kind not in TABLE_SUFFIXES or (compression and kind == ".parquet"):
        raise ValueError(
            f"{path} must end in {', '.join(TABLE_SUFFIXES)}; text may also be compressed (.gz, .bz2, .xz)"
        )
    try:
        table = pd.read_parquet(path) if kind == ".parquet" else _read_text(path, compression, text=text)
    except (OSError, EOFError, ValueError, lzma.LZMAError, csv.Error) as error:
        # what pandas and pyarrow raise are kinds of ValueError
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise OSError(f"{path} cannot be read as a table ({kind}): {reason}") from error
    return table


def _read_text(path: Path, compression: str, *, text: bool) -> pd.DataFrame:
    # spreadsheets put a byte-order mark before the first name
    with _OPEN.get(compression, open)(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        gct = header.startswith("#1.2")
        while header.startswith("#"):
            header = file.readline()
        if gct:  # the size of the table
            header = file.readline()
        separator = next((character for character in _SEPARATORS if character in header), None)
        if separator is None:
            raise OSError(f"the header has one column only: {header.strip()[:80]!r}")
        names = next(csv.reader([header], delimiter=separator))
        # by place first: pandas would rename a name that occurs twice
        table = pd.read_csv(
            file, sep=separator, names=list(range(len(names))), dtype=str if text else None, low_memory=False
        )
    if isinstance(table.index, pd.MultiIndex):
        raise OSError(f"the rows have {table.index.nlevels} values more than the header has names")
    table.columns = pd.Index([name or f"{UNNAMED}{place}" for place, name in enumerate(names)])
    empty = [name.startswith(UNNAMED) and table.iloc[:, place].isna().all() for place, name in enumerate(table.columns)]
    return table.loc[:, ~np.array(empty)]
