"""What a generator is.

A generator is a frozen set of parameters with a name. Fitted to bulk profiles and reference cells it can draw any cell
of any stratum by its number, in any order; so chunks, shards and threads cannot change a bit of the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
from pydantic import BaseModel, ConfigDict

from bulkgen.errors import CountsError
from bulkgen.estimation.profile import profile_of
from bulkgen.generators.control import stratum_name
from bulkgen.generators.state import State, from_state, to_state
from bulkgen.io import library_sizes
from bulkgen.kernels import get_kernels, ordered_map
from bulkgen.kernels.rows import Rows
from bulkgen.profiles import GeneMoments, gene_moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from bulkgen.io import CellStore
    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int64Array, TokenArray
    from bulkgen.kernels.row_encoding import RowEncoding

__all__ = [
    "Bulk",
    "DenseGenerator",
    "FittedGenerator",
    "Generator",
    "Reference",
    "Sampled",
    "SparseGenerator",
    "cell_address",
]

#: Cells that exist at once on the way to tokens.
_ROWS = 64
#: Sparse cells that one call of a kernel draws for a matrix of cells: their arrays are large enough for huge pages.
_CHUNK = 512
#: Stored values that a sparse cell is first given room for.
_ROOM = 4096


def cell_address(stratum: int, number: int) -> int:
    """Return the address of a cell in the random streams: 2^40 cells for each of 2^24 strata.

    A cell therefore does not depend on how many cells there are of other strata.

    Parameters
    ----------
    stratum
        Number of the stratum, below 2^24.
    number
        Number of the cell within it, below 2^40.

    Returns
    -------
    int
        The address, as kernels take it.
    """
    return stratum << 40 | number


@dataclass(frozen=True)
class Bulk:
    """Bulk profiles, brought to the common genes.

    Attributes
    ----------
    strata
        One row per stratum: the columns that the profiles were grouped by.
    counts
        Total counts of UMIs or reads, or transcripts per million; shape (n_strata, n_genes).
    cells
        Cells behind each profile, 0 where not known; shape (n_strata,).
    unit
        ``counts`` or ``tpm``.
    """

    strata: pd.DataFrame
    counts: Float64Array
    cells: Int64Array
    unit: Literal["counts", "tpm"] = "counts"

    @cached_property
    def profile(self) -> Float64Array:
        """Share of each gene, zero-free as ``bulkgen.estimation.profile`` says; shape (n_strata, n_genes).

        Raises
        ------
        CountsError
            If a stratum has no counts.
        """
        empty = ~self.counts.any(axis=1)
        if empty.any():
            name = stratum_name(tuple(self.strata.iloc[int(np.argmax(empty))]))
            raise CountsError(f"the bulk profile of stratum {name} has no counts; leave the stratum out")
        return profile_of(self.counts)

    def mean(self, reference: Reference) -> Float64Array:
        """Return the mean counts per cell.

        A profile without a number of cells is scaled to the mean library size of all reference cells.

        Parameters
        ----------
        reference
            The reference cells.

        Returns
        -------
        numpy.ndarray
            Shape (n_strata, n_genes), float64.
        """
        total = self.counts.sum(axis=1)
        typical = reference.library_sizes.mean() if reference.library_sizes.size else 0.0
        known = self.cells > 0
        divisor = np.where(known, self.cells, np.divide(total, typical, out=np.ones_like(total), where=typical > 0))
        mean: Float64Array = self.counts / divisor[:, None]
        return mean

    def require_counts(self, why: str) -> None:
        """Refuse transcripts per million, which say nothing of how many molecules were counted.

        Parameters
        ----------
        why
            What needs counts, as the middle of a sentence: "thinning keeps molecules".

        Raises
        ------
        ValueError
            If the profiles are not counts.
        """
        if self.unit != "counts":
            raise ValueError(f"the bulk is in {self.unit.upper()}, but {why}; pass the counts that it was made from")


@dataclass(frozen=True)
class Sampled:
    """All cells of a reference of which some were taken.

    Attributes
    ----------
    cells
        All cells, on the genes of the bulk.
    codes
        Their strata.
    rows
        Which of them were taken.
    """

    cells: CellStore
    codes: Int64Array
    rows: Int64Array


@dataclass(frozen=True)
class Reference:
    """The reference cells on the genes of the bulk, with what several generators learn from them.

    Attributes
    ----------
    strata
        One row per stratum of the reference; same columns as ``Bulk.strata``.
    codes
        Stratum of each cell, shape (n_cells,).
    counts
        Cells x genes, raw counts, canonical.
    threads
        Threads that estimates may use.
    sampled
        Where `codes` and `counts` are of some of the cells: all of them, which moments are taken of.
    """

    strata: pd.DataFrame
    codes: Int64Array
    counts: sp.csr_matrix
    threads: int | None = None
    sampled: Sampled | None = None

    @cached_property
    def moments(self) -> GeneMoments:
        """Moments within each stratum."""
        cells, codes = (self.counts, self.codes) if self.sampled is None else (self.sampled.cells, self.sampled.codes)
        return gene_moments(cells, codes, len(self.strata), threads=self.threads, require_integers=True)

    @cached_property
    def pooled(self) -> GeneMoments:
        """Moments over all cells; matrices of shape (1, n_genes)."""
        cells = self.counts if self.sampled is None else self.sampled.cells
        return gene_moments(cells, np.zeros(cells.shape[0], np.int64), 1, threads=self.threads, require_integers=True)

    @cached_property
    def library_sizes(self) -> Float64Array:
        """Total counts of each cell, shape (n_cells,)."""
        return library_sizes(self.counts)

    def rows(self, strata: Sequence[int] | Int64Array) -> Int64Array:
        """Return the cells of some strata.

        Parameters
        ----------
        strata
            Numbers of the strata.

        Returns
        -------
        numpy.ndarray
            Their rows of `counts`, ascending; int64.
        """
        return np.flatnonzero(np.isin(self.codes, strata))

    def numbers(self, rows: Int64Array) -> Int64Array:
        """Return the numbers of cells among all that there are.

        Parameters
        ----------
        rows
            Rows of `counts`.

        Returns
        -------
        numpy.ndarray
            Their rows in the reference as it was given, int64; shape of `rows`.
        """
        return rows if self.sampled is None else self.sampled.rows[rows]


class FittedGenerator(ABC):
    """Draws cells of the strata it was fitted to.

    A subclass is a frozen dataclass of arrays, numbers, text, tuples and further such dataclasses: so it can be saved.
    """

    @abstractmethod
    def sample(
        self, stratum: int, n_cells: int, *, key: int, first_cell: int, threads: int | None
    ) -> Float32Array | sp.csr_matrix:
        """Draw cells ``first_cell, first_cell + 1, …`` of a stratum.

        Parameters
        ----------
        stratum
            Number of the stratum.
        n_cells
            How many.
        key
            64-bit key of the random streams.
        first_cell
            Number of the first cell within its stratum; below 2^40.
        threads
            ``None``: the CPUs available.

        Returns
        -------
        numpy.ndarray or scipy.sparse.csr_matrix
            Cells x genes, float32. Cell number n of a stratum depends on the key, the stratum and n alone.
        """

    def sample_segments(
        self, segments: Sequence[tuple[int, int, int]], *, n_genes: int, key: int, threads: int | None
    ) -> Float32Array | sp.csr_matrix:
        """Draw cells of several strata, one after the other.

        Parameters
        ----------
        segments
            Stratum, first cell and number of cells of each.
        n_genes
            Number of genes.
        key, threads
            As in :meth:`sample`.

        Returns
        -------
        numpy.ndarray or scipy.sparse.csr_matrix
            Cells x genes, float32.
        """
        blocks = [
            self.sample(stratum, number, key=key, first_cell=first, threads=threads)
            for stratum, first, number in segments
        ]
        if len(blocks) == 1:
            return blocks[0]
        if all(sp.issparse(block) for block in blocks):
            return sp.vstack(blocks, format="csr")
        return np.concatenate([block if isinstance(block, np.ndarray) else block.toarray() for block in blocks])

    def sample_tokens(
        self,
        stratum: int,
        encoding: RowEncoding,
        out: TokenArray,
        lengths: Int64Array,
        genes: Int64Array,
        *,
        key: int,
        first_cell: int,
    ) -> None:
        """Write the tokens of cells ``first_cell, first_cell + 1, …`` end to end, in one thread.

        The tokens are those of the cells that :meth:`sample` gives, drawn a few at a time, so that they stay in the
        cache and no matrix of cells exists.

        Parameters
        ----------
        stratum
            Number of the stratum.
        encoding
            Tokens of the genes.
        out
            Room for the tokens of all cells.
        lengths, genes
            Per cell: tokens, and genes before the cut; shape (cells,).
        key, first_cell
            As in :meth:`sample`.
        """
        start = 0
        for first in range(0, lengths.size, _ROWS):
            n = min(_ROWS, lengths.size - first)
            rows = Rows.of(self.sample(stratum, n, key=key, first_cell=first_cell + first, threads=1))
            _encode(rows, n, encoding, out[start:], lengths[first : first + n], genes[first : first + n])
            start += int(lengths[first : first + n].sum())

    def cell_columns(self, stratum: int, n_cells: int, *, key: int, first_cell: int) -> dict[str, np.ndarray]:
        """Return what is known of each cell beside its counts, as columns of ``obs`` (its donor, its state).

        Parameters
        ----------
        stratum, n_cells, key, first_cell
            As in :meth:`sample`.

        Returns
        -------
        dict
            Name of the column → its values, shape (n_cells,); empty where nothing is known.
        """
        return {}

    def state(self) -> State:
        """Return everything that was learned.

        Returns
        -------
        dict
            Nested dictionaries of arrays, numbers and text; :meth:`from_state` gives the fitted generator back.
        """
        state: State = to_state(self)
        return state

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted generator.

        Parameters
        ----------
        state
            What :meth:`state` returned.

        Returns
        -------
        FittedGenerator
            One of this class.

        Raises
        ------
        ValueError
            If the state is not one of this class.
        """
        return from_state(cls, state)


