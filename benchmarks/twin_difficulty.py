"""How hard the simulated twin of sci-Plex2 is: the linear model, trained and tested on its cells.

    python benchmarks/twin_difficulty.py [--seeds 101 102 3 4 5] [--n-cells 5565]

A fifth of the cells of every twin is held out. Writes ``results/<date>-twin_difficulty.json``; the twin was tuned on
seeds 101 and 102, the others were looked at once (docs/design/data.md).
"""

from __future__ import annotations

import argparse

import bulkgen as bg
from bulkgen.datasets import sciplex2_twin
from machine import write_results

LABEL = "treated_label"


def difficulty(seed: int, n_cells: int) -> dict[str, object]:
    """Balanced accuracy and the recall of each label."""
    split = bg.split_benchmark(sciplex2_twin(n_cells, rng=seed), label=LABEL, test_fraction=0.2, rng=0)
    vocabulary = bg.Vocabulary.fit(split.train)
    train, test = (bg.tokenize(part, vocabulary=vocabulary, label=LABEL) for part in (split.train, split.test))
    scores = bg.finetune(train, model="linear").evaluate(test)
    recall = {label: round(of["recall"], 3) for label, of in scores.to_dict()["per_class"].items()}
    return {"seed": seed, "balanced_accuracy": round(scores.balanced_accuracy, 3), "recall": recall}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 3, 4, 5])
    parser.add_argument("--n-cells", type=int, default=5565)
    arguments = parser.parse_args()
    rows = [difficulty(seed, arguments.n_cells) for seed in arguments.seeds]
    for row in rows:
        print(row)
    name = "twin_difficulty" if arguments.n_cells == 5565 else f"twin_difficulty_{arguments.n_cells}_cells"
    print("written to", write_results(name, {"n_cells": arguments.n_cells, "rows": rows}))
