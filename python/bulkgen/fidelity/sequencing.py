"""Bulk profiles as a sequencer gives them: a number of reads, with the biases of its platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.io import make_anndata, provenance
from bulkgen.profiles import gene_moments
from bulkgen.splits import strata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from bulkgen.kernels.protocol import Float64Array

__all__ = ["sequenced_bulk"]


def sequenced_bulk(
    cells: AnnData, *, by: str | Sequence[str], reads: int, bias: Float64Array, key: int, threads: int | None
) -> AnnData:
    """Sequence the cells of each stratum: draw reads as from a library of all their molecules.

    Parameters
    ----------
    cells
        Real cells, raw counts.
    by
        Columns of ``obs`` to group by.
    reads
        Reads of each profile.
    bias
        Factor of each gene that all profiles share (gene length, capture), shape (genes,).
    key
        Seed of the reads.
    threads
        Default: the CPUs available.

    Returns
    -------
    anndata.AnnData
        Profiles as of :func:`bulkgen.bulk_profiles`, without layers; how many cells were behind them is not known.
    """
    generator = np.random.default_rng(key)
    strata = strata_of(cells.obs, by)
    total = gene_moments(cells.X, strata.codes, len(strata.table), threads=threads).sum.astype(np.float64)
    drawn = np.stack([generator.multinomial(reads, row / row.sum()) for row in total * bias])
    obs = strata.table.copy()
    obs["n_obs_aggregated"] = 0
    obs["psbulk_cells"] = 0
    obs["psbulk_counts"] = drawn.sum(axis=1)
    obs.index = pd.Index(strata.names())
    record = provenance("bulk_profiles", {"by": list(strata.table.columns)}, key=None, source=cells)
    return make_anndata(drawn, obs=obs, var=cells.var.copy(), uns={"bulkgen": record})
