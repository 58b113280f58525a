"""Whether a classifier can tell synthetic from real cells, on donors that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bulkgen.fidelity.view import Undefined

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from sklearn.base import ClassifierMixin

    from bulkgen.fidelity.space import Space
    from bulkgen.fidelity.view import ClassView, View
    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["discrimination_metrics", "two_sample_auroc"]

#: Cells of each kind, at most.
CELLS = 1_000
FOLDS = 5
GENES = 2_000
TREES = 100


def discrimination_metrics(space: Space, synthetic: View, label: str) -> dict[str, float]:
    """Train classifiers to tell synthetic cells from real test cells of a class, as many of both, at most 1,000.

    Returns
    -------
    dict
        ``auroc_linear``: ridge-penalised logistic regression on the log-normalised variable genes, log library size and
        genes found. ``auroc_forest``: random forest on the coordinates, log library size and genes found, which also
        sees genes that vary together. Both are 0.5 for cells of one law; below it a classifier has learnt what is
        the other way round in other folds.
    """
    real, made = space.pair(synthetic, label)
    equal = min(len(real), len(made), CELLS)
    sides = [(cells, cells.some(equal)) for cells in (real, made)]
    depth = [_depth(cells, places) for cells, places in sides]
    genes = [
        np.hstack([cells.variable_values(places, genes=GENES), more.astype(np.float32)])
        for (cells, places), more in zip(sides, depth, strict=True)
    ]
    points = [np.hstack([cells.coordinates[places], more]) for (cells, places), more in zip(sides, depth, strict=True)]
    groups = tuple(cells.fold_groups[places] for cells, places in sides)
    seed = int(space.rng(1).integers(2**31))
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=200))
    forest = RandomForestClassifier(TREES, min_samples_leaf=3, n_jobs=1, random_state=seed)
    return {
        "auroc_linear": two_sample_auroc(linear, genes, groups, seed=seed),
        "auroc_forest": two_sample_auroc(forest, points, groups, seed=seed),
    }


def two_sample_auroc(
    classifier: ClassifierMixin,
    samples: Sequence[npt.NDArray[np.floating]],
    groups: Sequence[Int64Array],
    *,
    seed: int,
) -> float:
    """Return the mean over folds of the AUROC of a classifier that tells two samples apart.

    Parameters
    ----------
    classifier
        Has ``fit`` and ``predict_proba``.
    samples
        Features of the cells of both samples.
    groups
        Group of each cell of both samples, one numbering for both, -1 for a cell by itself. A group is never on both
        sides of a fold: a copy can be recognised by what it was copied from, or by another copy, which says nothing
        about its law.
    seed
        Decides the folds.

    Raises
    ------
    Undefined
        If the groups leave no fold with both samples on both sides.

    References
    ----------
    Lopez-Paz & Oquab, ICLR 2017.
    """
    features = np.concatenate(samples)
    which = np.repeat([0, 1], [len(sample) for sample in samples])
    members = np.concatenate(groups)
    alone = members < 0
    members[alone] = members.max(initial=0) + 1 + np.arange(np.count_nonzero(alone))
    distinct = min(len(np.unique(members[which == side])) for side in (0, 1))
    if distinct < 2:
        raise Undefined("all cells of a kind share one donor or group")
    folds = StratifiedGroupKFold(min(FOLDS, distinct), shuffle=True, random_state=seed)
    values = []
    for train, test in folds.split(features, which, members):
        if len(np.unique(which[train])) == 2 and len(np.unique(which[test])) == 2:
            classifier.fit(features[train], which[train])
            values.append(roc_auc_score(which[test], classifier.predict_proba(features[test])[:, 1]))
    if not values:
        raise Undefined("the donors or groups leave no fold with both kinds of cells on both sides")
    return float(np.mean(values))


def _depth(cells: ClassView, places: Int64Array) -> Float64Array:
    """Log library size and genes found."""
    return np.column_stack([np.log2(1 + cells.library_sizes[places]), np.log2(1 + cells.genes_found[places])])
