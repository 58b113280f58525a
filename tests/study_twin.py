"""A small study of the simulated twin: 400 cells at three doses, 2,000 genes, some seconds for all its parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from bulkgen.datasets import sciplex2_twin
from bulkgen.io import write
from bulkgen.study import StudyConfig
from bulkgen.study.data import StudyData
from bulkgen.study.run import ModelSettings, Run

ALL_PARTS = (
    "bulkiness",
    "synthetic",
    "mixing",
    "thinning",
    "ladder",
    "few_cells",
    "bias",
    "unseen_dose",
    "ablations",
)
GENERATORS = {
    "truncated_gaussian": {"reference": "all"},
    "donor_shift": {"reference": "control"},
    "negative_binomial": {"reference": "control"},
}
LINEAR = ModelSettings(name="linear")


def small_twin() -> AnnData:
    return sciplex2_twin(400, n_genes=2000, doses=(0.0, 1.0, 10.0), rng=5)


def study_of(cells: AnnData, folder: Path, **tables: object) -> StudyConfig:
    """A study of cells in a file; tables and keys take the place of the usual ones."""
    path = folder / "cells.h5ad"
    write(cells, path, overwrite=True)
    settings = {
        "name": "small",
        "seeds": [0, 1],
        "data": {
            "source": "file",
            "path": str(path),
            "label": "treated_label",
            "control": "Untreated",
            "dose": "dose",
        },
        "models": {"linear": {}},
        "generators": GENERATORS,
        "parts": {name: {} for name in ALL_PARTS},
    }
    return StudyConfig.from_dict({**settings, **tables})


def run_of(data: StudyData, *training: object, **settings: object) -> Run:
    """A run of the linear model on these cells."""
    return Run.model_validate(
        {"training": training, "model": LINEAR, "seed": 0, "context": data.facts.context, **settings}
    )


def poisoned(cells: AnnData, names: np.ndarray) -> AnnData:
    """The cells, with the counts of some replaced by huge ones of other genes."""
    counts = sp.lil_matrix(cells.X)
    rng = np.random.default_rng(0)
    for row in np.flatnonzero(np.isin(cells.obs_names, names)):
        counts[row] = 0
        counts[row, rng.integers(0, cells.n_vars, 50)] = 100_000
    changed = cells.copy()
    changed.X = sp.csr_matrix(counts).astype(cells.X.dtype)
    return changed
