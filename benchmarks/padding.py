"""How much of a training's batches is padding, on the token lengths of real cells.

    python benchmarks/padding.py [--data FOLDER] [--epochs N]

Random batches are padded to their longest cell, as Geneformer's own classifier does; batches by length are those of
``bulkgen.finetune``, whose rows are rounded up to a multiple of 8. Packing, several cells in one row, could save what
is padding there and no more. The second table has as many cells as a screen of drugs, with lengths of the same cells.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt

import bulkgen as bg
from bulkgen.training.batches import LengthGroupedSampler, padded_length

DATA = {
    "PBMC, droplets": ("kang_ifnb_2000.h5ad", "ensembl_id"),
    "cell lines, CEL-seq2": ("scmix_5cl_celseq2.h5ad", None),
}
BATCH_SIZES = (12, 32, 128)
MANY = 20_000


def share_of_padding(lengths: npt.NDArray[np.int64], widths: npt.NDArray[np.int64], batch_size: int) -> float:
    """Share of padding in batches of cells in this order, whose rows are so wide."""
    starts = np.arange(0, len(lengths), batch_size)
    cells = np.diff(np.append(starts, len(lengths)))
    return 1 - lengths.sum() / (np.maximum.reduceat(widths, starts) @ cells)


def by_length(lengths: npt.NDArray[np.int64], batch_size: int, *, epochs: int, positions: int) -> float:
    """Share of padding in the batches of a fine-tuning, mean over epochs."""
    sampler = LengthGroupedSampler(lengths, batch_size=batch_size, seed=0)
    shares = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        ordered = lengths[list(sampler)]
        widths = np.array([padded_length(length, positions=positions) for length in ordered.tolist()])
        shares.append(share_of_padding(ordered, widths, batch_size))
    return float(np.mean(shares))


def at_random(lengths: npt.NDArray[np.int64], batch_size: int, *, epochs: int) -> float:
    """Share of padding in random batches, mean over epochs."""
    generator = np.random.default_rng(0)
    orders = [generator.permutation(lengths) for _ in range(epochs)]
    return float(np.mean([share_of_padding(order, order, batch_size) for order in orders]))


def run(data: Path, *, epochs: int) -> None:
    """Print the table of the cells as they are, and that of many cells with their lengths."""
    lengths = {}
    for name, (file, gene_ids) in DATA.items():
        cells = anndata.read_h5ad(data / file)
        for version in ("V1", "V2"):
            vocabulary = bg.Vocabulary.load(version, path=data / "geneformer")
            tokens = bg.tokenize(cells, vocabulary=vocabulary, gene_ids=gene_ids)
            lengths[name, version] = tokens.lengths, vocabulary.context
    for n_cells in (None, MANY):
        print("\n| cells | vocabulary | tokens per cell, median and most | batch | random | by length |")
        print("|---|---|---|---|---|---|")
        for (name, version), (found, positions) in lengths.items():
            drawn = found if n_cells is None else np.random.default_rng(0).choice(found, n_cells)
            shown = f"{len(drawn):,}, {name} | {version} | {np.median(drawn):,.0f}, {drawn.max():,}"
            for batch_size in BATCH_SIZES:
                random = at_random(drawn, batch_size, epochs=epochs)
                grouped = by_length(drawn, batch_size, epochs=epochs, positions=positions)
                print(f"| {shown} | {batch_size} | {random:.1%} | {grouped:.2%} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=os.environ.get("BULKGEN_SHARED_DATA", shared))
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    run(arguments.data, epochs=arguments.epochs)
