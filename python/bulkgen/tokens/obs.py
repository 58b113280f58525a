"""From annotation of cells (`obs`) to Arrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from bulkgen.errors import LabelError
from bulkgen.label_columns import check_classes, no_such_column

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CELL_ID", "RESERVED", "label_names", "obs_table"]

#: Column that holds `obs_names`: rows do not line up with the input where empty cells were dropped.
CELL_ID = "cell_id"
#: Names that the token data set gives its own columns.
RESERVED = ("input_ids", "length", "counts")


def obs_table(obs: pd.DataFrame, *, label: str | None, columns: Sequence[str]) -> pa.Table:
    """Turn the cell ids, the label and the chosen columns of `obs` into Arrow, all cells, in that order.

    Strings, categories, integers, floats, booleans and dates keep their values and missing values (NaN in a
    float column stays NaN). The label becomes strings.

    Parameters
    ----------
    obs
        Annotation of the cells.
    label
        The column that is the label; every cell must have one.
    columns
        Further columns.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    LabelError
        If the label column does not exist, holds measured numbers, or cells lack a label.
    ValueError
        If another column does not exist, has a reserved name, or holds values of several kinds.
    """
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the string {columns!r}; write [{columns!r}]")
    arrays: dict[str, pa.Array] = {CELL_ID: pa.array(obs.index.astype(str).tolist(), pa.string())}
    if label is not None:
        _check_name(label)
        arrays[label] = _labels(obs, label)
    for name in columns:
        if name == label:
            continue
        _check_name(name)
        if name == "label" and label is not None:
            raise ValueError(f"column 'label' would hide the class ids of label={label!r}; rename it in obs first")
        if name not in obs.columns:
            raise ValueError(f"columns: {no_such_column(obs.columns, name)}")
        arrays[name] = _array(obs[name], name)
    return pa.table(arrays)


def label_names(table: pa.Table, label: str) -> tuple[str, ...]:
    """Return the labels of a table, sorted: a label's place is its class id."""
    return tuple(sorted(table[label].unique().to_pylist()))


def _labels(obs: pd.DataFrame, label: str) -> pa.Array:
    if label not in obs.columns:
        raise LabelError(f"label: {no_such_column(obs.columns, label)}")
    values = obs[label]
    check_classes(values, label)
    known = values.notna().tolist()
    texts = [str(value) if here else None for value, here in zip(values.tolist(), known, strict=True)]
    unlabelled = sum(text is None or not text.strip() for text in texts)
    if unlabelled:
        raise LabelError(
            f"label: {unlabelled} of {len(texts)} cells have no value in obs[{label!r}]; remove them first, "
            f"for example adata[adata.obs[{label!r}].notna()]"
        )
    return pa.array(texts, pa.string())


def _array(values: pd.Series, name: str) -> pa.Array:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype if not values.hasnans else object)
    try:
        if isinstance(values.dtype, np.dtype) and values.dtype.kind == "f":
            # a NaN is a value of the column, not a hole in it
            return pa.array(values.to_numpy(), from_pandas=False)
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(
            f"columns: obs[{name!r}] ({values.dtype}) holds values of several kinds ({error}); make them "
            f"strings: adata.obs[{name!r}] = adata.obs[{name!r}].astype(str)"
        ) from error
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_large_string(array.type) or pa.types.is_null(array.type):
        array = array.cast(pa.string())
    if pa.types.is_nested(array.type) or pa.types.is_dictionary(array.type):
        raise ValueError(f"columns: obs[{name!r}] holds {array.type}, which a token data set cannot hold")
    return array


def _check_name(name: str) -> None:
    if name in RESERVED:
        raise ValueError(f"obs column {name!r} has the name of a column of tokens; rename it in obs first")
