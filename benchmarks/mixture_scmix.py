"""Generator `mixture` on wells of known composition (sc_mixology: 21 wells of 90 cells of three lines, CEL-seq2).

    python benchmarks/mixture_scmix.py [--data FOLDER] [--seeds 3]

Bulk: the wells. Reference: clean single cells of another plate. For every seed the single cells are split in halves:
one is the reference, the other is what the generated cells are tested on. Writes
``results/<date>-mixture_scmix.json``. The fractions are an easy test in one respect (the three lines are very
different) and a hard one in another (wells and cells were sequenced apart). At this depth lines are told apart without
error, so the score of the generated cells says that they are of the right line, and little more.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import numpy as np

import bulkgen as bg
from machine import write_results

LINES = ("H1975", "H2228", "HCC827")
CELLS = 60  # per well
METRICS = (
    "tstr_balanced_accuracy",
    "token_count_wasserstein",
    "gene_mean_concordance",
    "correlation_slope",
    "energy_distance",
    "auroc_linear",
    "auroc_forest",
)


def run(data: Path, *, seeds: int) -> list[dict[str, object]]:
    """Errors of the fractions and scores of the generated cells, by seed and by way of finding the fractions."""
    wells = bg.read(data / "scmix_bulk90.h5ad")
    wells.obs["well"] = wells.obs_names
    bulk = bg.bulk_profiles(wells[:, ~wells.var_names.duplicated()].copy(), by="well")
    # a well is one profile of 90 cells
    bulk.obs["n_obs_aggregated"] = 90
    truth = wells.obs.loc[bulk.obs_names, list(LINES)].to_numpy(float)
    truth /= truth.sum(axis=1, keepdims=True)
    cells = bg.read(data / "scmix_5cl_celseq2.h5ad")
    cells = cells[cells.obs["clean_singlet"].to_numpy() & cells.obs["cell_line"].isin(LINES).to_numpy()].copy()
    shared = [gene for gene in bulk.var_names if gene in set(cells.var_names)]
    bulk, cells = bulk[:, shared].copy(), cells[:, shared].copy()
    rows: list[dict[str, object]] = []
    for seed in range(seeds):
        split = bg.split_benchmark(cells, label="cell_line", test_fraction=0.5, validation_fraction=0.0, rng=seed)
        for fractions in ("nnls", "poisson"):
            fit = bg.fit_generator(
                bulk, reference=split.train, method="mixture", states="cell_line", fractions=fractions
            )
            made = bg.synthesize(fitted=fit, n_cells=CELLS, rng=seed)
            states = fit.fitted.states.split("\n")
            found = fit.fitted.fractions[:, [states.index(line) for line in LINES]]
            drawn = np.array(
                [
                    [np.mean(made.obs["state"][made.obs["well"] == well] == line) for line in LINES]
                    for well in bulk.obs_names
                ]
            )
            made.obs["cell_line"] = made.obs["state"].astype(str)
            scores = bg.score_cells(made, split.test, label="cell_line", train=split.train, seeds=1, rng=seed)
            rows.append(
                {
                    "seed": seed,
                    "fractions": fractions,
                    "fraction_mean_absolute_error": float(np.abs(found - truth).mean()),
                    "fraction_largest_error": float(np.abs(found - truth).max()),
                    "generated_mean_absolute_error": float(np.abs(drawn - truth).mean()),
                    "guess_mean_absolute_error": float(np.abs(1 / 3 - truth).mean()),
                    "scores": {
                        method: {
                            metric: scores.value(method, metric, model="linear" if metric.startswith("tstr") else "")[0]
                            for metric in METRICS
                        }
                        for method in ("real", "synthetic")
                    },
                }
            )
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("BULKGEN_SHARED_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(shared), help="folder with the shared real data")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = run(arguments.data, seeds=arguments.seeds)
    for fractions in ("nnls", "poisson"):
        errors = [row["fraction_mean_absolute_error"] for row in rows if row["fractions"] == fractions]
        print(f"{fractions}: mean absolute error {statistics.mean(errors):.3f}")
    print(write_results("mixture_scmix", {"rows": rows, "seeds": arguments.seeds, "cells_per_well": CELLS}))


if __name__ == "__main__":
    main()
