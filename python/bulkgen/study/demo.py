"""The demo: from cells to scores on simulated data, in a few minutes on two cores.

Five training sets are made from the same training cells: the cells themselves, pseudo-bulk of about 1, 10 and 100 of
them, and truncated Gaussian cells. Each trains the linear model, two also a small transformer, and all are tested on
the same held-out cells.
"""

from __future__ import annotations

import json
import platform
import shlex
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bulkgen.aggregate import pseudobulk
from bulkgen.datasets import SIMULATED_NOTE, sciplex2_twin
from bulkgen.io import atomic_directory, check_output, write
from bulkgen.report import CellSet, Report, ResultScores, RunResult, require_report_extra, write_report
from bulkgen.splits import split_benchmark
from bulkgen.synthesis import synthesize
from bulkgen.tokens import TokenDataset, Vocabulary, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    from bulkgen.report.content import Kind
    from bulkgen.training.config import FinetuneOptions

__all__ = ["DemoResult", "run_demo"]

LABEL = "treated_label"
AGGREGATION = (1, 10, 100)
CONTEXT = 2048
MODELS = ("linear", "tiny")
TINY_SETS = ("real", "truncated_gaussian")
TINY_EPOCHS, TINY_CONTEXT = 6, 256  # the presets, 8 and 512, take several times as long
TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1

_CITATIONS = (
    "Data the twin imitates: Srivatsan et al., Massively multiplex chemical transcriptomics at single-cell "
    "resolution, Science 367:45 (2020).",
    "Rank-value encoding: Theodoris et al., Transfer learning enables predictions in network biology, "
    "Nature 618:616 (2023).",
)


@dataclass(frozen=True)
class DemoResult:
    """What the demo made: the report's content, and the folder that holds ``report.html`` and ``results.json``."""

    folder: Path
    report: Report
    results: dict[str, object]
    seconds: float


@dataclass(frozen=True)
class _TrainingSet:
    name: str
    slug: str
    kind: Kind
    cells: AnnData
    aggregation: float | None
    note: str