class DenseGenerator(FittedGenerator):
    """Base of fitted generators whose cells have a value for every gene."""

    @abstractmethod
    def fill(self, stratum: int, out: Float32Array, *, key: int, first_cell: int, threads: int | None) -> None:
        """Fill a matrix with cells ``first_cell, first_cell + 1, …`` of a stratum.

        Parameters
        ----------
        stratum, key, first_cell, threads
            As in :meth:`FittedGenerator.sample`.
        out
            Cells x genes, float32, contiguous; whatever is in it is overwritten.
        """

    @property
    @abstractmethod
    def n_genes(self) -> int:
        """Number of genes."""

    def sample(self, stratum: int, n_cells: int, *, key: int, first_cell: int, threads: int | None) -> Float32Array:
        """Draw cells ``first_cell, first_cell + 1, …`` of a stratum."""
        out = np.empty((n_cells, self.n_genes), np.float32)
        self.fill(stratum, out, key=key, first_cell=first_cell, threads=threads)
        return out

    def sample_segments(
        self, segments: Sequence[tuple[int, int, int]], *, n_genes: int, key: int, threads: int | None
    ) -> Float32Array:
        """Draw cells of several strata, one after the other, into one matrix."""
        out = np.empty((sum(number for _, _, number in segments), n_genes), np.float32)
        start = 0
        for stratum, first, number in segments:
            self.fill(stratum, out[start : start + number], key=key, first_cell=first, threads=threads)
            start += number
        return out


