"""The Numba backend: the checks of the native bindings, then the twins. Runs wherever Numba does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bulkgen.kernels import numba_rank_tokens, numba_sparse, numba_truncated_gaussian
from bulkgen.kernels.numba_checks import (
    check_column_tokens,
    check_gene_number,
    check_groups,
    check_integers,
    check_limits,
    check_matrix,
    check_plan,
    check_pointers,
    check_purposes,
    check_range,
    check_row_pointers,
    exact,
    exact_output,
    require,
    word,
)
from bulkgen.kernels.numba_compound import CompoundKernels
from bulkgen.kernels.numba_math import TILE, philox, philox_tile
from bulkgen.kernels.numba_sampling import SamplingKernels
from bulkgen.kernels.protocol import CsrReport, RowsAdded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bulkgen.kernels.protocol import (
        Float32Array,
        Float64Array,
        IndexArray,
        Int32Array,
        Int64Array,
        Kernels,
        SumArray,
        TokenArray,
        UInt8Array,
        UInt32Array,
        ValueArray,
    )

__all__ = ["NumbaKernels"]

#: The largest number that Numba's integers hold: no row has more genes.
_MOST = 2**63 - 1


@njit(cache=True, nogil=True)
def _philox_block(out, counter, key):  # type: ignore[no-untyped-def]
    words = philox(np.uint64(counter[0]), np.uint64(counter[1]), np.uint64(counter[2]), np.uint64(counter[3]), key)
    for i in range(4):
        out[i] = words[i]


@njit(cache=True, nogil=True)
def _philox_words(out, key, purpose, first_cell):  # type: ignore[no-untyped-def]
    n_cells, n_positions = out.shape
    words = np.empty(TILE, np.uint32)
    for c in range(n_cells):
        cell = np.uint64(first_cell + np.uint64(c))
        for first in range(0, n_positions, TILE):
            philox_tile(key, purpose, cell, first, words)
            n = min(TILE, n_positions - first)
            out[c, first : first + n] = words[:n]


def _added(result: tuple[int, int], values: tuple[NDArray[np.generic], ...]) -> RowsAdded:
    bad_row, most = result
    return RowsAdded(bad_row, numba_sparse.value_of(most, values))


class NumbaKernels(CompoundKernels, SamplingKernels):
    """Kernels compiled by Numba at first use and cached on disk."""

    name = "numba"
    #: Folder of the compiled kernels; the same for all of them.
    cache = str(_philox_block.stats.cache_path)

    def philox_block(self, out: UInt32Array, counter: UInt32Array, *, key: int) -> None:
        """Philox4x32-10 of one counter of four words."""
        exact_output("out", out, np.uint32)
        exact("counter", counter, np.uint32)
        require(out.size == 4 and counter.size == 4, "counter and out must hold four words")
        _philox_block(out, counter, word(key))

    def philox_words(self, out: UInt32Array, *, key: int, purpose: int, first_cell: int) -> None:
        """Fill `out` (cells x positions) with the words at their addresses."""
        exact_output("out", out, np.uint32)
        require(out.ndim == 2, "out must have two dimensions: cells x positions")
        check_purposes(purpose)
        _philox_words(out, word(key), word(purpose), word(first_cell))

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
        check_matrix(indptr, indices, data)
        check_range(first_row, last_row, indptr.size - 1, "row")
        check_integers(0, 2**64 - 1, n_columns)
        require(n_columns < 2**63, "n_columns must fit an int64")
        values = numba_sparse.with_bits(data)
        found = numba_sparse.check_csr(indptr, indices, values, n_columns, first_row, last_row)
        return CsrReport._make([*found[:6], numba_sparse.value_of(found[6], values)])

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
        check_matrix(indptr, indices, data)
        check_pointers(indptr, data)
        check_groups(rows, offsets, indptr.size - 1)
        check_range(first_group, last_group, offsets.size - 1, "group")
        check_gene_number(n_genes)
        check_range(first_gene, last_gene, n_genes, "gene")
        exact_output("moments", moments, np.int64)
        require(
            moments.size == (offsets.size - 1) * n_genes * 4,
            "the accumulators must have groups x n_genes x fields elements",
        )
        genes = (first_gene, last_gene, n_genes)
        out = moments.reshape(-1, 4)
        values = numba_sparse.with_bits(data)
        return _added(
            numba_sparse.group_moments_integer(
                indptr, indices, values, rows, offsets, genes, first_group, last_group, out
            ),
            values,
        )

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
        check_matrix(indptr, indices, data)
        check_pointers(indptr, data)
        check_groups(rows, offsets, indptr.size - 1)
        check_range(first_group, last_group, offsets.size - 1, "group")
        check_gene_number(n_genes)
        check_range(first_gene, last_gene, n_genes, "gene")
        exact_output("moments", moments, np.float64)
        require(
            moments.size == (offsets.size - 1) * n_genes * 5,
            "the accumulators must have groups x n_genes x fields elements",
        )
        genes = (first_gene, last_gene, n_genes)
        out = moments.reshape(-1, 5)
        values = numba_sparse.with_bits(data)
        return _added(
            numba_sparse.group_moments_real(
                indptr, indices, values, rows, offsets, genes, first_group, last_group, out
            ),
            values,
        )

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
        check_matrix(indptr, indices, data)
        check_pointers(indptr, data)
        check_groups(rows, offsets, indptr.size - 1)
        check_range(first_group, last_group, offsets.size - 1, "group")
        check_gene_number(n_genes)
        check_range(first_gene, last_gene, n_genes, "gene")
        exact_output("out", out, np.int64, np.float64)
        require(out.size == (offsets.size - 1) * n_genes, "out must have groups x n_genes elements")
        genes = (first_gene, last_gene, n_genes)
        values, whole = numba_sparse.with_bits(data), out.dtype == np.int64
        return _added(
            numba_sparse.group_sums_dense(
                indptr, indices, values, rows, offsets, genes, whole, first_group, last_group, out.reshape(-1)
            ),
            values,
        )

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
        check_matrix(indptr, indices, data)
        check_pointers(indptr, data)
        check_groups(rows, offsets, indptr.size - 1)
        check_range(first_group, last_group, offsets.size - 1, "group")
        check_gene_number(n_genes)
        exact_output("out", out, np.int64)
        require(out.size == offsets.size - 1, "out must have one element per group")
        bad_row = numba_sparse.group_sums_count(indptr, indices, rows, offsets, n_genes, first_group, last_group, out)
        return RowsAdded(bad_row, 0.0)

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
        check_matrix(indptr, indices, data)
        check_pointers(indptr, data)
        check_groups(rows, offsets, indptr.size - 1)
        check_range(first_group, last_group, offsets.size - 1, "group")
        check_gene_number(n_genes)
        exact("out_indptr", out_indptr, np.int64)
        exact_output("out_indices", out_indices, np.int32)
        exact_output("out_data", out_data, np.int64, np.float64)
        exact_output("out_counts", out_counts, np.int64)
        require(out_indptr.size == offsets.size, "out_indptr must have one element more than there are groups")
        require(out_counts.size == offsets.size - 1, "out_counts must have one element per group")
        require(out_indices.size == out_data.size, "out_indices and out_data must have equal length")
        pointers = out_indptr[first_group : last_group + 1]
        require(
            bool(pointers[0] >= 0 and np.all(pointers[:-1] <= pointers[1:]) and pointers[-1] <= out_data.size),
            "out_indptr must be monotone and within the outputs",
        )
        values, whole = numba_sparse.with_bits(data), out_data.dtype == np.int64
        added = _added(
            numba_sparse.group_sums(
                indptr,
                indices,
                values,
                rows,
                offsets,
                n_genes,
                whole,
                first_group,
                last_group,
                out_indptr,
                out_indices,
                out_data,
                out_counts,
            ),
            values,
        )
        require(
            added.bad_row >= 0 or bool(np.all(out_counts[first_group:last_group] <= np.diff(pointers))),
            "out_indptr has too few slots for the genes of a group",
        )
        return added

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
        """Write the tokens of each row in descending order of count / median."""
        check_matrix(indptr, indices, data)
        check_range(first_row, last_row, indptr.size - 1, "row")
        check_row_pointers(indptr[first_row : last_row + 1], data.size)
        check_column_tokens(token, median, first_column)
        check_limits(most_genes, cls, eos)
        exact_output("out", out, np.int16, np.int32)
        exact_output("out_counts", out_counts, np.float32)
        exact_output("lengths", lengths, np.int64)
        exact_output("genes", genes, np.int64)
        require(out_counts.size in (0, out.size), "out_counts must be empty or as long as out")
        require(
            lengths.size == indptr.size - 1 and genes.size == indptr.size - 1,
            "lengths and genes must have one element per row",
        )
        row = numba_rank_tokens.rank_tokens(
            indptr,
            indices,
            data,
            token,
            median,
            first_column,
            out,
            out_counts,
            lengths,
            genes,
            np.int64 if data.dtype.kind == "i" else np.float64,
            min(most_genes, _MOST),
            cls,
            eos,
            first_row,
            last_row,
        )
        require(row < 0, f"out has no room for the tokens of row {row}")

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
        """Draw cells (rows of `out`) from per-gene truncated normals."""
        exact_output("out", out, np.float32)
        require(out.ndim == 2, "out must have two dimensions: cells x genes")
        check_plan(common, keep, odd_gene, odd_proposal, odd, purposes, n_genes=out.shape[1])
        numba_truncated_gaussian.truncated_gaussian(
            out,
            common,
            keep,
            odd_gene,
            odd_proposal,
            odd,
            inverse,
            round,
            word(key),
            word(purposes[0]),
            word(purposes[1]),
            word(purposes[2]),
            word(first_cell),
        )

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
        check_column_tokens(token, median, first_column)
        check_limits(most_genes, cls, eos)
        check_plan(common, keep, odd_gene, odd_proposal, odd, purposes, n_genes=token.size)
        exact_output("out", out, np.int16, np.int32)
        exact_output("lengths", lengths, np.int64)
        exact_output("genes", genes, np.int64)
        require(lengths.size == genes.size, "lengths and genes must have one element per cell")
        require(token.size > 0, "there must be at least one gene")
        cell = numba_truncated_gaussian.truncated_gaussian_tokens(
            out,
            lengths,
            genes,
            token,
            median,
            first_column,
            common,
            keep,
            odd_gene,
            odd_proposal,
            odd,
            min(most_genes, _MOST),
            cls,
            eos,
            inverse,
            round,
            word(key),
            word(purposes[0]),
            word(purposes[1]),
            word(purposes[2]),
            word(first_cell),
        )
        require(cell < 0, f"out has no room for the tokens of cell {cell}")


if TYPE_CHECKING:

    def _meets_protocol(backend: NumbaKernels) -> Kernels:
        return backend
