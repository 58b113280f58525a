"""Whether draws follow the laws they are meant to follow.

Every threshold is a bound from theory at the level :data:`LEVEL`; none comes from trying.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy import stats
from scipy.special import ndtr

from workloads import CellLaw, Shift, TruncatedNormals

#: Chance that a correct sampler fails one of the checks.
LEVEL = 1e-6
#: Standard normal quantile of LEVEL, two-sided.
_SIGMAS = 4.9


def exact_moments(law: TruncatedNormals) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each gene (Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 1, 13.10)."""
    a, b = (law.lower - law.mean) / law.deviation, (law.upper - law.mean) / law.deviation
    density_a, density_b = (np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi) for x in (a, b))
    mass = ndtr(b) - ndtr(a)
    shift = (density_a - density_b) / mass
    return (
        law.mean + law.deviation * shift,
        law.deviation**2 * (1 + (a * density_a - b * density_b) / mass - shift**2),
    )


def assert_same_law(name: str, draws: np.ndarray, law: TruncatedNormals, *, genes: int = 50) -> None:
    """Fail unless `draws` (cells x genes) may come from the law.

    * All draws are inside the bounds (to the rounding of the draws' type).
    * z of a gene's mean against the exact moments: the sum of z over the genes is normal(0, genes), and the sum of z²
      has mean ``genes`` and variance at most ``(2 + 6 / cells) * genes`` (6, the excess kurtosis of an exponential, is
      more than that of any normal cut at or below its mean).
    * Kolmogorov-Smirnov distance of some genes: at most ``sqrt(log(2 genes / LEVEL) / (2 cells))``
      (Dvoretzky-Kiefer-Wolfowitz with Massart's constant).
    """
    cells, n_genes = draws.shape
    rounding = np.finfo(draws.dtype).eps * law.upper
    assert (draws >= law.lower - rounding).all(), f"{name}: draws below the bounds"
    assert (draws <= law.upper + rounding).all(), f"{name}: draws above the bounds"
    mean, variance = exact_moments(law)
    z = (draws.mean(axis=0, dtype=np.float64) - mean) / np.sqrt(variance / cells)
    total = float(z.sum() / math.sqrt(n_genes))
    assert abs(total) < _SIGMAS, f"{name}: the means are off by {total:.1f} standard errors together"
    squares = float(((z * z).sum() - n_genes) / math.sqrt((2 + 6 / cells) * n_genes))
    assert abs(squares) < _SIGMAS, f"{name}: the squared z of the means are off by {squares:.1f} standard errors"
    chosen = np.linspace(0, n_genes - 1, min(genes, n_genes)).astype(int)
    values = np.sort(draws[:, chosen].astype(np.float64), axis=0)
    low, high = (ndtr((bound[chosen] - law.mean[chosen]) / law.deviation[chosen]) for bound in (law.lower, law.upper))
    expected = (ndtr((values - law.mean[chosen]) / law.deviation[chosen]) - low) / (high - low)
    step = np.arange(cells + 1)[:, None] / cells
    distance = max(float((step[1:] - expected).max()), float((expected - step[:-1]).max()))
    limit = math.sqrt(math.log(2 * chosen.size / LEVEL) / (2 * cells))
    assert distance < limit, f"{name}: Kolmogorov-Smirnov distance {distance:.4f}, at most {limit:.4f} is chance"


@dataclass(frozen=True)
class Expected:
    """Mean and chance of zero of each gene's count, over all cells; shape (genes,)."""

    mean: np.ndarray
    zero: np.ndarray


def multinomial(law: CellLaw) -> Expected:
    """Molecules from the profile, as many as the nearest whole number to the library size."""
    sizes = np.rint(law.sizes)
    log_other = np.log1p(-law.profile)
    return Expected(sizes.mean() * law.profile, _over(sizes, lambda size: np.exp(size * log_other)))


def poisson(law: CellLaw) -> Expected:
    """Poisson genes."""
    return Expected(law.sizes.mean() * law.profile, _over(law.sizes, lambda size: np.exp(-size * law.profile)))


def negative_binomial(law: CellLaw) -> Expected:
    """Negative binomial genes."""
    overdispersion = law.dispersion * law.profile
    zero = _over(law.sizes, lambda size: np.exp(-np.log1p(size * overdispersion) / law.dispersion))
    return Expected(law.sizes.mean() * law.profile, zero)


