"""Zeros beyond those of the negative binomial law, gene by gene, where a likelihood-ratio test finds them.

Droplet counts need no zero inflation (Svensson, Nat. Biotechnol. 38:147, 2020; Sarkar and Stephens, Nat. Genet.
53:770, 2021). Counts of reads may; and so does any gene that some cells of a stratum do not express at all, which no
test can tell from missed molecules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.special import gammaln, ndtr

from bulkgen.elementary import exp
from bulkgen.io import is_integral, library_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["ZeroInflation", "estimate_zero_inflation"]

#: Tried first: log dispersions; how far below that of the plain law the inflated one's is; shares of inflated zeros.
_DISPERSIONS = np.arange(-7.0, 4.75, 0.5)
_BELOW = np.array([-9.0, -6.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.6, -0.3, -0.1, 0.0])
_SHARES = np.array([0.0, 0.01, 0.04, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.85, 0.95])
_GOLDEN = 0.6180339887498949
#: Groups of cells of similar library size in a stratum, at most; values counted in a table; genes worked on at once.
_SIZES = 16
_TABLE = 64
_GENES = 2048
#: Genes with fewer cells that have them are not tested: no test could reject.
_FEWEST = 10


@dataclass(frozen=True)
class ZeroInflation:
    """Zero inflation of each gene; arrays of shape (n_genes,).

    Attributes
    ----------
    probability
        Chance that a count is zero whatever the rest of the law says; 0 where the test does not reject. The mean of
        the rest is the mean of the gene over 1 − probability.
    dispersion
        Dispersion of the rest where the test rejects, at least 0.001; else NaN.
    p_value
        Of the test, before adjustment; 1 for a gene that is not tested.
    """

    probability: Float64Array
    dispersion: Float64Array
    p_value: Float64Array


def estimate_zero_inflation(
    counts: sp.csr_matrix, codes: Int64Array, n_strata: int, *, level: float = 0.05
) -> ZeroInflation:
    """Test each gene for zero inflation and estimate it where the test rejects.

    Both laws are fitted by maximum likelihood to the same cells: the negative binomial with a mean for each stratum
    and a dispersion, and the same with a share π of zeros besides. π lies on the boundary under the null, so that
    twice the log ratio is 0 or χ² with one degree of freedom, each with chance ½ (Self and Liang, JASA 82:605, 1987).
    False rejections among all are held at `level` (Benjamini and Hochberg 1995).

    Two approximations keep the work to a table for each gene. Cells of a stratum are put into up to 16 groups by
    library size and take the mean of the group. Under zero inflation the fitted total is the total counted, which
    holds exactly for equal library sizes; elsewhere it makes the test a little conservative.

    Parameters
    ----------
    counts
        Cells x genes, raw whole counts, canonical.
    codes
        Stratum of each cell, shape (n_cells,); -1 leaves a cell out.
    n_strata
        Number of strata.
    level
        False discovery rate.

    Raises
    ------
    ValueError
        If a count is fractional or no cell has counts.
    """
    if not is_integral(counts):
        raise ValueError("zero inflation is tested on whole counts, but the matrix holds fractional values")
    sizes = library_sizes(counts)
    groups = _Groups.of(sizes, codes, n_strata)
    n_genes = counts.shape[1]
    indicator = sp.csr_matrix(
        (np.ones(groups.cells.size, counts.dtype), (groups.number, groups.cells)),
        shape=(groups.stratum.size, codes.size),
    )
    seen = sp.csr_matrix((counts.data > 0, counts.indices, counts.indptr), shape=counts.shape).astype(np.float32)
    positive = (indicator.astype(np.float32) @ seen).toarray().astype(np.float64)
    del seen
    total = (indicator.astype(np.float64) @ counts).toarray()
    tested = np.flatnonzero((positive.sum(axis=0) >= _FEWEST) & (total.sum(axis=0) > positive.sum(axis=0)))
    values = _values(counts[groups.cells] if groups.cells.size < codes.size else counts)

    share, log_dispersion, p_value = np.zeros(n_genes), np.full(n_genes, np.nan), np.ones(n_genes)
    for first in range(0, tested.size, _GENES):
        genes = tested[first : first + _GENES]
        table = _Table.of(genes, groups, total[:, genes].T, positive[:, genes].T, values)
        share[genes], log_dispersion[genes], ratio = _compare(table)
        p_value[genes] = ndtr(-np.sqrt(2.0 * np.maximum(ratio, 0.0)))
    rejected = _rejected(p_value[tested], level)
    keep = np.zeros(n_genes, bool)
    keep[tested[rejected]] = True
    # multiples of 2^-10, so that the last bits of the C library do not show
    share = np.where(keep, np.rint(share * 1024.0) / 1024.0, 0.0)
    dispersion = np.where(keep, np.maximum(exp(np.rint(log_dispersion * 1024.0) / 1024.0), 1e-3), np.nan)
    return ZeroInflation(share, dispersion, p_value)


@dataclass(frozen=True)
class _Groups:
    """Cells of one stratum with similar library sizes; a group is one number."""

    cells: Int64Array  # cells used
    number: Int64Array  # group of each
    n: Float64Array  # cells of each group
    size: Float64Array  # mean library size of each group
    stratum: Int64Array  # stratum of each group

    @classmethod
    def of(cls, sizes: Float64Array, codes: Int64Array, n_strata: int) -> _Groups:
        number = np.full(codes.size, -1, np.int64)
        strata: list[int] = []
        for stratum in range(n_strata):
            rows = np.flatnonzero((codes == stratum) & (sizes > 0))
            most = min(_SIZES, rows.size)
            rows = rows[np.argsort(sizes[rows], kind="stable")]
            number[rows] = len(strata) + np.arange(rows.size) * most // max(rows.size, 1)
            strata += [stratum] * most
        if not strata:
            raise ValueError("zero inflation cannot be tested: no cell has counts")
        cells = np.flatnonzero(number >= 0)
        n = np.bincount(number[cells]).astype(np.float64)
        size = np.bincount(number[cells], sizes[cells]) / n
        return cls(cells, number[cells], n, size, np.array(strata))


def _values(counts: sp.csr_matrix) -> tuple[Int64Array, Int64Array, Int64Array]:
    """How often each gene has each value above 0: genes, values, frequencies; sorted by gene."""
    n_genes = counts.shape[1]
    small = counts.data < _TABLE
    key = counts.indices[small].astype(np.int64) * _TABLE + counts.data[small].astype(np.int64)
    table = np.bincount(key, minlength=n_genes * _TABLE).reshape(n_genes, _TABLE)
    gene, value = np.nonzero(table[:, 1:])
    large = np.stack([counts.indices[~small].astype(np.int64), counts.data[~small].astype(np.int64)])
    pairs, frequency = np.unique(large, axis=1, return_counts=True)
    genes = np.concatenate([gene, pairs[0]])
    order = np.argsort(genes, kind="stable")
    values = np.concatenate([value + 1, pairs[1]])
    return genes[order], values[order], np.concatenate([table[gene, value + 1], frequency])[order]


@dataclass(frozen=True)
class _Table:
    """What the likelihood needs of some genes; matrices of shape (genes, groups)."""

    mean: Float64Array  # mean of the group, were there no inflated zeros
    total: Float64Array
    zeros: Float64Array
    positive: Float64Array
    gene: Int64Array  # of each value
    value: Float64Array
    frequency: Float64Array

    @classmethod
    def of(
        cls,
        genes: Int64Array,
        groups: _Groups,
        total: Float64Array,
        positive: Float64Array,
        values: tuple[Int64Array, Int64Array, Int64Array],
    ) -> _Table:
        mean = np.empty_like(total)
        for stratum in np.unique(groups.stratum):
            here = groups.stratum == stratum
            rate = total[:, here].sum(axis=1) / (groups.n[here] * groups.size[here]).sum()
            mean[:, here] = rate[:, None] * groups.size[here]
        place = np.searchsorted(genes, values[0])
        found = (place < genes.size) & (genes[np.minimum(place, genes.size - 1)] == values[0])
        value, frequency = (array[found].astype(np.float64) for array in values[1:])
        return cls(mean, total, groups.n - positive, positive, place[found], value, frequency)

    def of_genes(self, genes: Int64Array) -> _Table:
        """Return the table of some genes, given by their place in this one."""
        place = np.full(self.mean.shape[0], -1, np.int64)
        place[genes] = np.arange(genes.size)
        kept = place[self.gene] >= 0
        groups = (self.mean[genes], self.total[genes], self.zeros[genes], self.positive[genes])
        return _Table(*groups, place[self.gene[kept]], self.value[kept], self.frequency[kept])

    def of_values(self, log_dispersion: Float64Array) -> Float64Array:
        """Return the part of the log-likelihood that the values above 0 have in r = 1/φ alone."""
        r = np.exp(-log_dispersion)
        each = gammaln(self.value + r[self.gene]) - gammaln(r)[self.gene]
        return np.bincount(self.gene, self.frequency * each, r.size).astype(np.float64)

    def of_means(self, log_dispersion: Float64Array, share: Float64Array) -> Float64Array:
        """Return the rest of the log-likelihood with a share of inflated zeros."""
        r = np.exp(-log_dispersion)[:, None]
        mean = self.mean / (1.0 - share)[:, None]
        log_zero = -r * np.log1p(mean / r)
        log_ratio = np.log(np.maximum(mean, 1e-300) / (r + mean))
        # the chance itself may be below the smallest double
        zero = np.log(np.maximum(share[:, None] + (1.0 - share)[:, None] * np.exp(log_zero), 1e-300))
        zero = np.where(share[:, None] > 0, zero, log_zero)
        rest = self.zeros * zero + self.total * log_ratio
        rest += self.positive * (log_zero + np.log1p(-share)[:, None])
        sums: Float64Array = rest.sum(axis=1)
        return sums


def _compare(table: _Table) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Share and log dispersion of the inflated law, and the log ratio of the likelihoods."""
    n = table.mean.shape[0]
    nothing = np.zeros(n)

    def null(log_dispersion: Float64Array) -> Float64Array:
        return table.of_values(log_dispersion) + table.of_means(log_dispersion, nothing)

    plain = _maximum(null, _DISPERSIONS, n, sections=14)
    share, log_dispersion, ratio = np.zeros(n), plain.copy(), np.zeros(n)
    # where a first inflated zero is no gain, the plain law is the maximum
    gain = table.of_means(plain, np.full(n, 1e-3)) - table.of_means(plain, nothing)
    genes = np.flatnonzero(gain > 0)
    inflated = _Inflated(table.of_genes(genes), plain[genes])
    below = _maximum(inflated.log_likelihood, _BELOW, genes.size, sections=10)
    share[genes] = inflated.best_share(plain[genes] + below)
    log_dispersion[genes] += below
    ratio[genes] = inflated.log_likelihood(below) - null(plain)[genes]
    return share, log_dispersion, ratio


