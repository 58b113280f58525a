"""Sharded generation that is killed at random moments: nothing lost, nothing half-written, the same bytes at the end.

    python benchmarks/reliability/kills_generation.py [--kills 20]

To tokens, and to cells as h5ad and zarr; so many kills of each. Writes
``benchmarks/results/reliability/kills_generation.json``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import bulkgen
from kills_shards import campaign_of_shards
from record import write_rows

KINDS = {
    "tokens": ["--tokens", "--vocabulary", "vocabulary.json", "--label", "label"],
    "cells, h5ad": ["--format", "h5ad"],
    "cells, zarr": ["--format", "zarr"],
}
#: Cells of a stratum and of a shard, so that shards take about as long as the rest of a run.
SIZES = {"tokens": (1500, 50), "cells, h5ad": (900, 50), "cells, zarr": (400, 50)}
GENES = 500


def inputs(folder: Path) -> None:
    """Write a fit and a vocabulary."""
    counts = np.random.default_rng(0).poisson(1.0, (100, GENES)).astype(np.float32)
    cells = ad.AnnData(counts, obs=pd.DataFrame({"label": ["A", "B"] * 50}, index=[f"cell{i}" for i in range(100)]))
    cells.var_names = [f"ENSG{i:011d}" for i in range(GENES)]
    bulkgen.fit_generator(cells, by="label", method="thin").save(folder / "fit.h5ad")
    bulkgen.Vocabulary.fit(cells, context=300).save(folder / "vocabulary.json")


def command(place: Path, kind: str, out: Path) -> list[str]:
    """Return the command that begins such shards, or goes on with them."""
    cells, shard_size = SIZES[kind]
    options = [str(place / word) if word.endswith(".json") else word for word in KINDS[kind]]
    return [sys.executable, "-m", "bulkgen", "synthesize", "--fitted", str(place / "fit.h5ad"), *options,
            "--n-cells", str(cells), "--shard-size", str(shard_size), "--out", str(out), "--resume"]  # fmt: skip


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each kind of shards")
    kills = parser.parse_args().kills
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        inputs(place)
        rows = [
            campaign_of_shards(
                f"SIGKILL while {kind} are generated in shards",
                partial(command, place, kind),
                place / kind.replace(", ", "-"),
                kills=kills,
                seed=seed,
            )
            for seed, kind in enumerate(KINDS)
        ]
    print(write_rows("kills_generation", "Sharded generation killed at random moments", rows, started=started))


if __name__ == "__main__":
    main()
