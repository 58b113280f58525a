"""Who goes where: strata of cells, the benchmark split, and groups of about k cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bulkgen.arguments import checked
from bulkgen.display import with_table
from bulkgen.errors import LabelError
from bulkgen.io import provenance
from bulkgen.kernels import get_kernels
from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian
from bulkgen.label_columns import check_classes, no_such_column
from bulkgen.rng import Purpose, key_from_rng

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.rng import RandomState

__all__ = ["BenchmarkSplit", "Groups", "Strata", "k_groups", "split_benchmark", "strata_of", "systematic"]

Remainder = Literal["drop", "keep", "merge"]

#: Strata, and room for cells, that random numbers are drawn for at once: each call has its cost.
_STRATA_AT_ONCE, _CELLS_AT_ONCE = 4096, 1 << 18
#: More than any cells, and a few of it still add up in 63 bits.
_LARGEST_K = 1e15


@dataclass(frozen=True)
class Strata:
    """The observed combinations of some columns.

    Attributes
    ----------
    table
        One row per stratum in sorted order; columns as in ``obs``, categorical.
    codes
        Stratum of each cell, shape (n_cells,).
    """

    table: pd.DataFrame
    codes: Int64Array

    def names(self) -> list[str]:
        """Return a name of each stratum for messages and row names: the values joined by ``|``."""
        return [" | ".join(map(str, row)) for row in self.table.itertuples(index=False)]

    def rows(self) -> list[Int64Array]:
        """Return the cells of each stratum in ascending order."""
        order = np.argsort(self.codes, kind="stable")
        sizes = np.bincount(self.codes, minlength=len(self.table))
        return np.split(order, np.cumsum(sizes)[:-1])


def strata_of(obs: pd.DataFrame, by: str | Sequence[str]) -> Strata:
    """Find the strata of cells by one or more columns of ``obs``.

    Raises
    ------
    LabelError
        If a column is missing or holds measured numbers, or a cell has no value in it.
    """
    columns = [by] if isinstance(by, str) else list(dict.fromkeys(by))
    if not columns:
        raise LabelError("at least one column is needed to group cells by")
    for column in columns:
        if column not in obs:
            raise LabelError(no_such_column(obs.columns, column))
        check_classes(obs[column], column)
        missing = int(obs[column].isna().sum())
        if missing:
            raise LabelError(
                f"{missing} of {len(obs)} cells have no value in column {column!r}; drop them with "
                f"adata[adata.obs[{column!r}].notna()].copy() (bulkgen split --drop-unlabelled)"
            )
    if len(obs) == 0:
        raise LabelError("there are no cells")
    keys = obs[columns].reset_index(drop=True)
    grouped = keys.groupby(columns, observed=True, sort=True)
    codes: Int64Array = grouped.ngroup().to_numpy(np.int64).astype(np.int64)
    # first cell of each stratum, in the order of the codes
    first = np.unique(codes, return_index=True)[1]
    table = keys.iloc[first].reset_index(drop=True)
    return Strata(table.astype("category"), codes)


def shuffled(rows: Int64Array, *, key: int, purpose: Purpose, stratum: int) -> Int64Array:
    """Return `rows` in the random order of stratum number `stratum` (sorted by one 64-bit word each)."""
    return rows[_orders(np.array([rows.size]), key=key, purpose=purpose, first_stratum=stratum)]


@dataclass(frozen=True, repr=False)
class BenchmarkSplit:
    """Training, validation and test cells; nothing downstream may touch the test cells.

    Attributes
    ----------
    train, validation, test
        Copies of the chosen cells, in their original order.
    label
        The column that they were stratified by first.
    indices
        Row numbers in the original AnnData, by part.
    """

    train: AnnData
    validation: AnnData
    test: AnnData
    label: str
    indices: dict[str, Int64Array]

    def __repr__(self) -> str:
        return (
            f"BenchmarkSplit(label={self.label!r}, train: {self.train.n_obs:,} cells, "
            f"validation: {self.validation.n_obs:,}, test: {self.test.n_obs:,})"
        )

    def _repr_html_(self) -> str:
        return with_table(self, self.summary())

    def summary(self) -> pd.DataFrame:
        """Count the cells per label and part.

        Returns
        -------
        pandas.DataFrame
            Labels × ``train``, ``validation``, ``test``.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = {name: part.obs[self.label].value_counts() for name, part in parts.items()}
        return pd.DataFrame(counts).fillna(0).astype(int).sort_index()


