"""Work over groups of cells: shared out to threads, every row checked by the kernel that adds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from bulkgen.io import canonical_counts, compressed_counts
from bulkgen.kernels import parallel_ranges, resolve_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import scipy.sparse as sp

    from bulkgen.io import CountMatrix, Names
    from bulkgen.kernels.protocol import Int64Array, RowsAdded

    SumType: TypeAlias = type[np.int64 | np.float64]

__all__ = ["GroupedRows", "aggregate_counts"]

Result = TypeVar("Result")

#: Stored entries that stand for all where genes are shared out: a share is then off by about 1 %.
_SAMPLE = 4096


@dataclass(frozen=True)
class GroupedRows:
    """Rows of a CSR matrix in groups, as the kernels take them.

    Attributes
    ----------
    matrix
        Cells x genes, from :func:`bulkgen.io.compressed_counts`.
    rows
        Rows sorted by group.
    offsets
        Group g holds ``rows[offsets[g]:offsets[g + 1]]``, shape (n_groups + 1,).
    """

    matrix: sp.csr_matrix
    rows: Int64Array
    offsets: Int64Array

    @property
    def shape(self) -> tuple[int, int]:
        """Groups, genes."""
        return self.offsets.size - 1, int(self.matrix.shape[1])

    def entries(self) -> Int64Array:
        """Return the stored entries of all groups before each, shape (n_groups + 1,)."""
        lengths = np.diff(self.matrix.indptr)[self.rows]
        total: Int64Array = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[self.offsets]
        return total

    def over_groups(self, kernel: Callable[..., RowsAdded], *outputs: np.ndarray, threads: int | None) -> float | None:
        """Run a kernel with groups shared out to the threads by their stored entries.

        Returns
        -------
        float or None
            The largest value added; ``None`` if a row is not canonical, and the output void.
        """
        return self._run(kernel, outputs, "group", self.entries(), threads)

    def over_groups_or_genes(
        self, kernel: Callable[..., RowsAdded], *outputs: np.ndarray, threads: int | None
    ) -> float | None:
        """Run a kernel that takes ranges of genes, too: they are shared out where groups are too few to be.

        The values of a gene are added in the order of the cells either way, so that the bits stay the same.
        """
        entries = self.entries()
        n_groups, n_genes = self.shape
        n_threads = resolve_threads(threads)
        # whole groups leave a thread up to half of the largest one ahead of the others
        if n_threads > 1 and 8 * np.diff(entries).max(initial=0) * n_threads > 2 * entries[-1]:
            return self._run(kernel, outputs, "gene", self._gene_weights(), threads, first_group=0, last_group=n_groups)
        return self._run(kernel, outputs, "group", entries, threads, first_gene=0, last_gene=n_genes)

    def _run(
        self,
        kernel: Callable[..., RowsAdded],
        outputs: Sequence[np.ndarray],
        what: str,
        weights: Int64Array,
        threads: int | None,
        **fixed: int,
    ) -> float | None:
        matrix = self.matrix
        csr = (matrix.indptr.astype(np.int64, copy=False), matrix.indices, matrix.data, self.rows, self.offsets)
        results: list[RowsAdded] = []

        def run(first: int, last: int) -> None:
            ends = {f"first_{what}": first, f"last_{what}": last}
            results.append(kernel(*csr, *outputs, n_genes=self.shape[1], **ends, **fixed))

        parallel_ranges(run, weights.size - 1, threads=threads, weights=weights)
        if any(result.bad_row >= 0 for result in results):
            return None
        return max((result.largest for result in results), default=0.0)

    def _gene_weights(self) -> Int64Array:
        """Estimate the stored entries before each gene from a sample, shape (n_genes + 1,)."""
        indices, n_genes = self.matrix.indices, self.shape[1]
        sample = indices[:: max(1, indices.size // _SAMPLE)]
        # not checked yet; one for every gene, so that no share is empty
        entries = 1 + np.bincount(sample[(sample >= 0) & (sample < n_genes)], minlength=n_genes) * n_genes
        weights: Int64Array = np.concatenate([[0], np.cumsum(entries)]).astype(np.int64)
        return weights


def aggregate_counts(
    X: CountMatrix,
    aggregate: Callable[[sp.csr_matrix, SumType], Result | None],
    *,
    require_integers: bool,
    cell_names: Names | None = None,
    gene_names: Names | None = None,
) -> Result:
    """Aggregate counts with kernels that check every row as they add it, so that good input is read once.

    Parameters
    ----------
    X
        Cells x genes, not checked.
    aggregate
        Called with CSR and the type of the sums, int64 or float64; returns ``None`` where a row is not canonical or,
        for int64, where a value is fractional or a sum does not fit.
    require_integers, cell_names, gene_names
        As of :func:`bulkgen.io.canonical_counts`, which says what is wrong with a matrix that cannot be aggregated.

    Raises
    ------
    CountsError, InvalidCsrError, TypeError
        Those of :func:`bulkgen.io.canonical_counts`.
    """
    matrix = compressed_counts(X)
    result = aggregate(matrix, np.int64)
    if result is None and not require_integers:
        result = aggregate(matrix, np.float64)
    if result is None:
        matrix = canonical_counts(
            matrix, require_integers=require_integers, cell_names=cell_names, gene_names=gene_names
        )
        result = aggregate(matrix, np.int64)
    if result is None:
        result = aggregate(matrix, np.float64)
    if result is None:
        raise ValueError("the sums are fractional or too large for the int64 output: pass float64")
    return result