class SparseGenerator(FittedGenerator):
    """Base of fitted generators whose cells have mostly zeros: whole counts in compressed rows."""

    @abstractmethod
    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw as many cells of a stratum as there is room for, in one thread.

        Parameters
        ----------
        stratum, key, first_cell
            As in :meth:`FittedGenerator.sample`.
        rows
            Room for compressed rows. Room for as many values as there are genes suffices for one cell.

        Returns
        -------
        int
            Cells that were drawn, at least one.
        """

    @property
    @abstractmethod
    def n_genes(self) -> int:
        """Number of genes."""

    def sample(self, stratum: int, n_cells: int, *, key: int, first_cell: int, threads: int | None) -> sp.csr_matrix:
        """Draw cells ``first_cell, first_cell + 1, …`` of a stratum."""

        def draw(first: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            return list(self._blocks(stratum, min(_CHUNK, n_cells - first), key=key, first_cell=first_cell + first))

        chunks = ordered_map(draw, range(0, n_cells, _CHUNK), threads=threads)
        parts = [part for chunk in chunks for part in chunk]
        if not parts:
            return sp.csr_matrix((n_cells, self.n_genes), dtype=np.float32)
        lengths, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        indptr = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return sp.csr_matrix((values, columns, indptr), shape=(n_cells, self.n_genes))

    def sample_tokens(
        self,
        stratum: int,
        encoding: RowEncoding,
        out: TokenArray,
        lengths: Int64Array,
        genes: Int64Array,
        *,
        key: int,
        first_cell: int,
    ) -> None:
        """Write the tokens of cells ``first_cell, first_cell + 1, …`` end to end, in one thread."""
        rows = Rows.empty(_ROWS, max(_ROWS * _ROOM, self.n_genes))
        done = start = 0
        while done < lengths.size:
            cells = rows.first(min(_ROWS, lengths.size - done))
            n = self.draw_rows(stratum, cells, key=key, first_cell=first_cell + done)
            here = slice(done, done + n)
            _encode(cells, n, encoding, out[start:], lengths[here], genes[here])
            start += int(lengths[here].sum())
            done += n

    def _blocks(
        self, stratum: int, n_cells: int, *, key: int, first_cell: int
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Values per cell, columns and values of consecutive cells; one block, unless the cells are very full."""
        blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        done = 0
        while done < n_cells:
            rows = Rows.empty(n_cells - done, max((n_cells - done) * _ROOM, self.n_genes))
            n = self.draw_rows(stratum, rows, key=key, first_cell=first_cell + done)
            end = int(rows.indptr[n])
            # copies: the room is as a rule larger than what was needed
            blocks.append((np.diff(rows.indptr[: n + 1]), rows.columns[:end].copy(), rows.values[:end].copy()))
            done += n
        return blocks