def run_demo(
    out: str | Path = "demo",
    *,
    n_cells: int = 3000,
    rng: int = 0,
    threads: int | None = None,
    overwrite: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> DemoResult:
    """Run the whole way on the simulated sci-Plex2 twin and write a report.

    Parameters
    ----------
    out
        Folder to make: ``report.html``, ``results.json``, ``figures/``, ``runs/`` (the trained models) and
        ``simulated_cells.h5ad`` (the twin, to go on with).
    n_cells
        Simulated cells, at least 200.
    rng
        Seed of everything.
    threads
        Threads to use. Default: the CPUs available, but one for training, whose scores depend on that number.
    overwrite
        Replace a folder that exists.
    on_step
        Called with a line of text before each step.

    Returns
    -------
    DemoResult

    Raises
    ------
    OutputExistsError
        If `out` exists and `overwrite` is false.
    MissingExtraError
        Without the extras ``train`` and ``report``.
    ValueError
        If `n_cells` is under 200.
    """
    out = check_output(out, overwrite=overwrite)
    if n_cells < 200:
        raise ValueError(f"n_cells must be at least 200, so that every label has cells to test, got {n_cells}")
    require_report_extra()
    from bulkgen.training import evaluate, finetune

    started = time.perf_counter()
    say = on_step or (lambda _: None)
    # one seed per purpose, so that no two of them share a stream
    seeds = dict(zip(("twin", "split", "aggregate", "synthesize"), np.random.SeedSequence(rng).spawn(4), strict=True))

    say(f"simulating {n_cells:,} cells (SIMULATED data: a twin of sci-Plex2)")
    twin = sciplex2_twin(n_cells, rng=seeds["twin"])
    split = split_benchmark(
        twin,
        label=LABEL,
        test_fraction=TEST_FRACTION,
        validation_fraction=VALIDATION_FRACTION,
        stratify_by=["replicate"],
        rng=seeds["split"],
    )
    say("making pseudo-bulk and truncated Gaussian cells from the training cells")
    training_sets = _training_sets(split.train, seeds, threads=threads)
    # the vocabulary is estimated from training cells alone, like everything else
    vocabulary = Vocabulary.fit(split.train, context=CONTEXT)

    def tokens_of(cells: AnnData) -> TokenDataset:
        return tokenize(cells, vocabulary=vocabulary, label=LABEL, threads=threads)

    with atomic_directory(out, overwrite=overwrite) as folder:
        write(twin, folder / "simulated_cells.h5ad")
        (folder / "runs").mkdir()
        test, validation = tokens_of(split.test), tokens_of(split.validation)
        tokens = {training_set.slug: tokens_of(training_set.cells) for training_set in training_sets}
        runs: list[RunResult] = []
        score_dicts: list[dict[str, object]] = []
        for model in MODELS:
            for training_set in training_sets:
                if model == "tiny" and training_set.slug not in TINY_SETS:
                    continue
                data = tokens[training_set.slug]
                say(f"training {model} on {training_set.name} ({len(data):,} samples)")
                before = time.perf_counter()
                place = folder / "runs" / f"{training_set.slug}-{model}"
                # scores depend on the number of training threads: one gives the same on any number of cores
                options: FinetuneOptions = {"threads": threads or 1}
                if model == "tiny":
                    options |= {"epochs": TINY_EPOCHS, "context": TINY_CONTEXT}
                finetune(data, validation=validation, model=model, out=place, rng=rng, **options)
                seconds = time.perf_counter() - before
                scores = evaluate(place, test).to_dict()
                runs.append(RunResult(training_set.name, model, seconds, ResultScores.from_dict(scores)))
                score_dicts.append(dict(scores))
        test_set = _TrainingSet("test cells", "test", "real", split.test, None, "")
        report = _report(
            [_describe(training_set, tokens[training_set.slug]) for training_set in training_sets],
            _describe(test_set, test),
            runs,
            command=_command(out, n_cells=n_cells, rng=rng, threads=threads),
            facts=_facts(twin, split.train, split.validation, vocabulary),
        )
        say("writing the report")
        write_report(report, folder)
        seconds = time.perf_counter() - started
        results = _results(report, score_dicts, rng=rng, n_cells=n_cells, seconds=seconds)
        (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return DemoResult(folder=out, report=report, results=results, seconds=seconds)


def _training_sets(
    train: AnnData, seeds: dict[str, np.random.SeedSequence], *, threads: int | None
) -> list[_TrainingSet]:
    counts = {str(label): int(n) for label, n in train.obs[LABEL].value_counts(sort=False).items()}
    sets = [_TrainingSet("real cells", "real", "real", train, None, "the training cells themselves (of the twin)")]
    for k in AGGREGATION:
        # a label with fewer cells than k still gives one sample
        scarce = [label for label, n in counts.items() if n < k]
        made = pseudobulk(
            train,
            by=LABEL,
            k=k,
            strategy="mean",
            cv=0.0 if k == 1 else 0.1,
            remainder="keep" if scarce else "merge",
            rng=seeds["aggregate"],
            threads=threads,
        )
        sizes = made.obs["n_obs_aggregated"]
        note = f"means of {sizes.min()} to {sizes.max()} cells"
        if k == 1:
            note = "groups of one cell: the real cells again, so a check that nothing is lost on the way"
        elif scarce:
            note += f"; {', '.join(scarce)} had fewer than {k} cells in all, which make one sample each"
        sets.append(_TrainingSet(f"pseudo-bulk k = {k}", f"pseudobulk_k{k}", "pseudobulk", made, float(k), note))
    gaussian = synthesize(
        train, by=LABEL, method="truncated_gaussian", n_cells=counts, rng=seeds["synthesize"], threads=threads
    )
    note = "as many as the real cells of each label, from the label's mean and the single cells' variance and maximum"
    return [
        *sets,
        _TrainingSet("truncated Gaussian", "truncated_gaussian", "synthetic", gaussian, None, note),
    ]


def _describe(cells: _TrainingSet, tokens: TokenDataset) -> CellSet:
    labels = cells.cells.obs[LABEL].value_counts().sort_index()
    return CellSet(
        name=cells.name,
        kind=cells.kind,
        label_counts={str(label): int(n) for label, n in labels.items()},
        token_lengths=np.asarray(tokens.lengths, dtype=np.int64),
        expressed_genes=np.asarray((cells.cells.X > 0).sum(axis=1), dtype=np.int64).ravel(),
        library_sizes=np.asarray(cells.cells.X.sum(axis=1), dtype=np.float64).ravel(),
        aggregation=cells.aggregation,
        note=cells.note,
    )


def _facts(twin: AnnData, train: AnnData, validation: AnnData, vocabulary: Vocabulary) -> dict[str, str]:
    return {
        "data": f"simulated twin of sci-Plex2: {twin.n_obs:,} cells × {twin.n_vars:,} genes, doses 0 and 10",
        "labels": "Untreated and four drugs (BMS, Dex, Nutlin, SAHA), with the published imbalance",
        "split": (
            f"{TEST_FRACTION:.0%} of every label, evenly over replicates, is the frozen test set; {train.n_obs:,} "
            f"cells train and {validation.n_obs:,} choose the tiny model's best epoch (real cells, for every set)"
        ),
        "vocabulary": f"fitted to the training cells: {len(vocabulary.tokens):,} genes, context {vocabulary.context:,}",
        "models": (
            "linear: logistic regression on ranks; tiny: a BERT of 2 layers from a random start, "
            f"{TINY_EPOCHS} epochs on the first {TINY_CONTEXT} tokens of each sample, to finish within minutes"
        ),
        "equal numbers": (
            "the synthetic set has as many cells as the real one; pseudo-bulk has k times fewer samples, "
            "so its curve mixes two causes: averaging, and fewer samples"
        ),
    }


def _report(
    sets: list[CellSet],
    test_set: CellSet,
    runs: list[RunResult],
    *,
    command: str,
    facts: dict[str, str],
) -> Report:
    return Report(
        title="bulkgen demo: training on single cells, pseudo-bulk and synthetic cells",
        summary=(
            "Can averaged or synthetic cells stand in for single cells as training data? Every model below was "
            "tested on the same held-out single cells, which nothing was trained or estimated on."
        ),
        simulated=True,
        data_note=SIMULATED_NOTE + " “Real cells” in this report means the twin's own cells.",
        facts=facts,
        training_sets=tuple(sets),
        test_set=test_set,
        runs=tuple(runs),
        context=CONTEXT,
        command=command,
        versions=_versions(),
        citations=_CITATIONS,
    )


def _results(
    report: Report, scores: list[dict[str, object]], *, rng: int, n_cells: int, seconds: float
) -> dict[str, object]:
    """Everything in the report as plain data."""
    sets = (report.test_set, *report.training_sets)
    return {
        "simulated": True,
        "note": SIMULATED_NOTE,
        "command": report.command,
        "rng": rng,
        "n_cells": n_cells,
        "seconds": round(seconds, 2),
        "versions": dict(report.versions),
        "facts": dict(report.facts),
        "sets": [
            {
                "name": cells.name,
                "kind": cells.kind,
                "aggregation": cells.aggregation,
                "samples": cells.n,
                "label_counts": dict(cells.label_counts),
                "median_tokens": cells.median_tokens,
                "median_library_size": float(np.median(cells.library_sizes)),
                "note": cells.note,
            }
            for cells in sets
        ],
        "runs": [
            {"training_set": run.training_set, "model": run.model, "seconds": round(run.seconds, 2), "scores": found}
            for run, found in zip(report.runs, scores, strict=True)
        ],
    }


def _command(out: Path, *, n_cells: int, rng: int, threads: int | None) -> str:
    words = ["bulkgen", "demo", "--n-cells", str(n_cells), "--rng", str(rng), "--out", str(out)]
    return shlex.join(words + ([] if threads is None else ["--threads", str(threads)]))


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in ("bulkgen", "numpy", "scipy", "scikit-learn", "torch", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
