"""Cells from a data loader, as batches for a model: fresh synthetic cells, and stored ones."""

from __future__ import annotations

import numpy as np
import pytest

import calls
import workloads
from memory import synthesis_inputs

CELLS, BATCH = 16_384, 64


def bench_synthetic_tokens(race, scale):
    """Seconds for 16,384 cells of 20,000 genes (truncated Gaussian), V1 vocabulary, 2,048 tokens a cell."""
    torch = pytest.importorskip("torch")
    vocabulary = workloads.vocabulary("V1")
    profiles, reference = synthesis_inputs(vocabulary)
    fit = calls.fit(profiles, reference, "truncated_gaussian")
    cells = workloads.scaled(CELLS, scale, least=BATCH) // len(profiles)
    fresh = calls.synthetic_tokens(fit, cells, vocabulary, batch_size=BATCH)
    stored = fresh.materialize()
    # the sum of the tokens, weighted by their ranks, tells cells apart
    weights = torch.arange(1, vocabulary.context + 1)

    def consume(loader) -> np.ndarray:
        sums = [(batch["input_ids"] * weights[: batch["input_ids"].shape[1]]).sum(dim=1) for batch in loader]
        return torch.cat(sums).numpy()

    tokens, offsets = stored.flat()
    rows = np.split(tokens.astype(np.int64), offsets[1:-1])
    expected = np.sort([row @ weights[: len(row)].numpy() for row in rows])

    def check(side: str, sums: np.ndarray) -> None:
        assert np.array_equal(np.sort(sums), expected), f"{side}: other cells"

    loaders = {
        "1 worker": fresh.loader(workers=1),
        "no worker": fresh.loader(),
        "stored cells, 1 worker": calls.stored_loader(stored, batch_size=BATCH, workers=1),
    }
    race(
        "synthetic_tokens",
        {side: lambda loader=loader: consume(loader) for side, loader in loaders.items()},
        check=check,
        rounds=3,
        work=cells * len(profiles),
        checked="Same cells from every side: those that `bulkgen.synthesize` gives the numbers of the epoch.",
    )
