"""Training data for single-cell foundation models from bulk RNA-seq.

The public names are imported when they are first used: ``import bulkgen`` loads NumPy and little else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bulkgen.aggregate import pseudobulk
    from bulkgen.bulk_input import match_genes, read_bulk
    from bulkgen.fetching import fetch
    from bulkgen.fidelity.results import BenchmarkResults
    from bulkgen.fidelity.runner import benchmark_generators
    from bulkgen.fidelity.score import score_cells
    from bulkgen.fits import Fit, fit_generator, load_fit
    from bulkgen.gallery import figures
    from bulkgen.io import CellStore, open_cells, open_shards, read, write
    from bulkgen.io.shard_jobs import Shards
    from bulkgen.profiles import bulk_profiles
    from bulkgen.rng import STREAM_VERSION
    from bulkgen.splits import BenchmarkSplit, split_benchmark
    from bulkgen.study import StudyConfig, StudyResults, run_study
    from bulkgen.synthesis import synthesize
    from bulkgen.thinning import thin
    from bulkgen.tokens import TokenDataset, Vocabulary, tokenize
    from bulkgen.training import Scores, evaluate, finetune
    from bulkgen.training.synthetic_tokens import SyntheticTokens

    __version__: str

__all__ = [
    "STREAM_VERSION",
    "BenchmarkResults",
    "BenchmarkSplit",
    "CellStore",
    "Fit",
    "Scores",
    "Shards",
    "StudyConfig",
    "StudyResults",
    "SyntheticTokens",
    "TokenDataset",
    "Vocabulary",
    "__version__",
    "benchmark_generators",
    "bulk_profiles",
    "evaluate",
    "fetch",
    "figures",
    "finetune",
    "fit_generator",
    "load_fit",
    "match_genes",
    "open_cells",
    "open_shards",
    "pseudobulk",
    "read",
    "read_bulk",
    "run_study",
    "score_cells",
    "split_benchmark",
    "synthesize",
    "thin",
    "tokenize",
    "write",
]

_HOME = {
    "STREAM_VERSION": "bulkgen.rng",
    "BenchmarkResults": "bulkgen.fidelity.results",
    "BenchmarkSplit": "bulkgen.splits",
    "CellStore": "bulkgen.io",
    "Fit": "bulkgen.fits",
    "Scores": "bulkgen.training",
    "Shards": "bulkgen.io.shard_jobs",
    "StudyConfig": "bulkgen.study",
    "StudyResults": "bulkgen.study",
    "SyntheticTokens": "bulkgen.training.synthetic_tokens",
    "TokenDataset": "bulkgen.tokens",
    "Vocabulary": "bulkgen.tokens",
    "benchmark_generators": "bulkgen.fidelity.runner",
    "bulk_profiles": "bulkgen.profiles",
    "evaluate": "bulkgen.training",
    "fetch": "bulkgen.fetching",
    "figures": "bulkgen.gallery",
    "finetune": "bulkgen.training",
    "fit_generator": "bulkgen.fits",
    "load_fit": "bulkgen.fits",
    "match_genes": "bulkgen.bulk_input",
    "open_cells": "bulkgen.io",
    "open_shards": "bulkgen.io",
    "pseudobulk": "bulkgen.aggregate",
    "read": "bulkgen.io",
    "read_bulk": "bulkgen.bulk_input",
    "run_study": "bulkgen.study",
    "score_cells": "bulkgen.fidelity.score",
    "split_benchmark": "bulkgen.splits",
    "synthesize": "bulkgen.synthesis",
    "thin": "bulkgen.thinning",
    "tokenize": "bulkgen.tokens",
    "write": "bulkgen.io",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("bulkgen")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bulkgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
