"""Real cells moved by the bulk's ratios: donors, the plan of a stratum, and drawing cells with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.elementary import exp, log
from bulkgen.kernels import get_kernels
from bulkgen.kernels.negative_binomial import checked_parameter, total_of
from bulkgen.kernels.sampling import AliasTable
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import ArrayLike

    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int32Array, Int64Array, Kernels
    from bulkgen.kernels.rows import Rows

__all__ = ["DonorShiftPlan", "Donors", "donors_of_cells", "mean_of_response"]

_PURPOSES = (
    int(Purpose.DONOR_RESPONSE),
    int(Purpose.DONOR_KEEP),
    int(Purpose.DONOR_GAIN),
    int(Purpose.NEGATIVE_BINOMIAL),
)
_LN2 = 0.6931471805599453
#: log2 of a ratio of a cell that responds in full.
_MOST_DOUBLINGS = 12.0
#: Terms of Kummer's function for arguments up to 12 ln 2: the rest is below 1e-20.
_KUMMER_TERMS = 64
_NEWTON_STEPS = 40


@dataclass(frozen=True)
class Donors:
    """Real cells that synthetic cells are made from, in compressed rows.

    Attributes
    ----------
    indptr, columns, values
        Whole counts; columns ascend in each row.
    sizes
        Library size of each cell.
    n_genes
        Number of genes.
    """

    indptr: Int64Array
    columns: Int32Array
    values: Float32Array
    sizes: Float64Array
    n_genes: int

    @classmethod
    def of(cls, counts: sp.csr_matrix) -> Donors:
        """Take the cells of a canonical matrix of raw counts (cells × genes).

        Raises
        ------
        ValueError
            If a value is negative or no whole number, or too large for single precision.
        """
        data = np.asarray(counts.data)
        bad = ~((data >= 0) & (data <= 2**24) & (data == np.floor(data)))
        if bad.any():
            value = data[int(np.argmax(bad))]
            raise ValueError(f"donors must be raw counts, whole numbers from 0 to 2^24, but one is {value}")
        return cls(
            indptr=np.ascontiguousarray(counts.indptr, np.int64),
            columns=np.ascontiguousarray(counts.indices, np.int32),
            values=np.ascontiguousarray(data, np.float32),
            # sums of whole numbers are exact in any order
            sizes=np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel(),
            n_genes=int(counts.shape[1]),
        )


@dataclass(frozen=True)
class DonorShiftPlan:
    """What ``donor_shift.hpp`` needs to make the cells of a stratum.

    Attributes
    ----------
    overdispersion
        Dispersion times profile of each gene of the control.
    ratio
        Ratio of a cell that responds in full.
    log_ratio
        Its logarithm, or empty if every cell responds in full.
    table
        The genes in proportion to what they gain where nothing of them was.
    total_addition
        Sum of these gains per unit of library size.
    keep
        Chance that a molecule of an unchanged gene stays: 1 − renoise.
    alpha, beta
        Shape of the response, Beta(alpha, beta); 0 where there is none.
    """

    overdispersion: Float64Array
    ratio: Float64Array
    log_ratio: Float64Array
    table: AliasTable
    total_addition: float
    keep: float
    alpha: float
    beta: float

    @classmethod
    def of(
        cls,
        ratio: ArrayLike,
        profile: ArrayLike,
        dispersion: ArrayLike,
        *,
        renoise: float = 0.0,
        response: tuple[float, float] | None = None,
        kernels: Kernels | None = None,
    ) -> DonorShiftPlan:
        """Prepare the shift of control cells by a ratio per gene.

        A gene that is negative binomial in the control, of mean ``library size × profile``, becomes negative binomial
        of `ratio` times that mean and the same dispersion. With ratio 1 and no renoise a cell stays what it is.

        Parameters
        ----------
        ratio
            Shape (n_genes,): mean of the stratum over mean of the control, above 0.
        profile
            Shape (n_genes,): the control's profile, which sums to 1.
        dispersion
            Shape (n_genes,) or one for all: the control's; 0 is Poisson.
        renoise
            Share of the molecules, in [0, 1), that are drawn anew given the others: mean, dispersion and library size
            stay, and no cell is a copy of its donor.
        response
            ``(alpha, beta)``: each cell has a response w ~ Beta(alpha, beta) and is shifted by ``ratio ** w``, where
            the ratios are made larger such that the mean over cells stays `ratio` (up to 12 doublings for a full
            response). Default: every cell responds in full.
        kernels
            Backend (default: that of :func:`bulkgen.kernels.get_kernels`).

        Raises
        ------
        ValueError
            For ratios that are not above 0, other parameters that are not finite or below 0, or `renoise` outside
            [0, 1).
        """
        full_ratio = checked_parameter("ratio", ratio)
        if not np.all(full_ratio > 0):
            raise ValueError(f"ratio must be above 0, but gene {int(np.argmin(full_ratio))} has 0")
        n_genes = full_ratio.size
        control = checked_parameter("profile", profile, n_genes)
        if not 0 <= renoise < 1:
            raise ValueError(f"renoise must lie in [0, 1), got {renoise}")
        keep = 1.0 - renoise
        log_ratio, alpha, beta = np.empty(0), 0.0, 0.0
        if response is not None:
            alpha, beta = (float(shape) for shape in response)
            if not (0 < alpha < np.inf and 0 < beta < np.inf):
                raise ValueError(f"response must be two numbers above 0, the shape of a Beta law, got {response}")
            log_ratio = _recalibrated(log(full_ratio), alpha, beta)
            full_ratio = exp(log_ratio)
        # what a gene gains where nothing of it was, at the response of which that is largest: all or none
        least = full_ratio if response is None else np.ones(n_genes)
        addition = (np.maximum(full_ratio, 1.0) - keep) * np.minimum(least, 1.0) * control
        total = total_of(addition)
        table = AliasTable.of(addition if total > 0 else np.ones(n_genes), kernels=kernels)
        return cls(
            overdispersion=checked_parameter("dispersion", dispersion, n_genes) * control,
            ratio=full_ratio,
            log_ratio=log_ratio,
            table=table,
            total_addition=total,
            keep=keep,
            alpha=alpha,
            beta=beta,
        )

    def draw(
        self,
        rows: Rows,
        donors: Donors,
        chosen: Int64Array,
        *,
        key: int,
        first_cell: int,
        kernels: Kernels | None = None,
    ) -> int:
        """Draw cells from the address `first_cell` on; returns how many there was room for.

        Parameters
        ----------
        rows
            Where the cells go.
        donors
            Real cells of the control.
        chosen
            Row of the donor of each cell of `rows` (:func:`donors_of_cells`).
        key
            Key of the random words.
        first_cell
            ``stratum << 40 | number``.
        kernels
            Backend (default: that of :func:`bulkgen.kernels.get_kernels`).
        """
        if donors.n_genes != self.ratio.size:
            raise ValueError(f"the donors have {donors.n_genes} genes, the plan {self.ratio.size}")
        return (kernels or get_kernels()).donor_shift(
            rows.indptr,
            rows.columns,
            rows.values,
            chosen,
            donors.indptr,
            donors.columns,
            donors.values,
            donors.sizes,
            self.overdispersion,
            self.ratio,
            self.log_ratio,
            self.table.threshold,
            self.table.other,
            alpha=self.alpha,
            beta=self.beta,
            keep=self.keep,
            total_addition=self.total_addition,
            key=key,
            purposes=_PURPOSES,
            first_cell=first_cell,
        )


def donors_of_cells(
    donors: Int64Array,
    n_cells: int,
    *,
    key: int,
    first_cell: int = 0,
    shared: bool = False,
    kernels: Kernels | None = None,
) -> Int64Array:
    """Return the donor of each of the cells ``first_cell, first_cell + 1, …``.

    Parameters
    ----------
    donors
        Rows of the donors that the stratum may use, int64. Every one is used once before any is used twice.
    n_cells
        Number of cells.
    key
        Key of the random words.
    first_cell
        ``stratum << 40 | number``.
    shared
        Whether cells of one number have the same donor in every stratum of the same `donors`.
    kernels
        Backend (default: that of :func:`bulkgen.kernels.get_kernels`).
    """
    out = np.empty(n_cells, np.int64)
    (kernels or get_kernels()).choose_donors(
        out, donors, shared=shared, key=key, purpose=int(Purpose.DONOR), first_cell=first_cell
    )
    return out


def mean_of_response(log_ratio: ArrayLike, alpha: float, beta: float) -> Float64Array:
    """E[exp(w · log_ratio)] of w ~ Beta(alpha, beta), for log-ratios of up to 12 doublings.

    It is Kummer's function 1F1(alpha; alpha + beta; log_ratio).
    """
    z = np.asarray(log_ratio, np.float64)
    # 1F1(a; b; z) = e^z 1F1(b − a; b; −z): all terms are positive
    first = np.where(z < 0, beta, alpha)
    size = np.abs(z)
    term = np.ones_like(z)
    total = np.ones_like(z)
    for n in range(_KUMMER_TERMS):
        term = term * (size * (first + n) / ((alpha + beta + n) * (n + 1)))
        total = total + term
    return np.where(z < 0, exp(z) * total, total)


def _recalibrated(wanted: Float64Array, alpha: float, beta: float) -> Float64Array:
    """Log-ratios z such that log E[exp(w z)] is what is wanted, as far as 12 doublings go, by Newton's method.

    The function is convex and increasing and its chord from 0 lies above it at the start, so that every step after the
    first comes from the right and none overshoots.
    """
    mean = alpha / (alpha + beta)
    farthest = _MOST_DOUBLINGS * _LN2
    z = np.clip(wanted / mean, -farthest, farthest)
    for _ in range(_NEWTON_STEPS):
        value = mean_of_response(z, alpha, beta)
        slope = mean * mean_of_response(z, alpha + 1.0, beta) / value
        z = np.clip(z - (log(value) - wanted) / slope, -farthest, farthest)
    # a gene that does not change stays exactly what it is
    return np.where(wanted == 0, 0.0, z)
