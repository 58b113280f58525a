"""Cells of a trial, drawn by a method with its cost, or as the Poisson floor."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bulkgen.io import library_sizes, make_anndata, provenance
from bulkgen.rng import key_from_rng
from bulkgen.splits import strata_of
from bulkgen.synthesis import synthesize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

    from bulkgen.fidelity.methods import Method
    from bulkgen.fidelity.tasks import Trial

__all__ = ["COST_NOTE", "DONOR", "draw_cells", "draw_with_cost", "name_donors", "poisson_floor"]

#: How cost is measured.
COST_NOTE = (
    "wall-clock seconds of the drawing alone, scaled to 10,000 cells, and of the fitting; memory: the most that Python "
    "and NumPy had allocated at a time while fitting and drawing (tracemalloc), in a run of its own before the timed "
    "one, first seed"
)

#: Column of synthetic cells with the real cell that each was made from.
DONOR = "donor"

_CELLS_OF_COST = 10_000


def draw_cells(
    method: Method, trial: Trial, numbers: Mapping[str, int], *, rng: np.random.SeedSequence, threads: int | None
) -> AnnData:
    """Fit a method to a trial and draw so many cells of each stratum."""
    cells = synthesize(fitted=method.fit(trial, threads=threads), n_cells=numbers, rng=rng, threads=threads)
    return name_donors(cells, method.reference_cells(trial))


def draw_with_cost(
    method: Method,
    trial: Trial,
    numbers: Mapping[str, int],
    *,
    rng: np.random.SeedSequence,
    threads: int | None,
    memory: bool,
) -> tuple[AnnData, dict[str, float]]:
    """Draw cells as :func:`draw_cells` does, and measure what it cost.

    Parameters
    ----------
    method, trial, numbers, rng, threads
        As in :func:`draw_cells`.
    memory
        Measure the memory too, in a run of its own: tracing slows Python down.

    Returns
    -------
    cells
        The cells.
    cost
        Values of the metrics of cost.
    """
    cost: dict[str, float] = {}
    if memory:
        tracemalloc.start()
        try:
            draw_cells(method, trial, numbers, rng=rng, threads=threads)
            cost["peak_memory"] = tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()
    started = time.perf_counter()
    fit = method.fit(trial, threads=threads)
    fitted = time.perf_counter()
    cells = synthesize(fitted=fit, n_cells=numbers, rng=rng, threads=threads)
    drawn = time.perf_counter()
    cost["fit_seconds"] = fitted - started
    cost["seconds_per_10000_cells"] = (drawn - fitted) / cells.n_obs * _CELLS_OF_COST
    return name_donors(cells, method.reference_cells(trial)), cost


def name_donors(cells: AnnData, reference: AnnData) -> AnnData:
    """Return synthetic cells whose ``obs["donor"]``, a row of the reference, is the name of that cell.

    Cells without donors, and donors that have names already, stay as they are.
    """
    if DONOR not in cells.obs or not pd.api.types.is_integer_dtype(cells.obs[DONOR]):
        return cells
    obs = cells.obs.copy()
    obs[DONOR] = reference.obs_names.to_numpy()[obs[DONOR].to_numpy()]
    return make_anndata(cells.X, obs=obs, var=cells.var, uns=cells.uns)


def poisson_floor(trial: Trial, numbers: Mapping[str, int], *, rng: np.random.SeedSequence) -> AnnData:
    """Draw cells of independent Poisson counts with the means of the bulk: what any method should surpass.

    A profile without a number of cells is scaled to the mean library size of the reference.
    """
    generator = np.random.default_rng(key_from_rng(rng))
    bulk = trial.bulk
    total = np.asarray(bulk.X.toarray() if sp.issparse(bulk.X) else bulk.X, dtype=np.float64)
    cells = bulk.obs["n_obs_aggregated"].to_numpy(dtype=np.float64)
    typical = float(library_sizes(trial.reference.X).mean())
    mean = total / np.where(cells > 0, cells, total.sum(axis=1) / typical)[:, None]
    strata = strata_of(bulk.obs, trial.by)
    order = np.argsort(strata.codes)
    drawn = [
        sp.csr_matrix(generator.poisson(mean[order[code]], (numbers[name], mean.shape[1])).astype(np.float32))
        for code, name in enumerate(strata.names())
    ]
    obs: pd.DataFrame = strata.table.iloc[np.repeat(np.arange(len(drawn)), [block.shape[0] for block in drawn])].copy()
    obs.index = pd.Index([f"poisson-{i}" for i in range(len(obs))])
    record = provenance("poisson_floor", {"n_cells": dict(numbers)}, key=None, source=None)
    return make_anndata(
        sp.vstack(drawn, format="csr"), obs=obs, var=bulk.var.copy(), uns={"bulkgen": {**record, "synthetic": 1}}
    )