@dataclass(frozen=True)
class _Inflated:
    """Likelihood of the inflated law at its best share, as a function of how far the dispersion is below `plain`."""

    table: _Table
    plain: Float64Array

    def best_share(self, log_dispersion: Float64Array) -> Float64Array:
        def rest(share: Float64Array) -> Float64Array:
            return self.table.of_means(log_dispersion, share)

        return _maximum(rest, _SHARES, self.plain.size, sections=9)

    def log_likelihood(self, below: Float64Array) -> Float64Array:
        log_dispersion = self.plain + below
        rest = self.table.of_means(log_dispersion, self.best_share(log_dispersion))
        return self.table.of_values(log_dispersion) + rest


def _maximum(
    function: Callable[[Float64Array], Float64Array], grid: Float64Array, n: int, *, sections: int
) -> Float64Array:
    """Where a function of each gene's number is highest: the best of a grid, then golden sections next to it."""
    best = np.zeros(n, np.int64)
    highest = np.full(n, -np.inf)
    for i, x in enumerate(grid):
        value = function(np.full(n, x))
        best[value > highest] = i
        highest = np.maximum(value, highest)
    low = grid[np.maximum(best - 1, 0)]
    high = grid[np.minimum(best + 1, grid.size - 1)]
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(sections):
        lower = at_left > at_right
        low, high = np.where(lower, low, left), np.where(lower, right, high)
        x = np.where(lower, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        value = function(x)
        left, right = np.where(lower, x, right), np.where(lower, left, x)
        at_left, at_right = np.where(lower, value, at_right), np.where(lower, at_left, value)
    found = 0.5 * (low + high)
    return np.where(function(found) >= highest, found, grid[best])


def _rejected(p_value: Float64Array, level: float) -> Int64Array:
    """Benjamini and Hochberg's procedure."""
    order = np.argsort(p_value, kind="stable")
    below = np.flatnonzero(p_value[order] <= level * np.arange(1, p_value.size + 1) / max(p_value.size, 1))
    return order[: below[-1] + 1] if below.size else order[:0]
