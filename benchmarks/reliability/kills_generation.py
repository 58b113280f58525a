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
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import bulkgen
from bulkgen.io.shards import MANIFEST_FILE, ShardFolder, sha256_of
from kills import campaign, run
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


def half_written(out: Path) -> str | None:
    """Say which shard has a record and is not what that says, or has a name and cannot be whole."""
    if not (out / "request").is_dir():
        return None
    folder = ShardFolder.open(out)
    for number, record in enumerate(folder.records()):
        shard = out / folder.plan.name(number)
        if record is not None and (not shard.exists() or sha256_of(shard) != record.sha256):
            return "a shard is not what its record says"
    if (out / MANIFEST_FILE).exists() and None in folder.records():
        return "there is a manifest, and not all shards"
    return None


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="of each kind of shards")
    kills = parser.parse_args().kills
    started = time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        inputs(place)
        for seed, (kind, options) in enumerate(KINDS.items()):
            cells, shard_size = SIZES[kind]
            here = place / kind.replace(", ", "-")
            here.mkdir()

            def command(
                out: Path, options: list[str] = options, cells: int = cells, shard_size: int = shard_size
            ) -> list[str]:
                of = [str(place / word) if word.endswith(".json") else word for word in options]
                size = ["--n-cells", str(cells), "--shard-size", str(shard_size)]
                return [sys.executable, "-m", "bulkgen", "synthesize", "--fitted", str(place / "fit.h5ad"), *of, *size,
                        "--out", str(out), "--resume"]  # fmt: skip

            run(command(here / "whole"))
            whole = sha256_of(here / "whole")

            def difference(out: Path, whole: str = whole) -> str | None:
                return None if sha256_of(out) == whole else "other bytes than without interruption"

            rows.append(
                campaign(f"SIGKILL while {kind} are generated in shards", command, here, kills=kills,
                         fault=half_written, difference=difference, seed=seed)
            )  # fmt: skip
            print(rows[-1])
    title = "Sharded generation killed at random moments"
    print(write_rows("kills_generation", title, rows, started=started))


if __name__ == "__main__":
    main()