@checked
def split_benchmark(
    adata: AnnData,
    *,
    label: str,
    test_fraction: float = 0.1,
    validation_fraction: float = 0.1,
    stratify_by: str | Sequence[str] = (),
    rng: RandomState = 0,
) -> BenchmarkSplit:
    """Split real cells into training, validation and test cells, stratified and seeded.

    Within each label the cells are ordered by the further strata and at random within them, and the test cells are
    taken at equal steps through that order (systematic sampling): every label gives its share, every further stratum
    too, to within one cell.

    Parameters
    ----------
    adata
        Cells x genes. Not changed.
    label
        Column of ``obs`` to be predicted.
    test_fraction, validation_fraction
        Share of each label's cells, rounded, at least one cell; `validation_fraction` may be 0.
    stratify_by
        Further column or columns whose proportions are kept (dose, replicate, plate).
    rng
        Seed.

    Returns
    -------
    BenchmarkSplit

    Raises
    ------
    LabelError
        If the column is missing or incomplete, or a label has too few cells to give every part one.
    ValueError
        If the fractions leave no training cells.
    """
    if not (0 < test_fraction < 1 and 0 <= validation_fraction < 1 and test_fraction + validation_fraction < 1):
        raise ValueError(
            f"test_fraction must be in (0, 1), validation_fraction in [0, 1) and their sum below 1, got "
            f"{test_fraction} and {validation_fraction}"
        )
    further = [stratify_by] if isinstance(stratify_by, str) else list(stratify_by)
    labels = strata_of(adata.obs, label)
    finer = strata_of(adata.obs, [label, *further])
    key = key_from_rng(rng)
    parts_needed = 2 if validation_fraction == 0 else 3
    chosen: dict[str, list[Int64Array]] = {"train": [], "validation": [], "test": []}
    for number, (name, rows) in enumerate(zip(labels.names(), labels.rows(), strict=True)):
        if rows.size < parts_needed:
            raise LabelError(
                f"label {name!r} of column {label!r} has {rows.size} cell(s), but a split needs at least "
                f"{parts_needed}, one for each part; merge the label with another, or "
                f"leave it out: adata[adata.obs[{label!r}] != {name!r}].copy()"
            )
        order = shuffled(rows, key=key, purpose=Purpose.SPLIT, stratum=number)
        order = order[np.argsort(finer.codes[order], kind="stable")]
        n_test = _share(rows.size, test_fraction, rows.size - parts_needed + 1)
        test = systematic(order, n_test)
        rest = order[~np.isin(order, test)]
        n_validation = 0
        if validation_fraction > 0:
            n_validation = _share(rows.size, validation_fraction, rest.size - 1)
        validation = systematic(rest, n_validation)
        chosen["test"].append(test)
        chosen["validation"].append(validation)
        chosen["train"].append(rest[~np.isin(rest, validation)])
    indices = {name: np.sort(np.concatenate(rows)) for name, rows in chosen.items()}
    parameters = {
        "label": label,
        "test_fraction": test_fraction,
        "validation_fraction": validation_fraction,
        "stratify_by": further,
    }
    record = provenance("split", parameters, key=key, source=adata)
    pieces = {}
    for name, rows in indices.items():
        piece = adata[rows].copy()
        # a part of real counts is not something that bulkgen made: its record has a key of its own
        piece.uns["bulkgen_split"] = {**record, "part": name}
        pieces[name] = piece
    return BenchmarkSplit(pieces["train"], pieces["validation"], pieces["test"], label, indices)


def _share(n: int, fraction: float, most: int) -> int:
    return int(min(max(1, np.floor(n * fraction + 0.5)), most))


