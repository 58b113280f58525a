"""Small made-up cells whose labels can be told."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

LABELS = ("none", "low", "high")
GENES = 80


def made_up_cells(seed: int = 0, *, per_label: int = 60, n_genes: int = GENES, donors: int = 6) -> ad.AnnData:
    """Cells of three labels, of which two change ten genes each, two cell types and some donors."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(LABELS, per_label)).astype(object)
    kinds = rng.choice(["a", "b"], labels.size)
    rates = np.tile(rng.gamma(0.7, 2.0, n_genes), (labels.size, 1))
    for number, label in enumerate(LABELS[1:]):
        rates[np.ix_(labels == label, np.arange(10 * number, 10 * number + 10))] *= 12.0
    rates[kinds == "b", 40:50] *= 3.0
    counts = rng.poisson(rates * rng.gamma(8.0, 1 / 8, (labels.size, 1)))
    obs = pd.DataFrame(
        {"drug": labels, "kind": kinds, "patient": [f"p{i}" for i in rng.integers(0, donors, labels.size)]},
        index=[f"cell{i}" for i in range(labels.size)],
    )
    var = pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(n_genes)])
    return ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)


def poisoned(cells: ad.AnnData, names: pd.Index, *, seed: int = 9) -> ad.AnnData:
    """The cells, with the counts of some replaced by others that are nothing like them."""
    rng = np.random.default_rng(seed)
    counts = cells.X.toarray()
    counts[cells.obs_names.isin(names)] = rng.poisson(50.0, (len(names), cells.n_vars))
    changed = cells.copy()
    changed.X = sp.csr_matrix(counts.astype(np.float32))
    return changed
