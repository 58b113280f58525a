"""Whether draws follow the truncated normals they are meant to follow.

Every threshold is a bound from theory at the level :data:`LEVEL`; none comes from trying.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from workloads import TruncatedNormals

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
