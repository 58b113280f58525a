"""Results of a benchmark that never ran, for tests of the report alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bulkgen.fidelity.metrics import METRICS
from bulkgen.fidelity.results import COLUMNS, FEW_CELLS_COLUMNS, BenchmarkResults, with_gap_closed

SCORES = {"real": 0.9, "good": 0.85, "truncated_gaussian": 0.6, "poisson_floor": 0.5}
ROLES = {"real": "ceiling", "poisson_floor": "floor"}


def _rows():
    for seed in (0, 1):
        yield (seed, "majority", "majority", "utility", "tstr_balanced_accuracy", "", "", 0.5, "")
        for method, score in SCORES.items():
            role = ROLES.get(method, "generator")
            mean = score + 0.01 * seed
            yield (seed, method, role, "utility", "tstr_balanced_accuracy", "linear", "", mean, "")
            for label in ("a", "b"):
                yield (seed, method, role, "utility", "tstr_recall", "linear", label, mean, "")
            for metric in ("token_count_wasserstein", "fold_change_slope", "auroc_linear"):
                for label in ("", "a", "b"):
                    yield (seed, method, role, METRICS[metric].group, metric, "", label, 1.5 - score, "")


def make_results(**changes):
    rng = np.random.default_rng(0)
    drawn = ["real", "good", "truncated_gaussian", "poisson_floor"]
    genes = [
        pd.DataFrame(
            {
                "gene": [f"g{i}" for i in range(20)],
                "real_mean": rng.gamma(1.0, 1.0, 20),
                "mean": rng.gamma(1.0, 1.0, 20),
                "real_zeros": rng.random(20),
                "zeros": rng.random(20),
                "method": method,
            }
        )
        for method in drawn
    ]
    projection = [
        pd.DataFrame({"label": ["a", "b"] * 5, "x": rng.random(10), "y": rng.random(10), "method": method})
        for method in [*drawn, "test"]
    ]
    curve = [
        (seed, size, size == 40, name, weight, score, score)
        for seed in (0, 1)
        for size, score in ((5, 0.6), (40, 0.9))
        for name, weight in (("", 0.0), ("good", 0.3))
    ]
    settings = {
        "task": {"name": "label", "label": "drug", "control": None},
        "methods": [{"name": "truncated_gaussian", "shown": name} for name in ("good", "truncated_gaussian", "bad")],
        "models": [{"shown": "linear"}],
        "seeds": 2,
        "rng": 0,
        "key": "0",
        "trials": [
            {
                "seed": 0,
                "train": {"a": 40, "b": 40},
                "test": {"a": 20, "b": 20},
                "generated": {"a": 40, "b": 40},
                "ceiling": {"a": 40, "b": 30},
                "vocabulary": {"name": "toy", "genes": 20, "fingerprint": ""},
                "parameters_used": {"good": {"round": True}},
            }
        ],
        "vocabulary_fitted": True,
        "failures": [
            {"seed": seed, "method": "bad", "stage": "generate", "reason": "ValueError: <no>"} for seed in (0, 1)
        ],
        "not_measured": {"what": "mixed cells", "note": "No such drug was measured."},
        "versions": {"bulkgen": "0.1.0"},
        "command": "bulkgen benchmark cells.h5ad",
        "cost": "how it was measured",
    }
    made = {
        "results": with_gap_closed(pd.DataFrame(_rows(), columns=list(COLUMNS))),
        "settings": settings | changes,
        "few_cells": pd.DataFrame(curve, columns=list(FEW_CELLS_COLUMNS)),
        "genes": pd.concat(genes, ignore_index=True),
        "projection": pd.concat(projection, ignore_index=True),
    }
    return BenchmarkResults(**made)
