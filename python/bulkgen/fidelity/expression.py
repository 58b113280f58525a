"""Cells and genes one at a time: library sizes, zeros, means, variances, distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import ClassView, View
    from bulkgen.kernels.protocol import Float64Array

__all__ = ["concordance", "curve_difference", "expression_metrics", "ks_per_column"]

#: Cells of each kind whose variable genes are made dense for the Kolmogorov-Smirnov distance.
KS_CELLS = 1_000
#: The mean-variance curve: bins of equally many genes, and the fewest genes that give a point of it.
CURVE_BINS = 20
CURVE_GENES = 5
#: Values of genes sorted at once.
_GENES_AT_ONCE = 200


def expression_metrics(space: Space, synthetic: View, label: str) -> dict[str, float]:
    """Compare the cells and the genes of a class one by one.

    Returns
    -------
    dict
        Of cells: ``library_size_ks``, ``zero_fraction_ks``: Kolmogorov-Smirnov distances.
        ``library_size_wasserstein``: between log2(1 + library size), so that 1 is a factor of two.
        ``zero_fraction_wasserstein``: between shares of genes without counts.

        Of the genes that training cells express: ``gene_mean_concordance``, ``gene_variance_concordance``
        (:func:`concordance` of log2 of the value + half a molecule in all real test cells of the class),
        ``gene_zero_fraction_error`` and ``mean_variance_curve`` (:func:`curve_difference`). ``gene_ks``: over the
        variable genes, of counts as they are, of at most 1,000 cells of each kind.
    """
    pair = space.pair(synthetic, label)
    return {**_cells(*pair), **_genes(space, *pair)}


def _cells(real: ClassView, made: ClassView) -> dict[str, float]:
    sizes = [np.log2(1 + cells.library_sizes) for cells in (real, made)]
    zeros = [1 - cells.genes_found / cells.counts.shape[1] for cells in (real, made)]
    return {
        "library_size_ks": float(ks_2samp(*sizes, method="asymp").statistic),
        "library_size_wasserstein": float(wasserstein_distance(*sizes)),
        "zero_fraction_ks": float(ks_2samp(*zeros, method="asymp").statistic),
        "zero_fraction_wasserstein": float(wasserstein_distance(*zeros)),
    }


def _genes(space: Space, real: ClassView, made: ClassView) -> dict[str, float]:
    genes = space.representation.expressed
    half = 0.5 / len(real)
    mean, variance = ([np.log2(cells.moments[which][genes] + half) for cells in (real, made)] for which in (0, 1))
    n_genes = real.counts.shape[1]
    found = [np.bincount(cells.counts.indices, minlength=n_genes)[genes] / len(cells) for cells in (real, made)]
    variable = space.representation.variable
    dense = [cells.counts[cells.some(KS_CELLS)][:, variable].toarray() for cells in (real, made)]
    return {
        "gene_mean_concordance": concordance(*mean),
        "gene_variance_concordance": concordance(*variance),
        "gene_zero_fraction_error": float(np.abs(found[0] - found[1]).mean()),
        "mean_variance_curve": curve_difference((mean[0], variance[0]), (mean[1], variance[1])),
        "gene_ks": float(ks_per_column(*dense).mean()),
    }


def concordance(x: Float64Array, y: Float64Array) -> float:
    """Return Lin's concordance correlation: correlation, less for a difference in mean or spread.

    References
    ----------
    Lin, Biometrics 45:255 (1989).
    """
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    if not spread > 0:
        raise Undefined("all genes have one and the same value")
    return float(2 * covariance / spread)


def curve_difference(real: tuple[Float64Array, Float64Array], synthetic: tuple[Float64Array, Float64Array]) -> float:
    """Return how far two curves of log variance over log mean lie from each other.

    Genes are put in bins by their own mean, the bounds of the bins being the 20 quantiles of the real means; a point of
    a curve is the median log variance of a bin; the mean absolute difference is over the bins that hold at least five
    genes of both. A generator that gets means wrong can thus still have the right variance for its means.
    """
    edges = np.unique(np.quantile(real[0], np.linspace(0, 1, CURVE_BINS + 1)))[1:-1]
    differences = []
    bins = [np.searchsorted(edges, mean, side="right") for mean, _ in (real, synthetic)]
    for number in range(len(edges) + 1):
        inside = [variance[place == number] for place, (_, variance) in zip(bins, (real, synthetic), strict=True)]
        if min(map(len, inside)) >= CURVE_GENES:
            differences.append(abs(np.median(inside[0]) - np.median(inside[1])))
    if not differences:
        raise Undefined(f"no range of means holds {CURVE_GENES} genes of both")
    return float(np.mean(differences))


def ks_per_column(x: np.ndarray, y: np.ndarray) -> Float64Array:
    """Return the two-sample Kolmogorov-Smirnov statistic of each column.

    That of :func:`scipy.stats.ks_2samp`, without its loop and p-value for every column.

    Parameters
    ----------
    x, y
        Shapes (n, columns) and (m, columns).
    """
    n_columns = x.shape[1]
    statistics = np.empty(n_columns)
    steps = np.concatenate([np.full(len(x), 1 / len(x)), np.full(len(y), -1 / len(y))])
    for first in range(0, n_columns, _GENES_AT_ONCE):
        some = slice(first, first + _GENES_AT_ONCE)
        values = np.concatenate([x[:, some], y[:, some]])
        order = np.argsort(values, axis=0)
        values = np.take_along_axis(values, order, axis=0)
        difference = np.abs(np.cumsum(steps[order], axis=0))
        # between equal values neither distribution function has got to its value yet
        difference[:-1][values[1:] == values[:-1]] = 0
        statistics[some] = difference.max(axis=0)
    return statistics
