"""Truncated normals, gene by gene: the choice of proposal, and drawing with it.

The plan is computed here once for both backends from additions, multiplications, divisions and square roots alone,
which NumPy rounds the same way everywhere; so no library's ``exp`` or ``erf`` decides a bit of a synthetic cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bulkgen.kernels.protocol import (
        Float32Array,
        Float64Array,
        Int64Array,
        Kernels,
        TokenArray,
        UInt8Array,
        UInt32Array,
    )
    from bulkgen.kernels.row_encoding import RowEncoding

__all__ = [
    "TruncatedGaussianPlan",
    "draw_truncated_gaussian",
    "draw_truncated_gaussian_tokens",
    "plan_truncated_gaussian",
]

Sampler = Literal["rejection", "inverse"]

_CONSTANT, _NORMAL, _UNIFORM, _TAIL, _NARROW, _INVERSE, _FLAT, _INVERSE_TAIL = range(8)
#: Beyond this many standard deviations the law is a point for every purpose (and squares would overflow).
_FARTHEST = 1e100
_SQRT_TWO_PI = 2.5066282746310002
#: Single precision: the quantile polynomial holds down to such tails, quantiles of a smaller mass would be coarse,
#: and values stay below such a size.
_SMALLEST_SINGLE_TAIL = 2.0**-35
_SMALLEST_SINGLE_MASS = 2.0**-10
_LARGEST = 1e30
#: Ranges of cells per thread.
_PIECES = 8
#: Genes of a tile of random words.
_TILE = 256
#: The quantile polynomial in double precision holds down to tails of 1e-20.
_SMALLEST_TAIL = 1e-20


@dataclass(frozen=True)
class TruncatedGaussianPlan:
    """How each gene is sampled, as ``truncated_gaussian.hpp`` describes it.

    Attributes
    ----------
    n_genes
        Number of genes.
    inverse
        Whether the common genes are drawn by inversion, else by rejection.
    common
        Location, scale, lower, upper, first, second, third of every gene in single precision, in tiles of 256
        genes; shape (tiles, 7, 256).
    odd_gene, odd_proposal, odd
        The genes that single precision does not serve, drawn one by one in double precision: their number, their
        proposal, and the same seven rows.
    keep
        Zero mask: empty, or the largest word for which a value stays, one per gene of the tiles.
    round
        Round to whole counts; bounds must not be negative then.
    """

    n_genes: int
    inverse: bool
    common: Float32Array
    odd_gene: UInt32Array
    odd_proposal: UInt8Array
    odd: Float64Array
    keep: UInt32Array
    round: bool = False

    def masked(self, detection: Float64Array) -> TruncatedGaussianPlan:
        """Return the plan whose values stay with the chance `detection` (n_genes,) and become 0 otherwise."""
        threshold = np.floor(detection * 2.0**32)
        keep = np.full(self.common.shape[0] * _TILE, 2**32 - 1, np.uint32)
        keep[: self.n_genes] = np.maximum(threshold - 1, 0)
        common = self.common.copy()
        # no word is below 0: a gene that is never seen is the constant 0
        never = np.flatnonzero(threshold == 0)
        common[never // _TILE, :4, never % _TILE] = 0
        kept = threshold[self.odd_gene] > 0
        return replace(
            self,
            common=common,
            keep=keep,
            odd_gene=self.odd_gene[kept],
            odd_proposal=self.odd_proposal[kept],
            odd=np.ascontiguousarray(self.odd[:, kept]),
        )


def plan_truncated_gaussian(
    mean: ArrayLike,
    standard_deviation: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    sampler: Sampler = "inverse",
) -> TruncatedGaussianPlan:
    """Choose how to sample each gene's Normal(mean, sd²) conditioned on [lower, upper].

    Parameters
    ----------
    mean, standard_deviation, lower, upper
        Shape (n_genes,) or broadcastable to it; bounds may be infinite. ``standard_deviation`` 0 gives the mean
        clipped to the bounds.
    sampler
        ``inverse``: the quantile of one uniform word. ``rejection``: the normal itself where it lands inside the
        bounds at least about half of the time, Robert's exponential proposal in a tail, a uniform proposal on a
        narrow interval.

    Returns
    -------
    TruncatedGaussianPlan

    Raises
    ------
    ValueError
        For non-finite means, negative or non-finite deviations, bounds that leave no interval, or finite values of
        1e30 and more, since cells are stored in single precision.

    Notes
    -----
    The thresholds between proposals are Robert's (Statistics and Computing 5:121, 1995) where they need no
    exponential, else simple products that keep the acceptance above 0.4.
    """
    if sampler not in ("rejection", "inverse"):
        raise ValueError(f"sampler must be 'rejection' or 'inverse', got {sampler!r}")
    mean, sd, lower, upper = (
        np.ascontiguousarray(x, dtype=np.float64)
        for x in np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(x, np.float64)) for x in (mean, standard_deviation, lower, upper))
        )
    )
    _validate(mean, sd, lower, upper)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a = np.where(sd > 0, (lower - mean) / sd, 0.0)
        b = np.where(sd > 0, (upper - mean) / sd, 0.0)
    constant = (sd == 0) | (a > _FARTHEST) | (b < -_FARTHEST)
    # work in the upper tail: a gene below its bounds is mirrored
    mirrored = b < 0
    near = np.where(mirrored, -b, a)
    far = np.where(mirrored, -a, b)
    with np.errstate(invalid="ignore"):
        width = np.where(constant, 0.0, far - near)
    near = np.where(constant, 0.0, near)
    tail = ~constant & (near > 0)
    location = np.where(constant, np.clip(mean, lower, upper), mean)
    scale = np.where(constant, 0.0, sd)
    edge = np.where(mirrored, upper, lower)
    step = np.where(mirrored, -sd, sd)
    proposal = np.full(mean.size, _CONSTANT, np.uint8)
    first, second, third = np.zeros((3, mean.size))

    if sampler == "rejection":
        with np.errstate(over="ignore", invalid="ignore"):
            # Robert's rate less a, without cancellation for large a
            gap = 2.0 / (near + np.sqrt(near * near + 4.0))
            narrow = tail & (width * (near + gap) <= 1.0)
        inside_narrow = ~constant & ~tail & (width <= _SQRT_TWO_PI)
        proposal[~constant & ~tail & ~inside_narrow] = _NORMAL
        proposal[inside_narrow] = _UNIFORM
        proposal[tail & ~narrow] = _TAIL
        proposal[narrow] = _NARROW
        first[inside_narrow], second[inside_narrow] = a[inside_narrow], width[inside_narrow]
        location[inside_narrow] = lower[inside_narrow]
        scale[inside_narrow] = (upper - lower)[inside_narrow]
        first[tail], second[tail], third[tail] = near[tail], gap[tail], width[tail]
        location[tail], scale[tail] = edge[tail], step[tail]
    else:
        below, beyond = _lower_tail(a), _lower_tail(-b)
        mass = np.where(a > 0, _lower_tail(-a) - beyond, np.where(b < 0, _lower_tail(b) - below, 1.0 - below - beyond))
        with np.errstate(invalid="ignore"):
            flat = ~constant & (width * np.maximum(1.0, np.abs(far)) < 1e-5)
        least = np.minimum(below, beyond) + mass * 2.0**-33
        far_tail = tail & ~flat & (least < _SMALLEST_TAIL) & (near > 5)
        ordinary = ~constant & ~flat & ~far_tail
        proposal[ordinary] = _INVERSE
        first[ordinary], second[ordinary], third[ordinary] = below[ordinary], mass[ordinary], beyond[ordinary]
        proposal[flat] = _FLAT
        location[flat], scale[flat] = lower[flat], (upper - lower)[flat]
        proposal[far_tail] = _INVERSE_TAIL
        start, end = near[far_tail], far[far_tail]
        mills = _mills_ratio(start)
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = _exp(-0.5 * (end - start) * (end + start)) * _mills_ratio(end) / mills
        first[far_tail], second[far_tail], third[far_tail] = start, 1.0 - np.nan_to_num(ratio), mills
        location[far_tail], scale[far_tail] = edge[far_tail], step[far_tail]
    rows = np.stack([location, scale, lower, upper, first, second, third])
    # single precision serves ordinary intervals whose deviation is not lost beside the mean
    served = proposal == (_INVERSE if sampler == "inverse" else _NORMAL)
    served &= sd > 1e-4 * np.abs(mean)
    if sampler == "inverse":
        served &= (least >= _SMALLEST_SINGLE_TAIL) & (mass >= _SMALLEST_SINGLE_MASS)
    odd = np.flatnonzero(~served & ~constant)
    return TruncatedGaussianPlan(
        n_genes=mean.size,
        inverse=sampler == "inverse",
        common=_single(rows, served, constant),
        odd_gene=odd.astype(np.uint32),
        odd_proposal=proposal[odd],
        odd=np.ascontiguousarray(rows[:, odd]),
        keep=np.empty(0, np.uint32),
    )


def _single(rows: Float64Array, served: np.ndarray, constant: np.ndarray) -> Float32Array:
    """Return the plan in single precision, in whole tiles; genes that it does not serve get any value in bounds."""
    n_genes = rows.shape[1]
    common = np.zeros((7, -(-n_genes // _TILE) * _TILE), np.float32)
    # harmless for genes that are not drawn this way
    common[4:] = np.array([[0.25], [0.5], [0.25]], np.float32)
    genes = common[:, :n_genes]
    genes[4:, served] = rows[4:, served]
    lower, upper = _inner_bounds(rows[2], rows[3])
    genes[0] = np.where(served, rows[0], np.clip(np.where(constant, rows[0], 0.0).astype(np.float32), lower, upper))
    genes[1] = np.where(served, rows[1], 0.0)
    genes[2], genes[3] = lower, upper
    return np.ascontiguousarray(common.reshape(7, -1, _TILE).swapaxes(0, 1))


def _inner_bounds(lower: Float64Array, upper: Float64Array) -> tuple[Float32Array, Float32Array]:
    """Round bounds to single precision so that they stay inside; where no such number is between, to the lower."""
    single_lower, single_upper = lower.astype(np.float32), upper.astype(np.float32)
    infinity = np.float32(np.inf)
    single_lower = np.where(single_lower < lower, np.nextafter(single_lower, infinity), single_lower)
    single_upper = np.where(single_upper > upper, np.nextafter(single_upper, -infinity), single_upper)
    empty = single_lower > single_upper
    nearest = lower.astype(np.float32)
    return np.where(empty, nearest, single_lower), np.where(empty, nearest, single_upper)


def draw_truncated_gaussian(
    plan: TruncatedGaussianPlan,
    out: Float32Array,
    *,
    key: int,
    first_cell: int = 0,
    purpose: Purpose = Purpose.TRUNCATED_GAUSSIAN,
    threads: int | None = None,
    kernels: Kernels | None = None,
) -> None:
    """Fill `out` (cells x genes, float32) with cells ``first_cell, first_cell + 1, …`` of the plan.

    The retry attempts use the purpose that follows `purpose` in the table of :mod:`bulkgen.rng`.
    """
    kernels = kernels or get_kernels()

    def draw(first: int, last: int) -> None:
        kernels.truncated_gaussian(
            out[first:last],
            plan.common,
            plan.keep,
            plan.odd_gene,
            plan.odd_proposal,
            plan.odd,
            inverse=plan.inverse,
            round=plan.round,
            key=key,
            purposes=_purposes(purpose),
            first_cell=first_cell + first,
        )

    parallel_ranges(draw, len(out), threads=threads, pieces=_PIECES)


def draw_truncated_gaussian_tokens(
    plan: TruncatedGaussianPlan,
    encoding: RowEncoding,
    out: TokenArray,
    lengths: Int64Array,
    genes: Int64Array,
    *,
    key: int,
    first_cell: int,
    purpose: Purpose = Purpose.TRUNCATED_GAUSSIAN,
    kernels: Kernels | None = None,
) -> None:
    """Write the tokens of cells ``first_cell, first_cell + 1, …`` end to end; one cell exists at a time."""
    (kernels or get_kernels()).truncated_gaussian_tokens(
        out,
        lengths,
        genes,
        encoding.token,
        encoding.median,
        encoding.first_column,
        plan.common,
        plan.keep,
        plan.odd_gene,
        plan.odd_proposal,
        plan.odd,
        most_genes=encoding.most_genes,
        cls=encoding.cls,
        eos=encoding.eos,
        inverse=plan.inverse,
        round=plan.round,
        key=key,
        purposes=_purposes(purpose),
        first_cell=first_cell,
    )


def _purposes(purpose: Purpose) -> tuple[int, int, int]:
    return int(purpose), int(purpose) + 1, int(Purpose.ZERO_MASK)


def _validate(mean: Float64Array, sd: Float64Array, lower: Float64Array, upper: Float64Array) -> None:
    for name, values, bad in (
        ("mean", mean, ~np.isfinite(mean)),
        ("standard_deviation", sd, ~(np.isfinite(sd) & (sd >= 0))),
        ("lower", lower, np.isnan(lower)),
        ("upper", upper, np.isnan(upper)),
    ):
        if bad.any():
            g = int(np.argmax(bad))
            raise ValueError(f"{name} of gene {g} is {values[g]}; it must be a finite number, deviations >= 0")
        large = np.isfinite(values) & (np.abs(values) >= _LARGEST)
        if large.any():
            g = int(np.argmax(large))
            raise ValueError(
                f"{name} of gene {g} is {values[g]:g}; cells are stored in single precision, which holds values below "
                f"{_LARGEST:g}"
            )
    # a fixed gene needs no interval, only bounds that are in order
    bad = (lower > upper) | ((lower == upper) & (sd > 0))
    if bad.any():
        g = int(np.argmax(bad))
        raise ValueError(
            f"lower must be below upper, but gene {g} has [{lower[g]}, {upper[g]}]: {int(bad.sum())} of "
            f"{bad.size} genes leave no interval to draw from"
        )


def _exp(x: Float64Array) -> Float64Array:
    """Exponential of x <= 0 by the same IEEE operations on every machine; relative error below 1e-15."""
    x = np.maximum(x, -745.0)
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10
    term = np.ones_like(r)
    total = np.ones_like(r)
    for n in range(1, 16):
        term = term * r / n
        total = total + term
    return np.ldexp(total, k.astype(np.int32))


def _mills_ratio(x: Float64Array) -> Float64Array:
    """(1 - Phi(x)) / phi(x) for x >= 3 by its continued fraction; 0 at infinity."""
    fraction = x
    with np.errstate(invalid="ignore"):
        for level in range(80, 0, -1):
            fraction = x + level / fraction
        return 1.0 / fraction


def _lower_tail(x: Float64Array) -> Float64Array:
    """Phi(x), to full relative precision also where it is tiny."""
    size = np.abs(x)
    density = _exp(-0.5 * np.minimum(size, 40.0) ** 2) / _SQRT_TWO_PI
    with np.errstate(over="ignore"):
        outer = density * _mills_ratio(np.maximum(size, 3.0))
    inner = np.minimum(size, 3.0)
    term = inner.copy()
    series = inner.copy()
    for n in range(1, 70):
        term = term * (inner * inner) / (2 * n + 1)
        series = series + term
    tail = np.where(size > 3.0, outer, 0.5 - density * series)
    return np.where(x > 0, 1.0 - tail, tail)
