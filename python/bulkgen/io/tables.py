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
import pyarrow as pa
import pyarrow.parquet as pq

from bulkgen.io.storage import plausible_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

__all__ = ["TABLE_SUFFIXES", "UNNAMED", "read_table"]

#: Endings of tables; text may also be compressed.
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".gct", ".parquet")
_OPEN: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: Text unpacks to so many times its size: gzip makes a 117th of counts of which one in a hundred is not zero.
_MOST_COMPRESSED = 160
#: Characters; ten times the names of a million samples.
_LONGEST_HEADER = 1 << 28
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
        table = _read_parquet(path) if kind == ".parquet" else _read_text(path, compression, text=text)
    except MemoryError:
        raise
    # damaged input makes pandas, pyarrow and the decompressors raise almost anything
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise OSError(f"{path} cannot be read as a table ({kind}): {reason}") from error
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    with pq.ParquetFile(path) as file:
        described, schema = file.metadata, file.schema_arrow
    columns = [
        group.column(i)
        for group in map(described.row_group, range(described.num_row_groups))
        for i in range(group.num_columns)
    ]
    # eight bytes for a value, of which a list has more than one in a row: what pandas makes of it
    claimed = sum(max(8 * column.num_values, column.total_uncompressed_size) for column in columns)
    stored = path.stat().st_size
    if claimed > plausible_bytes(stored):
        raise ValueError(f"it claims {described.num_rows:,} rows, for which its {stored:,} bytes are too few")
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    # a text that occurs a million times is in memory once
    table = pq.read_table(path, read_dictionary=texts).to_pandas()
    if isinstance(table.index.dtype, pd.CategoricalDtype):
        table.index = table.index.astype(object)
    plain: pd.DataFrame = table.astype({name: object for name in texts if name in table})
    return plain


def _header_line(file: TextIO) -> str:
    line = file.readline(_LONGEST_HEADER)
    if len(line) == _LONGEST_HEADER:
        raise ValueError(f"its header has no end within {_LONGEST_HEADER >> 20} million characters")
    return line


def _is_header_of(comment: str, line: str) -> bool:
    """Whether a comment has as many fields as the line of numbers below it."""
    # a blank is in every sentence
    separator = next((character for character in _SEPARATORS.strip(" ") if character in line), "\n")
    _, *values = line.strip().split(separator)
    return comment.strip().count(separator) == len(values) > 0 and all(map(_is_number, values))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_unpacked(path: Path, compression: str) -> None:
    """Refuse text that unpacks to far more than a table does, before it takes memory."""
    left = plausible_bytes(path.stat().st_size, _MOST_COMPRESSED)
    with _OPEN[compression](path, "rb") as file:
        while block := file.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise ValueError("it unpacks to far more than a table does; unpack it by hand if it is yours")


def _read_text(path: Path, compression: str, *, text: bool) -> pd.DataFrame:
    if compression:
        _check_unpacked(path, compression)
    # spreadsheets put a byte-order mark before the first name
    with _OPEN.get(compression, open)(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = _header_line(file)
        gct = header.startswith("#1.2")
        if header.startswith("#1.") and not gct:
            raise ValueError(f"GCT of version {header[1:].strip():.9} is not read; write it as version 1.2")
        comment = ""
        while header.startswith("#"):
            comment, header = header, _header_line(file)
        if _is_header_of(comment, header):
            raise ValueError(f"its header {comment.strip()[:40]!r} begins with '#', as comments do; take the '#' away")
        if gct:  # the size of the table
            header = _header_line(file)
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
