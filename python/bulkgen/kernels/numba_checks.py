"""What the Numba backend checks before a kernel runs: types, shapes, and what memory safety needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels.numba_math import TILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bulkgen.kernels.protocol import (
        Float32Array,
        Float64Array,
        IndexArray,
        Int32Array,
        Int64Array,
        UInt8Array,
        UInt32Array,
        UInt64Array,
        ValueArray,
    )

__all__ = [
    "INDEX_TYPES",
    "VALUE_TYPES",
    "are_shapes",
    "check_alias",
    "check_column_tokens",
    "check_gene_number",
    "check_groups",
    "check_integers",
    "check_limits",
    "check_matrix",
    "check_plan",
    "check_pointers",
    "check_purposes",
    "check_range",
    "check_row_pointers",
    "check_rows",
    "check_sizes",
    "exact",
    "exact_output",
    "require",
    "word",
]

VALUE_TYPES = (np.float32, np.float64, np.int32, np.int64)
INDEX_TYPES = (np.int32, np.int64)


def exact(name: str, array: object, *types: type[np.generic]) -> None:
    """Check that an array is contiguous, aligned and of one of the types: nothing is converted."""
    if not (
        isinstance(array, np.ndarray)
        # a type of another byte order is not equal
        and any(array.dtype == t for t in types)
        and array.flags.c_contiguous
        and array.flags.aligned
    ):
        wanted = " or ".join(t.__name__ for t in types)
        raise TypeError(f"{name} must be a C-contiguous, aligned array of {wanted}")


def exact_output(name: str, array: NDArray[np.generic], *types: type[np.generic]) -> None:
    """Check an array that a kernel fills."""
    exact(name, array, *types)
    require(array.flags.writeable, f"{name} is read-only")


def check_integers(lowest: int, highest: int, *values: object) -> None:
    """Check that numbers are those of a C type."""
    for value in values:
        if not (isinstance(value, int | np.integer) and lowest <= value <= highest):
            raise TypeError(f"an integer must lie in [{lowest}, {highest}], got {value!r}")


def word(value: int) -> np.uint64:
    """Turn a whole number below 2^64 into Numba's, which may wrap."""
    check_integers(0, 2**64 - 1, value)
    return np.uint64(value)


def check_limits(most_genes: int, cls: int, eos: int) -> None:
    """Check the numbers of an encoding."""
    check_integers(0, 2**64 - 1, most_genes)
    check_integers(-(2**31), 2**31 - 1, cls, eos)


def check_gene_number(n_genes: int) -> None:
    """Check the number of genes of outputs whose columns are int32."""
    check_integers(0, 2**64 - 1, n_genes)
    require(n_genes < 2**31, "n_genes must fit an int32")


def require(condition: bool, message: str) -> None:  # noqa: FBT001 - an assertion with an error message
    """Raise ValueError with the message."""
    if not condition:
        raise ValueError(message)


def check_matrix(indptr: Int64Array, indices: IndexArray, data: ValueArray) -> None:
    """Check types and lengths of a sparse matrix."""
    exact("indptr", indptr, np.int64)
    exact("indices", indices, *INDEX_TYPES)
    exact("data", data, *VALUE_TYPES)
    require(indptr.size > 0, "indptr must have at least one element")
    require(indices.size == data.size, "indices and data must have equal length")


def check_pointers(indptr: Int64Array, data: ValueArray) -> None:
    """Check that row pointers stay within the entries."""
    require(
        bool(indptr[0] == 0 and indptr[-1] == data.size),
        "indptr must run from 0 to the number of stored entries",
    )
    require(bool(np.all(indptr[:-1] <= indptr[1:])), "indptr must not decrease")


def check_row_pointers(indptr: Int64Array, n_entries: int) -> None:
    """Check the pointers of a range of rows."""
    require(
        bool(indptr[0] >= 0 and indptr[-1] <= n_entries and np.all(indptr[:-1] <= indptr[1:])),
        "indptr must not decrease, from 0 to the number of stored entries",
    )


