"""The tables of the page on limits: what tests say of pseudo-replicates, and what a bulk profile does not see.

    python benchmarks/limits.py [--repeats 20]

Everything is simulated, and nothing differs between the conditions: what a test rejects is a false positive. Writes
``results/<date>-limits.json``; `page_tables` makes the tables of ``docs/limits.md`` from it, and a test says whether
the page still holds.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import ttest_ind

import bulkgen as bg
from machine import write_results

N_GENES, DONORS, CELLS = 300, 3, 60


def two_equal_conditions(rng: np.random.Generator) -> AnnData:
    """Cells of three donors in each of two conditions that do not differ; donors do, by a factor per gene."""
    mean = rng.gamma(1.0, 2.0, N_GENES)
    rates = [mean * rng.lognormal(-0.045, 0.3, N_GENES) for _ in range(2 * DONORS)]
    counts = np.vstack([rng.poisson(rate * rng.gamma(5.0, 0.2, (CELLS, 1))) for rate in rates])
    donor = np.repeat(np.arange(2 * DONORS), CELLS)
    obs = pd.DataFrame({"donor": donor.astype(str), "condition": np.where(donor < DONORS, "A", "B")})
    obs.index = [f"cell{i}" for i in range(len(obs))]
    genes = pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)])
    return AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=genes)


def rejected(adata: AnnData) -> float:
    """Share of the genes with p < 0.05 between the conditions: Welch's t-test of log-normalised values."""
    X = adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
    X = np.log1p(1e3 * X / X.sum(axis=1, keepdims=True))
    in_a = adata.obs["condition"].to_numpy() == "A"
    return float(np.mean(ttest_ind(X[in_a], X[~in_a], equal_var=False).pvalue < 0.05))


def false_positives(repeat: int) -> dict[str, float]:
    """Share of the genes that a test calls different, by what it takes for a replicate."""
    cells = two_equal_conditions(np.random.default_rng(repeat))
    fit = bg.fit_generator(cells, by="condition", method="negative_binomial")
    return {
        "donors (3 and 3)": rejected(bg.bulk_profiles(cells, by=["donor", "condition"])),
        "cells (180 and 180)": rejected(cells),
        "pseudo-bulk of ten cells (18 and 18)": rejected(bg.pseudobulk(cells, by="condition", k=10, rng=repeat)),
        "synthetic cells (180 and 180)": rejected(bg.synthesize(fitted=fit, n_cells=180, rng=repeat)),
        "synthetic cells (2,000 and 2,000)": rejected(bg.synthesize(fitted=fit, n_cells=2000, rng=repeat)),
    }


def two_responses(n_cells: int = 200_000) -> dict[str, dict[str, float]]:
    """Mean and variance of a gene of 4 molecules to which all cells respond twofold, or half of them threefold."""
    rng = np.random.default_rng(0)
    rates = {"all cells, twofold": np.full(n_cells, 8.0), "half of them, threefold": np.resize([4.0, 12.0], n_cells)}
    counts = {name: rng.poisson(rate) for name, rate in rates.items()}
    return {name: {"mean": float(x.mean()), "variance": float(x.var())} for name, x in counts.items()}


def page_tables(results: dict[str, object]) -> tuple[str, str]:
    """Return the two tables of the page, as Markdown."""
    found = pd.DataFrame(results["false_positives"])
    first = ["| rows that are tested | genes called different | standard deviation over repeats |", "|---|--:|--:|"]
    first += [f"| {name} | {found[name].mean():.1%} | {found[name].std():.1%} |" for name in found]
    second = ["| who responds | mean: what bulk sees | variance: what it does not |", "|---|--:|--:|"]
    second += [f"| {name} | {x['mean']:.1f} | {x['variance']:.1f} |" for name, x in results["responses"].items()]
    return "\n".join(first) + "\n", "\n".join(second) + "\n"


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    results = {
        "false_positives": [false_positives(repeat) for repeat in range(arguments.repeats)],
        "responses": two_responses(),
    }
    print(*page_tables(results), sep="\n")
    print(write_results("limits", results))


if __name__ == "__main__":
    main()
