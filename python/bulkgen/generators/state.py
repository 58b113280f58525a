"""Fitted generators as nested dictionaries of arrays and back, so that they can be stored without pickles."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["State", "from_state", "to_state"]

#: Arrays, text and numbers by name, nested.
State: TypeAlias = "dict[str, Any]"

T = TypeVar("T")


def to_state(value: object) -> Any:  # noqa: ANN401 - an array, a dictionary of such, a number or text
    """Take a frozen dataclass apart; its fields may be arrays, CSR matrices, numbers, text, tuples and dataclasses."""
    if is_dataclass(value):
        return {field.name: to_state(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        # h5ad has no lists; the names keep their order and say how many there are
        return {str(i): to_state(item) for i, item in enumerate(value)}
    if sp.issparse(value):
        matrix = sp.csr_matrix(value)
        return {
            "data": matrix.data,
            "indices": matrix.indices,
            "indptr": matrix.indptr,
            "shape": np.asarray(matrix.shape, np.int64),
        }
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray | np.generic | int | float | str | bool):
        return value
    raise TypeError(f"a fitted generator cannot hold a {type(value).__name__}; use arrays, numbers and dataclasses")


def from_state(cls: type[T], state: object) -> T:
    """Put a value of a type together from what :func:`to_state` made of it.

    Raises
    ------
    ValueError
        If the state is not that of a value of this type.
    """
    try:
        return cast("T", _restore(cls, state))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not the state of a {cls.__name__}: {error}") from error


def _restore(kind: Any, state: Any) -> object:  # noqa: ANN401
    origin = get_origin(kind)
    if kind is sp.csr_matrix:
        shape = tuple(int(n) for n in state["shape"])
        matrix = sp.csr_matrix((state["data"], state["indices"], state["indptr"]), shape=shape)
        # SciPy reads rows and columns wherever these point to
        matrix.check_format(full_check=True)
        if not matrix.has_canonical_format:
            raise ValueError("the columns of a stored matrix must ascend in each row")
        return matrix
    if origin is tuple:
        item = get_args(kind)[0]
        return tuple(_restore(item, state[str(i)]) for i in range(len(state)))
    if kind is np.ndarray or origin is np.ndarray:
        return np.ascontiguousarray(state)
    if is_dataclass(kind):
        return _restore_dataclass(kind, state)
    if issubclass(kind, Enum):
        return kind[str(state)]
    return kind(state)


def _restore_dataclass(kind: Any, state: Mapping[str, Any]) -> object:  # noqa: ANN401
    # annotations are text: names of the kernels' array types are not imported at run time
    hints = get_type_hints(kind, localns=_ARRAYS)
    return kind(**{field.name: _restore(hints[field.name], state[field.name]) for field in fields(kind)})


#: The names that annotations use for arrays.
_ARRAYS = {
    f"{name}Array": np.ndarray
    for name in ("Float32", "Float64", "Int32", "Int64", "UInt8", "UInt32", "UInt64", "Index", "Value")
}