def check_column_tokens(token: Int32Array, median: Float64Array, first_column: Int32Array) -> None:
    """Check that tokens, medians and first columns fit together."""
    exact("token", token, np.int32)
    exact("median", median, np.float64)
    exact("first_column", first_column, np.int32)
    require(token.size == median.size, "token and median must have equal length")
    require(token.size < 2**31, "there must be fewer than 2^31 columns")
    require(bool(np.all(median > 0)), "every median must be above zero")
    require(first_column.size in (0, token.size), "first_column must be empty or as long as token")
    require(
        bool(
            np.all((first_column >= 0) & (first_column <= np.arange(first_column.size)))
            and np.all(first_column[first_column] == first_column)
        ),
        "first_column must give each column the first of its gene",
    )


def check_groups(rows: Int64Array, offsets: Int64Array, n_rows: int) -> None:
    """Check that groups hold rows of the matrix."""
    exact("rows", rows, np.int64)
    exact("offsets", offsets, np.int64)
    require(
        bool(offsets.size > 0 and offsets[0] == 0 and offsets[-1] == rows.size),
        "offsets must run from 0 to the number of grouped rows",
    )
    require(bool(np.all(offsets[:-1] <= offsets[1:])), "offsets must not decrease")
    require(bool(rows.size == 0 or (rows.min() >= 0 and rows.max() < n_rows)), "rows must be rows of the matrix")


def check_range(first: int, last: int, size: int, what: str) -> None:
    """Check that a range lies within its whole."""
    check_integers(0, 2**64 - 1, first, last)
    require(first <= last <= size, f"{what} range is not within [0, {size}]")


def check_plan(
    common: Float32Array,
    keep: UInt32Array,
    odd_gene: UInt32Array,
    odd_proposal: UInt8Array,
    odd: Float64Array,
    purposes: tuple[int, int, int],
    *,
    n_genes: int,
) -> None:
    """Check that the arrays of a truncated Gaussian plan fit together."""
    exact("common", common, np.float32)
    exact("keep", keep, np.uint32)
    exact("odd_gene", odd_gene, np.uint32)
    exact("odd_proposal", odd_proposal, np.uint8)
    exact("odd", odd, np.float64)
    tiles = -(-n_genes // TILE)
    require(common.shape == (tiles, 7, TILE), "common must have shape (genes / 256, rounded up; 7; 256)")
    require(keep.size in (0, tiles * TILE), "keep must be empty or have an element per gene of the tiles")
    require(
        odd.shape == (7, odd_gene.size) and odd_proposal.size == odd_gene.size,
        "odd must have shape (7, odd genes), odd_proposal one element per odd gene",
    )
    require(
        bool(odd_gene.size == 0 or (odd_gene[-1] < n_genes and np.all(odd_gene[:-1] < odd_gene[1:]))),
        "odd_gene must be ascending genes of the rows of out",
    )
    check_purposes(*purposes)


def check_purposes(*purposes: int) -> None:
    """Check that purposes have eight bits."""
    check_integers(0, 2**32 - 1, *purposes)
    require(all(purpose < 256 for purpose in purposes), "a purpose must be below 256")


def check_alias(threshold: UInt64Array, other: Int32Array) -> None:
    """Check that every gene of an alias table is one of its genes."""
    exact("threshold", threshold, np.uint64)
    exact("other", other, np.int32)
    require(0 < threshold.size < 2**31, "there must be between 1 and 2^31 - 1 genes")
    require(other.size == threshold.size, "threshold and other must have equal length")
    require(bool(other.min() >= 0 and other.max() < other.size), "other must hold genes of the table")


def check_rows(indptr: Int64Array, columns: Int32Array, values: Float32Array) -> None:
    """Check the outputs of a kernel that makes sparse rows."""
    exact_output("indptr", indptr, np.int64)
    exact_output("columns", columns, np.int32)
    exact_output("values", values, np.float32)
    require(indptr.size > 0, "indptr must have at least one element")
    require(columns.size == values.size, "columns and values must have equal length")


def are_shapes(a: float, b: float) -> bool:
    """Whether these are shapes of a beta law: what is no shape would be drawn for ever."""
    return 0 < a <= 2.0**53 and 0 < b <= 2.0**53


def check_sizes(sizes: Float64Array) -> None:
    """Check library sizes that cells are given."""
    exact("sizes", sizes, np.float64)
    require(0 < sizes.size <= 2**32, "sizes must hold between 1 and 2^32 sizes")
    require(bool(np.all((sizes >= 0) & (sizes < 2.0**31))), "a size must lie in [0, 2^31)")
