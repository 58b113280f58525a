"""The whole way on real cells: five lung-cancer cell lines (sc_mixology, CEL-seq2, clean singlets).

    python benchmarks/real_scmix.py [--data FOLDER] [--seeds 3] [--models linear tiny]

Every seed splits the cells anew; the test cells are real, and no training set sees them. Writes
``results/<date>-real_scmix.json`` and prints the table of ``docs/studies.md``. The five lines are nearly trivially
separable at full depth: this is a smoke test of the whole way, not a ranking of generators.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from anndata import AnnData

import bulkgen as bg
from machine import write_results

LABEL = "cell_line"
CELLS = 100  # synthetic cells per line
#: name -> training set made from the real training cells
TRAINING_SETS: dict[str, Callable[[AnnData, int], AnnData]] = {
    "real cells": lambda train, _: train,
    "pseudo-bulk, k = 10": lambda train, seed: bg.pseudobulk(train, by=LABEL, k=10, rng=seed),
    "truncated Gaussian": lambda train, seed: bg.synthesize(train, by=LABEL, n_cells=CELLS, rng=seed),
}


def run(data: Path, *, seeds: int, models: list[str]) -> list[dict[str, object]]:
    """Scores of every training set, model and seed on real test cells."""
    cells = bg.read(data / "scmix_5cl_celseq2.h5ad")
    cells = cells[cells.obs["clean_singlet"].to_numpy()].copy()
    vocabulary = bg.Vocabulary.load("V1", path=data / "geneformer")
    rows: list[dict[str, object]] = []
    for seed in range(seeds):
        split = bg.split_benchmark(cells, label=LABEL, test_fraction=0.2, stratify_by=["plate"], rng=seed)
        validation, test = (
            bg.tokenize(part, vocabulary=vocabulary, label=LABEL) for part in (split.validation, split.test)
        )
        for name, make in TRAINING_SETS.items():
            tokens = bg.tokenize(make(split.train, seed), vocabulary=vocabulary, label=LABEL)
            for model in models:
                start = time.perf_counter()
                result = bg.finetune(tokens, validation=validation, model=model, rng=seed)
                scores = result.evaluate(test)
                losses = [epoch["training_loss"] for epoch in result.history]
                rows.append(
                    {
                        "training_set": name,
                        "model": model,
                        "seed": seed,
                        "training_cells": len(tokens),
                        "test_cells": len(test),
                        "tokens_per_cell": float(tokens.lengths.mean()),
                        "first_and_last_training_loss": [losses[0], losses[-1]] if losses else None,
                        "seconds": round(time.perf_counter() - start, 1),
                        **scores.to_dict(),
                    }
                )
                print(f"seed {seed}  {model:<7}{name:<22}balanced accuracy {scores.balanced_accuracy:.3f}", flush=True)
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """Mean ± sd over seeds as a Markdown table."""
    lines = [
        "| training set | cells | tokens per cell | model | balanced accuracy | macro-F1 | majority class |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, model in dict.fromkeys((row["training_set"], row["model"]) for row in rows):
        chosen = [row for row in rows if (row["training_set"], row["model"]) == (name, model)]

        def spread(get: Callable[[dict], float], chosen: list[dict] = chosen) -> str:
            values = [get(row) for row in chosen]
            return f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"

        lines.append(
            f"| {name} | {chosen[0]['training_cells']} | {statistics.mean(r['tokens_per_cell'] for r in chosen):,.0f} "
            f"| `{model}` | {spread(lambda r: r['balanced_accuracy'])} | {spread(lambda r: r['macro_f1'])} "
            f"| {spread(lambda r: r['majority']['balanced_accuracy'])} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=os.environ.get("BULKGEN_SHARED_DATA", shared))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["linear", "tiny"])
    arguments = parser.parse_args()
    rows = run(arguments.data, seeds=arguments.seeds, models=arguments.models)
    print(table(rows))
    print("written to", write_results("real_scmix", {"label": LABEL, "rows": rows}))
