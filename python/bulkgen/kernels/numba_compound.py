"""Kernels of compound counts in the Numba backend: the checks of the native bindings, then the twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels import numba_donor_shift, numba_negative_binomial
from bulkgen.kernels.numba_checks import (
    are_shapes,
    check_alias,
    check_matrix,
    check_pointers,
    check_purposes,
    check_rows,
    check_sizes,
    exact,
    exact_output,
    require,
    word,
)
from bulkgen.kernels.numba_words import new_stream

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int32Array, Int64Array, UInt64Array

__all__ = ["CompoundKernels"]

_MOST_CANDIDATES = 2.0**30


def _check_total(sizes: Float64Array, total: float) -> None:
    check_sizes(sizes)
    require(
        bool(total >= 0 and sizes.max() * total <= _MOST_CANDIDATES),
        "a cell must not have more than 2^30 molecules on average",
    )


def _check_negative_binomial(
    sizes: Float64Array,
    threshold: UInt64Array,
    other: Int32Array,
    overdispersion: Float64Array,
    inflation: Float64Array,
    total_rate: float,
) -> None:
    check_alias(threshold, other)
    _check_total(sizes, total_rate)
    exact("overdispersion", overdispersion, np.float64)
    exact("inflation", inflation, np.float64)
    require(overdispersion.size == other.size, "overdispersion must have one element per gene")
    require(inflation.size in (0, other.size), "inflation must be empty or have one element per gene")


class CompoundKernels:
    """Part of ``NumbaKernels``."""

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
        """Draw cells of independent negative binomial counts."""
        none = np.empty(0)
        return self.copula(
            indptr,
            columns,
            values,
            sizes,
            threshold,
            other,
            overdispersion,
            inflation,
            np.empty(0, np.int32),
            none,
            none,
            np.empty((0, 0), np.float32),
            none,
            total_rate=total_rate,
            key=key,
            purposes=(*purposes, 0, 0),
            first_cell=first_cell,
        )

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
        """Draw cells of negative binomial counts of which some genes vary together."""
        check_rows(indptr, columns, values)
        _check_negative_binomial(sizes, threshold, other, overdispersion, inflation, total_rate)
        exact("gene", gene, np.int32)
        exact("loadings", loadings, np.float32)
        for name, array in (("rate", rate), ("dispersion", dispersion), ("own", own)):
            exact(name, array, np.float64)
            require(array.size == gene.size, "gene, rate, dispersion and own must have equal length")
        require(bool(np.all((gene >= 0) & (gene < other.size))), "gene must hold genes of the table")
        require(
            loadings.ndim == 2 and loadings.shape[1] == gene.size,
            "loadings must have shape (factors, correlated genes)",
        )
        if gene.size > 0:
            require(bool(np.all(dispersion >= 0)), "dispersion must not be below 0")
            _check_total(sizes, rate.min())
            _check_total(sizes, rate.max())
        check_purposes(*purposes)
        return int(
            numba_negative_binomial.copula(
                indptr,
                columns,
                values,
                sizes,
                threshold,
                other,
                overdispersion,
                inflation,
                gene,
                rate,
                dispersion,
                loadings,
                own,
                np.float64(total_rate),
                word(key),
                word(purposes[0]),
                word(purposes[1]),
                word(purposes[2]),
                word(purposes[3]),
                word(purposes[4]),
                word(first_cell),
                new_stream(),
            )
        )

    def choose_donors(
        self, out: Int64Array, donors: Int64Array, *, shared: bool, key: int, purpose: int, first_cell: int
    ) -> None:
        """Choose the donor of each cell."""
        exact_output("out", out, np.int64)
        exact("donors", donors, np.int64)
        require(donors.size > 0, "there must be at least one donor")
        check_purposes(purpose)
        numba_donor_shift.choose_donors(out, donors, shared, word(key), word(purpose), word(first_cell))

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
        """Move donors by ratios."""
        check_rows(indptr, columns, values)
        check_matrix(donor_indptr, donor_columns, donor_values)
        exact("donor_columns", donor_columns, np.int32)
        exact("donor_values", donor_values, np.float32)
        check_pointers(donor_indptr, donor_values)
        check_alias(threshold, other)
        for name, array in (("overdispersion", overdispersion), ("ratio", ratio)):
            exact(name, array, np.float64)
            require(array.size == other.size, "overdispersion and ratio must have one element per gene")
        exact("log_ratio", log_ratio, np.float64)
        require(log_ratio.size in (0, other.size), "log_ratio must be empty or have one element per gene")
        require(log_ratio.size == 0 or are_shapes(alpha, beta), "alpha and beta must lie in (0, 2^53]")
        require(0 < keep <= 1, "keep must lie in (0, 1]")
        _check_total(sizes, total_addition)
        n_donors = donor_indptr.size - 1
        require(sizes.size == n_donors, "sizes must have one element per row of the donors")
        exact("donor", donor, np.int64)
        require(donor.size == indptr.size - 1, "donor must have one element per cell")
        require(bool(np.all((donor >= 0) & (donor < n_donors))), "donor must hold rows of the donors")
        check_purposes(*purposes)
        return int(
            numba_donor_shift.donor_shift(
                indptr,
                columns,
                values,
                donor,
                donor_indptr,
                donor_columns,
                donor_values,
                sizes,
                overdispersion,
                ratio,
                log_ratio,
                threshold,
                other,
                np.float64(alpha),
                np.float64(beta),
                np.float64(keep),
                np.float64(total_addition),
                word(key),
                word(purposes[0]),
                word(purposes[1]),
                word(purposes[2]),
                word(purposes[3]),
                word(first_cell),
                new_stream(),
                new_stream(),
            )
        )
