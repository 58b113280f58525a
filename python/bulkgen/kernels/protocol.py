"""What both backends provide: one method per kernel, the same arrays, the same bits.

The laws, costs and sources of the kernels stand in the C++ headers of the same names (``cpp/include/bulkgen``). Arrays
are C-contiguous and of exactly the stated type; outputs are allocated by the caller. A kernel checks what memory safety
needs and nothing else: validation with good messages is done once, by the public functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    Int64Array: TypeAlias = NDArray[np.int64]
    Int32Array: TypeAlias = NDArray[np.int32]
    UInt8Array: TypeAlias = NDArray[np.uint8]
    UInt32Array: TypeAlias = NDArray[np.uint32]
    UInt64Array: TypeAlias = NDArray[np.uint64]
    Float64Array: TypeAlias = NDArray[np.float64]
    Float32Array: TypeAlias = NDArray[np.float32]
    #: Column indices of a sparse matrix.
    IndexArray: TypeAlias = NDArray[np.int32] | NDArray[np.int64]
    #: Stored values of a sparse matrix.
    ValueArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int32] | NDArray[np.int64]
    TokenArray: TypeAlias = NDArray[np.int16] | NDArray[np.int32]
    SumArray: TypeAlias = NDArray[np.int64] | NDArray[np.float64]

__all__ = ["CsrReport", "Kernels", "RowsAdded"]


class CsrReport(NamedTuple):
    """First offender of each kind as a position among the stored entries (a row where so named), or -1."""

    bad_pointer_row: int
    bad_index: int
    unsorted_row: int
    not_finite: int
    negative: int
    fractional: int
    largest: float


class RowsAdded(NamedTuple):
    """The row at which a kernel stopped because it is not canonical (its output is void), or -1; the largest value."""

    bad_row: int
    largest: float


class Kernels(Protocol):
    """A backend. ``native`` is compiled C++, ``numba`` compiles the same operations at first use."""

    @property
    def name(self) -> str:
        """The name that ``BULKGEN_BACKEND`` takes."""

    def philox_block(self, out: UInt32Array, counter: UInt32Array, *, key: int) -> None:
        """Philox4x32-10 of one counter of four words."""

    def philox_words(self, out: UInt32Array, *, key: int, purpose: int, first_cell: int) -> None:
        """Fill `out` (cells x positions) with the words at their addresses."""

    def check_csr(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        *,
        n_columns: int,
        first_row: int,
        last_row: int,
    ) -> CsrReport:
        """Find what is wrong with rows ``[first_row, last_row)``, in one pass."""

    def group_moments_integer(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        rows: Int64Array,
        offsets: Int64Array,
        moments: Int64Array,
        *,
        n_genes: int,
        first_group: int,
        last_group: int,
        first_gene: int,
        last_gene: int,
    ) -> RowsAdded:
        """Add rows to exact accumulators (groups x genes x 4): non-zeros, sum, sum of squares, largest."""

    def group_moments_real(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        rows: Int64Array,
        offsets: Int64Array,
        moments: Float64Array,
        *,
        n_genes: int,
        first_group: int,
        last_group: int,
        first_gene: int,
        last_gene: int,
    ) -> RowsAdded:
        """Add rows to Welford accumulators (groups x genes x 5): non-zeros, sum, mean, squared deviations, largest."""

    def group_sums_dense(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        rows: Int64Array,
        offsets: Int64Array,
        out: SumArray,
        *,
        n_genes: int,
        first_group: int,
        last_group: int,
        first_gene: int,
        last_gene: int,
    ) -> RowsAdded:
        """Write the sums of each group as a row of `out` (groups x genes)."""

    def group_sums_count(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        rows: Int64Array,
        offsets: Int64Array,
        out: Int64Array,
        *,
        n_genes: int,
        first_group: int,
        last_group: int,
    ) -> RowsAdded:
        """Count the genes with a stored entry in each group."""

    def group_sums(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        rows: Int64Array,
        offsets: Int64Array,
        out_indptr: Int64Array,
        out_indices: Int32Array,
        out_data: SumArray,
        out_counts: Int64Array,
        *,
        n_genes: int,
        first_group: int,
        last_group: int,
    ) -> RowsAdded:
        """Write the non-zero sums of each group, and their number, as a row of a sparse matrix."""

    def rank_tokens(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        token: Int32Array,
        median: Float64Array,
        first_column: Int32Array,
        out: TokenArray,
        out_counts: Float32Array,
        lengths: Int64Array,
        genes: Int64Array,
        *,
        most_genes: int,
        cls: int,
        eos: int,
        first_row: int,
        last_row: int,
    ) -> None:
        """Write the tokens of each row in descending order of count / median, end to end from ``out[0]`` on."""

    def truncated_gaussian(
        self,
        out: Float32Array,
        common: Float32Array,
        keep: UInt32Array,
        odd_gene: UInt32Array,
        odd_proposal: UInt8Array,
        odd: Float64Array,
        *,
        inverse: bool,
        round: bool,
        key: int,
        purposes: tuple[int, int, int],
        first_cell: int,
    ) -> None:
        """Draw cells (rows of `out`) from per-gene truncated normals, by a ``TruncatedGaussianPlan``."""

    def truncated_gaussian_tokens(
        self,
        out: TokenArray,
        lengths: Int64Array,
        genes: Int64Array,
        token: Int32Array,
        median: Float64Array,
        first_column: Int32Array,
        common: Float32Array,
        keep: UInt32Array,
        odd_gene: UInt32Array,
        odd_proposal: UInt8Array,
        odd: Float64Array,
        *,
        most_genes: int,
        cls: int,
        eos: int,
        inverse: bool,
        round: bool,
        key: int,
        purposes: tuple[int, int, int],
        first_cell: int,
    ) -> None:
        """Draw cells one by one and write their tokens end to end, as `rank_tokens` would of `truncated_gaussian`."""

    def alias_table(self, weights: Float64Array, threshold: UInt64Array, other: Int32Array) -> None:
        """Build the alias table of weights: from a uniform word to a gene in proportion to its weight."""

    def multinomial(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        threshold: UInt64Array,
        other: Int32Array,
        sizes: Float64Array,
        *,
        poisson_total: bool,
        concentration: float,
        key: int,
        purposes: tuple[int, int],
        first_cell: int,
    ) -> int:
        """Draw cells, molecule by molecule, from an alias table; returns how many there was room for."""

    def poisson_log_normal(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        scale: Float64Array,
        sigma: Float64Array,
        sizes: Float64Array,
        *,
        key: int,
        purposes: tuple[int, int],
        first_cell: int,
    ) -> int:
        """Draw cells of Poisson genes with log-normal rates; returns how many there was room for."""

    def thin_rows(
        self,
        out_indptr: Int64Array,
        out_columns: Int32Array,
        out_values: Float32Array,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        probability: Float64Array,
        *,
        key: int,
        purpose: int,
        first_cell: int,
    ) -> int:
        """Keep each molecule of a row with the probability of the row; returns how many rows there was room for."""

    def negative_binomial(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        sizes: Float64Array,
        threshold: UInt64Array,
        other: Int32Array,
        overdispersion: Float64Array,
        inflation: Float64Array,
        *,
        total_rate: float,
        key: int,
        purposes: tuple[int, int, int],
        first_cell: int,
    ) -> int:
        """Draw cells of independent negative binomial counts as sparse rows; returns how many had room."""

    def copula(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        sizes: Float64Array,
        threshold: UInt64Array,
        other: Int32Array,
        overdispersion: Float64Array,
        inflation: Float64Array,
        gene: Int32Array,
        rate: Float64Array,
        dispersion: Float64Array,
        loadings: Float32Array,
        own: Float64Array,
        *,
        total_rate: float,
        key: int,
        purposes: tuple[int, int, int, int, int],
        first_cell: int,
    ) -> int:
        """Draw cells of negative binomial counts of which some genes vary together; returns how many had room."""

    def choose_donors(
        self, out: Int64Array, donors: Int64Array, *, shared: bool, key: int, purpose: int, first_cell: int
    ) -> None:
        """Choose the donor of each cell: all of them in a random order, again and again."""

    def donor_shift(
        self,
        indptr: Int64Array,
        columns: Int32Array,
        values: Float32Array,
        donor: Int64Array,
        donor_indptr: Int64Array,
        donor_columns: Int32Array,
        donor_values: Float32Array,
        sizes: Float64Array,
        overdispersion: Float64Array,
        ratio: Float64Array,
        log_ratio: Float64Array,
        threshold: UInt64Array,
        other: Int32Array,
        *,
        alpha: float,
        beta: float,
        keep: float,
        total_addition: float,
        key: int,
        purposes: tuple[int, int, int, int],
        first_cell: int,
    ) -> int:
        """Make cells of donors moved by ratios, as sparse rows; returns how many had room."""

    def variates(
        self, out: Float64Array, parameters: Float64Array, *, law: int, key: int, purpose: int, first_cell: int
    ) -> None:
        """Draw variates of one law: a stream per row of `out`."""