def systematic(order: Int64Array, n: int) -> Int64Array:
    """Take `n` elements at equal steps."""
    if n == 0:
        return order[:0]
    return order[(np.arange(n) * 2 + 1) * order.size // (2 * n)]


@dataclass(frozen=True)
class Groups:
    """Groups of cells within strata.

    Attributes
    ----------
    rows
        Cells sorted by group, ascending within a group.
    offsets
        Group g holds ``rows[offsets[g]:offsets[g + 1]]``, shape (n_groups + 1,).
    stratum
        Stratum of each group, shape (n_groups,).
    dropped
        Cells in no group (remainder policy ``drop``).
    """

    rows: Int64Array
    offsets: Int64Array
    stratum: Int64Array
    dropped: int

    def sizes(self) -> Int64Array:
        """Return the number of cells in each group."""
        return np.diff(self.offsets)


def k_groups(
    strata: Strata, *, k: float, cv: float = 0.1, remainder: Remainder = "merge", rng: RandomState = 0
) -> Groups:
    """Cut each stratum's shuffled cells into groups whose sizes are normal around k.

    Sizes are drawn from Normal(k, (cv·k)²), rounded, at least 1; cells are used once. Groups are numbered by their
    first cell, so that k = 1 leaves the cells in their order.

    Parameters
    ----------
    strata
        From :func:`strata_of`.
    k
        Mean number of cells per group, from 1 to 1e15.
    cv
        Coefficient of variation of the sizes, in [0, 1).
    remainder
        The last, incomplete group of a stratum: ``merge`` it into the group before, ``keep`` it, or ``drop`` it.
    rng
        Seed.

    Raises
    ------
    LabelError
        If a stratum has fewer than k cells and the policy is not ``keep``.
    """
    if not 1 <= k <= _LARGEST_K:
        raise ValueError(f"k must be a number of at least 1 and at most {_LARGEST_K:g}, got {k}")
    if not 0 <= cv < 1:
        raise ValueError(f"cv must be in [0, 1), got {cv}")
    if remainder not in ("drop", "keep", "merge"):
        raise ValueError(f"remainder must be 'drop', 'keep' or 'merge', got {remainder!r}")
    key = key_from_rng(rng)
    sizes = np.bincount(strata.codes, minlength=len(strata.table))
    if remainder != "keep" and (few := np.flatnonzero(sizes < k)).size:
        raise LabelError(
            f"stratum {strata.names()[few[0]]!r} has {sizes[few[0]]} cell(s), fewer than k = {k:g}; lower k, or make "
            "one group of them with remainder='keep' (--remainder keep)"
        )
    by_stratum = np.argsort(strata.codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    group_of = np.full(strata.codes.size, -1, np.int64)
    stratum: list[Int64Array] = []
    n_groups = 0
    for first, last in _batches(sizes):
        here = sizes[first:last]
        ends, numbers = _group_ends(here, k=k, cv=cv, remainder=remainder, key=key, first_stratum=first)
        if (none := np.flatnonzero(numbers == 0)).size:
            raise LabelError(
                f"stratum {strata.names()[first + none[0]]!r} has {here[none[0]]} cell(s), fewer than its first group "
                "needs; lower k or use remainder='merge'"
            )
        order = _orders(here, key=key, purpose=Purpose.GROUP_SHUFFLE, first_stratum=first)
        place = np.arange(order.size) - np.repeat(starts[first:last] - starts[first], here)
        used = order[place < np.repeat(ends[np.arange(here.size), numbers - 1], here)]
        group_sizes = np.diff(ends, axis=1, prepend=0)[np.arange(ends.shape[1]) < numbers[:, None]]
        group_of[by_stratum[starts[first] + used]] = n_groups + np.repeat(np.arange(group_sizes.size), group_sizes)
        n_groups += group_sizes.size
        stratum.append(np.repeat(np.arange(first, last), numbers))
    grouped = np.flatnonzero(group_of >= 0)
    first_place = np.unique(group_of[grouped], return_index=True)[1]
    by_first_cell = np.argsort(first_place, kind="stable")
    rank = np.empty(n_groups, np.int64)
    rank[by_first_cell] = np.arange(n_groups)
    codes = rank[group_of[grouped]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n_groups))])
    return Groups(
        grouped[np.argsort(codes, kind="stable")],
        offsets,
        np.concatenate(stratum)[by_first_cell],
        strata.codes.size - grouped.size,
    )


def _batches(sizes: Int64Array) -> Iterator[tuple[int, int]]:
    """Cut strata into consecutive batches that are drawn at once; the largest of a batch sets the room of all."""
    first = 0
    while first < sizes.size:
        room = np.maximum.accumulate(sizes[first : first + _STRATA_AT_ONCE])
        room *= np.arange(1, room.size + 1)
        last = first + max(1, int(np.searchsorted(room, _CELLS_AT_ONCE, side="right")))
        yield first, last
        first = last


def _orders(sizes: Int64Array, *, key: int, purpose: Purpose, first_stratum: int) -> Int64Array:
    """Return the cells of consecutive strata, numbered one stratum after the other, in random order within each."""
    words = np.empty((sizes.size, 2 * sizes.max(initial=0)), np.uint32)
    get_kernels().philox_words(words, key=key, purpose=int(purpose), first_cell=first_stratum)
    values = (words[:, 0::2].astype(np.uint64) << np.uint64(32)) | words[:, 1::2]
    values = values[np.arange(values.shape[1]) < sizes[:, None]]
    return np.lexsort((values, np.repeat(np.arange(sizes.size), sizes)))


def _group_ends(
    sizes: Int64Array, *, k: float, cv: float, remainder: Remainder, key: int, first_stratum: int
) -> tuple[Int64Array, Int64Array]:
    """Return where the groups of consecutive strata end (a row each, longer than needed), and how many there are."""
    most = int(sizes.max() / max(1.0, k * (1 - cv))) + 64
    while True:
        plan = plan_truncated_gaussian(np.full(most, float(k)), cv * k, -np.inf, np.inf)
        drawn = np.empty((sizes.size, most), np.float32)
        draw_truncated_gaussian(plan, drawn, key=key, first_cell=first_stratum, purpose=Purpose.GROUP_SIZE, threads=1)
        ends = np.cumsum(np.maximum(1, np.floor(drawn + 0.5)).astype(np.int64), axis=1)
        if (ends[:, -1] >= sizes).all():
            break
        most *= 2
    strata = np.arange(sizes.size)
    complete = np.count_nonzero(ends < sizes[:, None], axis=1)
    numbers = complete + 1
    incomplete = ends[strata, complete] > sizes
    if remainder == "drop":
        return ends, numbers - incomplete
    if remainder == "merge":
        numbers = np.maximum(1, numbers - incomplete)
    ends[strata, numbers - 1] = sizes
    return ends, numbers
