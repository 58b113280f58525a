"""Bulk profiles to tokens: in one go, and through an h5ad file. The million cells are timed by ``memory.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import calls
import workloads
from bulkgen import TokenDataset
from memory import synthesis_inputs

CELLS = 5_000


def bench_synthesize(race, scale, tmp_path):
    """Seconds for 5,000 cells of 20,000 genes, V1 vocabulary."""
    vocabulary = workloads.vocabulary("V1")
    profiles, reference = synthesis_inputs(vocabulary)
    cells_per_label = workloads.scaled(CELLS, scale, least=50) // len(profiles)
    first: list[tuple[np.ndarray, np.ndarray]] = []

    def fused() -> Path:
        calls.synthesize_to_tokens(profiles, reference, cells_per_label, vocabulary, tmp_path / "fused")
        return tmp_path / "fused"

    def two_steps() -> Path:
        calls.synthesize_to_file(profiles, reference, cells_per_label, tmp_path / "cells.h5ad")
        calls.tokenize_file(tmp_path / "cells.h5ad", vocabulary, tmp_path / "tokens")
        return tmp_path / "tokens"

    def check(side: str, folder: Path) -> None:
        tokens = TokenDataset.load(folder)
        assert len(tokens) == cells_per_label * len(profiles), side
        first.append(tokens.flat())
        assert all(np.array_equal(a, b) for a, b in zip(first[0], first[-1], strict=True)), f"{side}: other tokens"

    race(
        "synthesize",
        {"straight to tokens": fused, "through h5ad": two_steps},
        check=check,
        rounds=3,
        work=cells_per_label * len(profiles),
        checked="Same tokens in every cell, read back from disk.",
    )
