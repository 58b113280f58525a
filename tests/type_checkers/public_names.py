"""What a type checker sees of the public names; `make types` checks it, nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

from bulkgen import (
    STREAM_VERSION,
    BenchmarkResults,
    BenchmarkSplit,
    CellStore,
    Fit,
    Scores,
    Shards,
    StudyConfig,
    StudyResults,
    SyntheticTokens,
    TokenDataset,
    Vocabulary,
    __version__,
    benchmark_generators,
    bulk_profiles,
    evaluate,
    fetch,
    figures,
    finetune,
    fit_generator,
    load_fit,
    match_genes,
    open_cells,
    open_shards,
    pseudobulk,
    read,
    read_bulk,
    run_study,
    score_cells,
    split_benchmark,
    synthesize,
    thin,
    tokenize,
    write,
)
from bulkgen.report.gallery import Gallery
from bulkgen.training import FinetuneResult

# AnnData has no types of its own, so that what gives cells gives Any
cells: Any = read("cells.h5ad")
write(thin(pseudobulk(cells, by="drug"), fraction=0.5), "thinned.h5ad")
match_genes(bulk_profiles(read_bulk("bulk.csv"), by="drug"), cells, "V1")

assert_type(__version__, str)
assert_type(STREAM_VERSION, int)
assert_type(open_cells("cells.h5ad"), CellStore)
assert_type(split_benchmark(cells, label="drug"), BenchmarkSplit)
assert_type(fetch("sciplex2"), Path)
assert_type(fit_generator(cells, by="drug"), Fit)
assert_type(load_fit("fit.h5ad"), Fit)
assert_type(Vocabulary.load("V1"), Vocabulary)
assert_type(tokenize(cells), TokenDataset)
assert_type(finetune(tokenize(cells), out="run"), FinetuneResult)
assert_type(finetune(SyntheticTokens("fit.h5ad", 100), out="run"), FinetuneResult)
assert_type(evaluate("run", tokenize(cells)), Scores)
assert_type(benchmark_generators(cells, task="drug"), BenchmarkResults)
assert_type(score_cells(cells, cells, label="drug"), BenchmarkResults)
assert_type(figures(score_cells(cells, cells, label="drug")), Gallery)
assert_type(run_study(StudyConfig.preset("quick"), "study"), StudyResults)
assert_type(synthesize(cells, by="drug", n_cells=10, out="shards", shard_size=100), Shards[TokenDataset] | Shards[Any])
assert_type(synthesize(cells, by="drug", to="tokens"), TokenDataset)
open_shards("shards")
