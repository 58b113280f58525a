"""Effect of a class: fold changes and differential genes, against the control class or the mean of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import GeneMeans, View
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["Contrast", "contrast", "effect_metrics", "top_genes"]

#: Genes whose fold changes are compared.
GENES = 200
OVERLAPS = (50, 100, 200)
#: Counts per cell added before fold changes are taken: noise of genes hardly found stays small.
PSEUDO_COUNT = 0.01


class Contrast(NamedTuple):
    """A class against others, per gene.

    Attributes
    ----------
    fold_change
        log2 of the profile over the mean profile of the others, 0.01 counts per cell added to both.
    t
        Welch's t of log-normalised counts; 0 for a gene that does not vary.
    """

    fold_change: Float64Array
    t: Float64Array


def effect_metrics(space: Space, synthetic: View, label: str) -> dict[str, float]:
    r"""Compare the effect of a class among synthetic cells with that among real test cells.

    Returns
    -------
    dict
        ``fold_change_slope`` (least squares of synthetic on test, with intercept), ``fold_change_correlation`` and
        ``fold_change_direction``, over the 200 genes with the largest \|t\| among real training cells;
        ``de_overlap_50``, ``de_overlap_100``, ``de_overlap_200``: share in common of the genes with the largest
        \|t\| among test cells and among synthetic ones, of those that training cells express.
    """
    others = [other for other in space.labels if other != label] if space.control is None else [space.control]
    if label in others:
        raise Undefined("this is the control class")

    def of(view: View) -> Contrast:
        for name in (label, *others):
            if len(view[name]) < 2:
                raise Undefined(f"one cell of {name!r} has no variance")
        return contrast(view[label].gene_means, [view[other].gene_means for other in others])

    space.pair(synthetic, label)
    training, real, made = of(space.training), of(space.test), of(synthetic)
    expressed = space.representation.expressed
    chosen = top_genes(training.t, expressed, GENES)
    x, y = real.fold_change[chosen], made.fold_change[chosen]
    if np.ptp(x) == 0:
        raise Undefined("no differential gene has a fold change among the real test cells")
    centred = x - x.mean()
    overlaps = {
        f"de_overlap_{n}": len(np.intersect1d(top_genes(real.t, expressed, n), top_genes(made.t, expressed, n)))
        / min(n, len(expressed))
        for n in OVERLAPS
    }
    return {
        "fold_change_slope": float(centred @ y / (centred @ centred)),
        # synthetic cells without any effect have no correlation with one
        "fold_change_correlation": float(np.corrcoef(x, y)[0, 1]) if np.ptp(y) > 0 else 0.0,
        "fold_change_direction": float(np.mean(np.sign(x) == np.sign(y))),
        **overlaps,
    }


def contrast(cells: GeneMeans, others: Sequence[GeneMeans]) -> Contrast:
    """Return fold change and t of a class against the mean of other classes, each of the same weight."""
    weight = 1 / len(others)
    profile = weight * sum((other.profile for other in others), np.zeros_like(cells.profile))
    mean = weight * sum((other.mean for other in others), np.zeros_like(cells.mean))
    error = cells.variance / cells.n_cells
    for other in others:
        error = error + weight**2 * other.variance / other.n_cells
    t = np.divide(cells.mean - mean, np.sqrt(error), out=np.zeros_like(mean), where=error > 0)
    return Contrast(np.log2((cells.profile + PSEUDO_COUNT) / (profile + PSEUDO_COUNT)), t)


def top_genes(t: Float64Array, genes: Int64Array, n_genes: int) -> Int64Array:
    """Return up to `n_genes` of some genes with the largest absolute t, the largest first."""
    return genes[np.argsort(-np.abs(t[genes]), kind="stable")[:n_genes]]
