"""Tokenization in shards that is killed at random moments: nothing lost or half-written, the same bytes at the end.

    python benchmarks/reliability/kills_tokenization.py [--kills 25]

Of an h5ad file and of a zarr store; so many kills of each. Writes
``benchmarks/results/reliability/kills_tokenization.json``.
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
import scipy.sparse as sp

import bulkgen
from kills_shards import campaign_of_shards
from record import write_rows

#: Cells of the file and of a shard, so that shards take about as long as the rest of a run.
CELLS, SHARD_SIZE, GENES = 6000, 150, 500


def inputs(folder: Path) -> None:
    """Write cells and a vocabulary."""
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(0.7, (CELLS, GENES)).astype(np.float32))
    obs = pd.DataFrame({"label": np.resize(["A", "B"], CELLS)}, index=[f"cell{i}" for i in range(CELLS)])
    cells = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"ENSG{i:011d}" for i in range(GENES)]))
    for suffix in ("h5ad", "zarr"):
        bulkgen.write(cells, folder / f"cells.{suffix}")
    bulkgen.Vocabulary.fit(cells, context=300).save(folder / "vocabulary.json")


def command(place: Path, suffix: str, out: Path) -> list[str]:
    """Return the command that begins shards of tokens of a kind of file, or goes on with them."""
    return [sys.executable, "-m", "bulkgen", "tokenize", str(place / f"cells.{suffix}"),
            "--vocabulary", str(place / "vocabulary.json"), "--label", "label",
            "--shard-size", str(SHARD_SIZE), "--out", str(out), "--resume"]  # fmt: skip


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25, help="of each kind of file")
    kills = parser.parse_args().kills
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        inputs(place)
        rows = [
            campaign_of_shards(
                f"SIGKILL while cells of {suffix} are tokenized in shards",
                partial(command, place, suffix),
                place / f"of-{suffix}",
                kills=kills,
                seed=seed,
            )
            for seed, suffix in enumerate(("h5ad", "zarr"))
        ]
    print(write_rows("kills_tokenization", "Tokenization in shards killed at random moments", rows, started=started))


if __name__ == "__main__":
    main()
