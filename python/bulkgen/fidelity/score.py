"""Score a ready-made file of synthetic cells: all metrics, without generating anything."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bulkgen.arguments import checked
from bulkgen.errors import GeneOverlapError
from bulkgen.fidelity.drawing import DONOR, name_donors, poisson_floor
from bulkgen.fidelity.measure import check_groups
from bulkgen.fidelity.methods import CEILING, FLOOR, MAJORITY
from bulkgen.fidelity.tally import Tally, describe_input, not_measured
from bulkgen.fidelity.tasks import LabelTask, Trial, at_most
from bulkgen.fidelity.utility import make_models
from bulkgen.fidelity.yardstick import Yardstick
from bulkgen.io import check_output, content_hash, make_anndata, provenance_of
from bulkgen.profiles import bulk_profiles
from bulkgen.progress import progress_bar
from bulkgen.rng import key_from_rng
from bulkgen.splits import strata_of
from bulkgen.tokens.encode import load_vocabulary
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData

    from bulkgen.fidelity.metrics import MetricGroup
    from bulkgen.fidelity.results import BenchmarkResults
    from bulkgen.rng import RandomState
    from bulkgen.tokens import Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["score_cells"]


@checked
def score_cells(
    synthetic: AnnData,
    real: AnnData,
    *,
    label: str,
    train: AnnData | None = None,
    control: str | None = None,
    group: str | None = None,
    name: str = "synthetic",
    seeds: int = 3,
    models: Sequence[str | Mapping[str, object]] = ("linear",),
    metrics: Collection[MetricGroup] | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = None,
    gene_ids: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    rng: RandomState = 0,
    threads: int | None = None,
    command: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> BenchmarkResults:
    """Measure synthetic cells of any origin against real ones.

    Parameters
    ----------
    synthetic
        Cells with the labels of the real ones; counts. ``obs["donor"]``, where there is one, is the training cell that
        each was made from: its name, or, in cells that bulkgen made, its row in `train`. Of each class as many are
        used as of real training cells, whichever are fewer, because several metrics depend on the number.
    real
        Real cells that nothing was estimated on, raw counts. Without `train` they are split in halves, anew for each
        seed: the synthetic cells are measured against the second half, and so is the first half, which is the ceiling.
    label
        Column of ``obs`` with the class, in all.
    train
        The real cells that the synthetic ones were made from. They are the ceiling, and what copies are looked for
        among; all of `real` is tested on.
    control
        The label of the control cells, for the metrics of effects.
    group
        Column of donors or patients in the real cells.
    name
        What the synthetic cells are called in the results.
    seeds
        Number of repetitions.
    models, metrics, vocabulary, vocabulary_path, gene_ids, out, overwrite, rng, threads, command, on_step
        As in :func:`bulkgen.benchmark_generators`.

    Returns
    -------
    BenchmarkResults

    Raises
    ------
    LabelError
        If a column or label is missing.
    GeneOverlapError
        If fewer than half of the real cells' genes are among those of the synthetic cells.
    CountsError
        If a matrix is not counts.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    ValueError
        For an unknown model or option.
    """
    started = time.perf_counter()
    if out is not None:
        check_output(out, overwrite=overwrite)
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    if name in (CEILING, FLOOR, MAJORITY):
        raise ValueError(f"the synthetic cells cannot be called {name!r}, which names a row of the results")
    chosen, groups = make_models(models), check_groups(metrics)
    named = None if vocabulary is None else load_vocabulary(vocabulary, vocabulary_path)
    given = describe_input(synthetic)
    sources = {"real": describe_input(real), "train": None if train is None else describe_input(train)}
    if (provenance_of(synthetic) or {}).get("input_hash") == content_hash(real):
        warn(
            "the synthetic cells were learned from the very cells that they are measured against, which flatters them; "
            "generate them from a part of the real cells (bulkgen split) and score them on the rest"
        )
    synthetic = _with_donors(synthetic, train)
    real, synthetic, train = _common_genes(real, synthetic, train)
    say = on_step or (lambda _: None)
    tally, key = Tally(), key_from_rng(rng)
    with progress_bar("score", 3 * seeds) as advance:
        for number, seed in enumerate(np.random.SeedSequence(key).spawn(seeds)):
            for_split, for_choice, for_floor, for_models, for_ceiling = seed.spawn(5)
            trial = _trial(real, train, label=label, control=control, group=group, rng=for_split, threads=threads)
            yardstick = Yardstick.of(
                trial,
                groups=groups,
                vocabulary=named,
                gene_ids=gene_ids,
                rng=for_models,
                threads=threads,
            )
            made = strata_of(synthetic.obs, label)
            have = dict(zip(made.names(), map(len, made.rows()), strict=True))
            # a class that is missing is refused with the cells
            numbers = {name: min(n, have.get(name, n)) for name, n in trial.numbers().items()}
            cells = yardstick.cells(synthetic[at_most(made, numbers, key=key_from_rng(for_choice))].copy())
            ceiling = yardstick.ceiling(trial.some(numbers, key=key_from_rng(for_ceiling)))
            tally.describe(number, yardstick, ceiling=ceiling, generated=numbers)
            tally.add(number, MAJORITY, "majority", yardstick.majority())
            floor = yardstick.cells(poisson_floor(trial, numbers, rng=for_floor))
            sets = {CEILING: ceiling, name: cells, FLOOR: floor}
            for shown, role in ((CEILING, "ceiling"), (name, "generator"), (FLOOR, "floor")):
                say(f"seed {number}: {shown}")
                tally.measure(number, shown, role, yardstick, sets[shown], chosen)  # type: ignore[arg-type]
                advance(1)
            if number == 0:
                tally.picture(yardstick, sets)
    results = tally.results(
        {
            "task": {"name": "score", "label": label, "control": control, "group": group, "halves": train is None},
            "methods": [{"shown": name, "input": given}],
            "models": [model.settings() for model in chosen],
            "vocabulary_fitted": named is None,
            "gene_ids": gene_ids,
            "threads": threads,
            "not_measured": not_measured(real),
            "input": sources,
            "command": command,
            "rng": rng if isinstance(rng, int) else None,
            "key": f"{key:016x}",
            "seeds": seeds,
            "seconds": round(time.perf_counter() - started, 1),
        }
    )
    if out is not None:
        results.save(out, overwrite=overwrite)
    return results


def _trial(
    real: AnnData,
    train: AnnData | None,
    *,
    label: str,
    control: str | None,
    group: str | None,
    rng: np.random.SeedSequence,
    threads: int | None,
) -> Trial:
    if train is None:
        halves = LabelTask(label, group=group, test_fraction=0.5).trial(real, rng=rng, threads=threads)
        return replace(halves, control=control)
    make_bulk = partial(bulk_profiles, by=label, threads=threads)
    return Trial(train, real, make_bulk(train), train, label, (label,), make_bulk, control=control, group=group)


def _with_donors(synthetic: AnnData, train: AnnData | None) -> AnnData:
    """Name the donors of cells; without the reference that their numbers refer to, these say nothing."""
    if DONOR not in synthetic.obs or not pd.api.types.is_integer_dtype(synthetic.obs[DONOR]):
        return synthetic
    record = provenance_of(synthetic) or {}
    if train is not None and record.get("input_hash") == content_hash(train):
        return name_donors(synthetic, train)
    if train is not None:
        warn("the synthetic cells have donors by number, but not among the cells of train: donors are not used")
    return make_anndata(synthetic.X, obs=synthetic.obs.drop(columns=DONOR), var=synthetic.var, uns=synthetic.uns)


def _common_genes(real: AnnData, synthetic: AnnData, train: AnnData | None) -> tuple[AnnData, AnnData, AnnData | None]:
    """Cut all to the genes that all have, in the order of the real cells."""
    others = [cells for cells in (synthetic, train) if cells is not None]
    for cells in (real, *others):
        if not cells.var_names.is_unique:
            twice = cells.var_names[cells.var_names.duplicated()][0]
            raise ValueError(f"gene ids must be unique, but {twice!r} occurs more than once; sum such columns first")
    if all(real.var_names.equals(cells.var_names) for cells in others):
        return real, synthetic, train
    shared: pd.Index = real.var_names
    for cells in others:
        shared = shared[shared.isin(cells.var_names)]
    message = f"{len(shared)} of the {real.n_vars} genes of the real cells are genes of all"
    if 2 * len(shared) < real.n_vars:
        raise GeneOverlapError(f"{message}; at least half are needed: do all use the same kind of gene id?")
    if len(shared) < real.n_vars:
        warn(f"{message}; the others are left out")
    real, synthetic = real[:, shared].copy(), synthetic[:, shared].copy()
    return real, synthetic, None if train is None else train[:, shared].copy()