def donor_shift(shift: Shift, donors: sp.csr_matrix) -> Expected:
    """Given the donors, one for each cell: thinned where the ratio is below 1, gaining where it is above.

    The rate of a gene that gains is Gamma(1/φ + x, 1/(φμ) + 1).
    """
    up = shift.ratio > 1
    more, less = np.where(up, shift.ratio - 1, 0.0), np.where(up, 1.0, shift.ratio)
    total, zeros = np.zeros((2, shift.ratio.size))
    for size, first, last in zip(donors.sum(axis=1).A1, donors.indptr[:-1], donors.indptr[1:], strict=True):
        genes, counts = donors.indices[first:last], donors.data[first:last].astype(np.float64)
        rate = 1 / (1 / (size * shift.dispersion * shift.profile) + 1)
        mean = more * rate / shift.dispersion
        mean[genes] += counts * (less + more * rate)[genes]
        zero = np.exp(-np.log1p(more * rate) / shift.dispersion)
        # of a gene that the donor has, nothing is left only if it loses all
        zero[genes] = np.where(up[genes], 0.0, (1 - less[genes]) ** counts)
        total += mean
        zeros += zero
    return Expected(total / donors.shape[0], zeros / donors.shape[0])


def thinned(counts: sp.csr_matrix, keep: float) -> Expected:
    """Given the counts: each molecule kept with a chance."""
    lost = sp.csr_matrix((1 - (1 - keep) ** counts.data, counts.indices, counts.indptr), counts.shape)
    return Expected(keep * np.asarray(counts.mean(axis=0, dtype=np.float64)).ravel(), 1 - lost.mean(axis=0).A1)


def thinned_profile(counts: np.ndarray, keep: np.ndarray) -> Expected:
    """Give what a bulk leaves of each gene, molecules kept with one of several chances."""
    return Expected(keep.mean() * counts, _over(keep, lambda chance: (1 - chance) ** counts))


def assert_same_counts(name: str, cells: sp.csr_matrix, expected: Expected, *, groups: int = 50) -> None:
    """Fail unless whole counts (cells x genes) may have the means and the zeros that are expected.

    The genes, in the order of their means, are cut into groups of equal expected counts, and of equal variance of the
    number of zeros. Cells are independent, their genes are not: so the sum of a group over a cell is compared with
    what is expected by Student's t with the deviation among cells, at :data:`LEVEL` over all groups (Bonferroni).
    """
    assert (cells.data > 0).all(), f"{name}: stored values that are no counts"
    assert (cells.data == np.rint(cells.data)).all(), f"{name}: fractional counts"
    order = np.argsort(expected.mean, kind="stable")
    present = sp.csr_matrix((np.ones(cells.nnz), cells.indices, cells.indptr), cells.shape)
    found = {
        "means": (cells, expected.mean, expected.mean),
        "zeros": (present, 1 - expected.zero, expected.zero * (1 - expected.zero)),
    }
    limit = stats.t.isf(LEVEL / (4 * groups), cells.shape[0] - 1)
    for what, (matrix, mean, weight) in found.items():
        below = np.cumsum(weight[order])
        group = np.empty(mean.size, np.int64)
        group[order] = np.minimum((below / below[-1] * groups).astype(np.int64), groups - 1)
        indicator = sp.csr_matrix((np.ones(mean.size), (np.arange(mean.size), group)), (mean.size, groups))
        sums = (matrix.astype(np.float64) @ indicator).toarray()
        error = sums.std(axis=0, ddof=1) / math.sqrt(cells.shape[0])
        # a group whose genes all cells have, or none, has no deviation but that of rounding
        off = np.abs(sums.mean(axis=0) - indicator.T @ mean) / np.maximum(error, 1e-9)
        worst = float(off.max())
        assert worst < limit, f"{name}: {what} of a group of genes are off by {worst:.1f} standard errors"


def _over(values: np.ndarray, of: Callable[[float], np.ndarray]) -> np.ndarray:
    """Average over library sizes, or chances."""
    different, times = np.unique(values, return_counts=True)
    return sum(number * of(value) for value, number in zip(different, times, strict=True)) / values.size