def _encode(rows: Rows, n: int, encoding: RowEncoding, out: TokenArray, lengths: Int64Array, genes: Int64Array) -> None:
    """Write the tokens of the first n rows."""
    end = int(rows.indptr[n])
    get_kernels().rank_tokens(
        rows.indptr[: n + 1],
        rows.columns[:end],
        rows.values[:end],
        encoding.token,
        encoding.median,
        encoding.first_column,
        out,
        np.empty(0, np.float32),
        lengths,
        genes,
        most_genes=encoding.most_genes,
        cls=encoding.cls,
        eos=encoding.eos,
        first_row=0,
        last_row=n,
    )


class Generator(BaseModel):
    """Base of the generators: parameters as fields, unknown ones refused."""

    # a label may look like a number (clusters 0, 1, ...), above all on the command line
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    #: What :meth:`fit` returns, so that a stored one can be read back.
    fitted_type: ClassVar[type[FittedGenerator]]
    #: Whether its cells are made of single cells of every class that it makes, and not of the class's bulk.
    from_cells: ClassVar[bool] = False

    def reference_columns(self, grouping: Sequence[str]) -> list[str]:
        """Return the columns of ``obs`` that tell strata of the reference apart: those of the bulk, as a rule.

        Parameters
        ----------
        grouping
            Columns that the profiles were grouped by.

        Returns
        -------
        list of str
            Columns that the reference must have.
        """
        return list(grouping)

    def fit(self, bulk: Bulk, reference: Reference) -> FittedGenerator:
        """Learn what is needed to draw cells of the bulk's strata.

        Parameters
        ----------
        bulk
            Profiles, strata x genes.
        reference
            Reference cells on the same genes; may have none.

        Returns
        -------
        FittedGenerator
            One of `fitted_type`.

        Raises
        ------
        LabelError
            If the reference lacks a stratum that the parameters ask for.
        """
        raise TypeError(f"{type(self).__name__} does not say how it is fitted")
