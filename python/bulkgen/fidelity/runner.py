"""The benchmark: every method on every seed of a task, measured beside real cells and a Poisson floor."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from bulkgen.arguments import checked
from bulkgen.fidelity.drawing import COST_NOTE, draw_cells, draw_with_cost, poisson_floor
from bulkgen.fidelity.few_cells import FOLDS, WEIGHTS, Augmentation, Features, few_cells_curve
from bulkgen.fidelity.measure import MACRO, check_groups
from bulkgen.fidelity.methods import CEILING, FLOOR, MAJORITY, make_methods
from bulkgen.fidelity.tally import Tally, describe_input, not_measured
from bulkgen.fidelity.tasks import Task, make_task
from bulkgen.fidelity.utility import make_models
from bulkgen.fidelity.yardstick import Score, Yardstick
from bulkgen.io import check_output
from bulkgen.progress import progress_bar
from bulkgen.rng import key_from_rng
from bulkgen.tokens.encode import load_vocabulary
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData

    from bulkgen.fidelity.cells import Cells
    from bulkgen.fidelity.methods import Method
    from bulkgen.fidelity.metrics import MetricGroup
    from bulkgen.fidelity.results import BenchmarkResults
    from bulkgen.fidelity.tasks import Trial
    from bulkgen.fidelity.utility import Model
    from bulkgen.rng import RandomState
    from bulkgen.tokens import Vocabulary
    from bulkgen.tokens.dictionaries import VocabularyPath

__all__ = ["benchmark_generators"]


@checked
def benchmark_generators(
    real: AnnData,
    *,
    label: str | None = None,
    methods: Sequence[str | Mapping[str, object]] = ("truncated_gaussian",),
    task: str | Task | None = None,
    control: str | None = None,
    by: str | Sequence[str] | None = None,
    group: str | None = None,
    seeds: int = 3,
    models: Sequence[str | Mapping[str, object]] = ("linear",),
    metrics: Collection[MetricGroup] | None = None,
    n_cells: int | None = None,
    vocabulary: str | Path | Vocabulary | None = None,
    vocabulary_path: VocabularyPath | Sequence[VocabularyPath] | None = None,
    gene_ids: str | None = None,
    few_cells: Sequence[int | Literal["all"]] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    rng: RandomState = 0,
    threads: int | None = None,
    command: str | None = None,
    on_step: Callable[[str], None] | None = None,
) -> BenchmarkResults:
    """Rank generators: how like real cells theirs are, how useful, and at what cost.

    For each seed the real cells are split, bulk profiles are built from the training cells alone, every method
    generates equal numbers of cells from them, and all are measured against the held-out test cells. Beside them stand
    the ceiling (``real``: as many of the training cells themselves) and the floor (``poisson_floor``: independent
    Poisson counts with the means of the bulk). Test cells never take part in estimation, training or choices.

    Parameters
    ----------
    real
        Labelled real cells, raw counts. Not changed.
    label
        Column of ``obs`` to be predicted; for ``virtual_drugs`` the column of cell lines.
    methods
        Generators: a name, or a mapping with ``name`` and, as wanted, ``parameters``, ``as_`` (name in the results) and
        ``reference`` (``"task"`` or ``"training"``: the cells that it learns from). ``truncated_gaussian`` is added, as
        the baseline.
    task
        ``"label"``, ``"label_control"`` or ``"virtual_drugs"``, or a task with settings of its own (then without
        `label`, `control`, `by` and `group`). By default ``label_control`` where a control is named, else ``label``.
    control
        The label of the control cells.
    by
        Further columns that profiles are grouped by (cell type, patient); controls are those of the same values.
    group
        Column of donors or patients: each is either in training or in test.
    seeds
        Number of repetitions, each with its own split.
    models
        Models of the utility: ``"linear"``, ``"tiny"``, a checkpoint, or a mapping with ``model`` and, as wanted,
        ``subfolder``, ``options``, ``as_``.
    metrics
        Groups of metrics (:data:`bulkgen.fidelity.MEASURES`) beside utility and cost, which are always measured; all by
        default. The classifiers of ``discrimination`` take most of the time.
    n_cells
        Cells to generate per class; by default as many as there are training cells. The ceiling has as many, or all
        training cells of a class that has fewer, with a warning.
    vocabulary
        As in :func:`bulkgen.tokenize`. By default one is fitted to the training cells of each seed.
    vocabulary_path, gene_ids
        As in :func:`bulkgen.tokenize`.
    few_cells
        Numbers of real cells per class for the few-cells curve (:data:`bulkgen.fidelity.few_cells.SIZES` is a choice);
        by default it is left out, because it takes several times as long as all else.
    out
        Folder to make: tables and settings, see :meth:`BenchmarkResults.save`.
    overwrite
        Replace a folder that exists.
    rng
        Seed of everything.
    threads
        Default: the CPUs available, but one for the training of models, whose scores depend on that number.
    command
        The command line that asks for it, for the record.
    on_step
        Called with a line of text before each step.

    Returns
    -------
    BenchmarkResults
        A method that failed is listed in ``failures``, and does not stop the others.

    Raises
    ------
    LabelError
        If a column or the control is missing, or a class has too few cells to split.
    CountsError
        If the matrix is not raw counts.
    OutputExistsError
        If `out` exists and `overwrite` is false.
    ValueError
        For an unknown method, parameter, model, group of metrics, task or setting.
    """
    started = time.perf_counter()
    if out is not None:
        check_output(out, overwrite=overwrite)
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    if n_cells is not None and n_cells < 1:
        raise ValueError(f"n_cells must be at least 1, got {n_cells}")
    chosen = _task(task, label=label, control=control, by=by, group=group)
    groups = check_groups(metrics)
    named = None if vocabulary is None else load_vocabulary(vocabulary, vocabulary_path)
    curve = tuple(few_cells or ())
    run = _Run(chosen, make_methods(methods), make_models(models), n_cells, named, gene_ids, curve, groups, threads)
    # a key first: numbers and Generators alike give a sequence to spawn from
    key = key_from_rng(rng)
    steps = seeds * (len(run.methods) + 2 + len(curve))
    with progress_bar("benchmark", steps) as advance:
        for number, seed in enumerate(np.random.SeedSequence(key).spawn(seeds)):
            run.seed(real, number, seed, advance=lambda: advance(1), say=on_step or (lambda _: None))
    results = run.tally.results(
        {
            **run.settings(),
            "not_measured": not_measured(real, mixed=chosen.mixed),
            "input": describe_input(real),
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


def _task(
    task: str | Task | None,
    *,
    label: str | None,
    control: str | None,
    by: str | Sequence[str] | None,
    group: str | None,
) -> Task:
    if isinstance(task, Task):
        given = {"label": label, "control": control, "by": by, "group": group}
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise ValueError(f"{named[0]!r} is a setting of the task {task.name!r} that was passed; leave it out")
        return task
    if label is None:
        raise ValueError("name the column of the labels: label= (--label)")
    return make_task(task, label=label, control=control, by=by, group=group)


@dataclass(frozen=True, eq=False)
class _Run:
    """The work of a benchmark."""

    task: Task
    methods: tuple[Method, ...]
    models: tuple[Model, ...]
    n_cells: int | None
    vocabulary: Vocabulary | None
    gene_ids: str | None
    few_cells: tuple[int | Literal["all"], ...]
    metrics: tuple[MetricGroup, ...]
    threads: int | None
    tally: Tally = field(default_factory=Tally)

    def seed(
        self,
        real: AnnData,
        number: int,
        seed: np.random.SeedSequence,
        *,
        advance: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        """Run one seed."""
        # one seed per purpose, so that no two of them share a stream
        for_trial, for_drawing, for_floor, for_models, for_curve, for_ceiling = seed.spawn(6)
        tally, models = self.tally, self.models
        say(f"seed {number}: splitting the cells, building the bulk")
        trial = self.task.trial(real, rng=for_trial, threads=self.threads)
        yardstick = Yardstick.of(
            trial,
            groups=self.metrics,
            vocabulary=self.vocabulary,
            gene_ids=self.gene_ids,
            rng=for_models,
            threads=self.threads,
        )
        numbers = trial.numbers(self.n_cells)
        parameters = {method.shown: method.complete(trial) for method in self.methods}
        # without a ceiling nothing can be judged: what fails here stops the benchmark
        ceiling = yardstick.ceiling(trial.some(numbers, key=key_from_rng(for_ceiling)))
        tally.describe(
            number,
            yardstick,
            ceiling=ceiling,
            generated=numbers,
            reference=trial.reference.n_obs,
            parameters_used=parameters,
        )
        if number == 0 and len(ceiling) < sum(numbers.values()):
            warn(
                f"the ceiling has {len(ceiling):,} real training cells, all there are, but the generators make "
                f"{sum(numbers.values()):,} cells: compare them with care, or ask for fewer cells"
            )
        tally.add(number, MAJORITY, "majority", yardstick.majority())
        say(f"seed {number}: {CEILING}")
        tally.measure(number, CEILING, "ceiling", yardstick, ceiling, models)
        advance()
        made: dict[str, Cells] = {}
        for method in self.methods:
            say(f"seed {number}: {method.shown}")
            drawn = self._draw(number, method, trial, yardstick, numbers, rng=for_drawing)
            if drawn is not None:
                made[method.shown] = drawn
                tally.attempt(number, method.shown, "generator", yardstick, drawn, models)
            advance()
        say(f"seed {number}: {FLOOR}")
        floor = yardstick.cells(poisson_floor(trial, numbers, rng=for_floor))
        tally.measure(number, FLOOR, "floor", yardstick, floor, models)
        advance()
        if number == 0:
            tally.picture(yardstick, {CEILING: ceiling, **made, FLOOR: floor})
        if self.few_cells:
            say(f"seed {number}: few-cells curve")
            curve = self._curve(number, trial, yardstick, made, rng=for_curve, draw_rng=for_drawing, advance=advance)
            tally.curves.append(curve.assign(seed=number))

    def settings(self) -> dict[str, object]:
        """Return how it is done."""
        few_cells = None
        if self.few_cells:
            few_cells = {"sizes": self.few_cells, "weights": WEIGHTS, "folds": FOLDS, "model": "linear"}
        return {
            "task": self.task.settings(),
            "methods": [method.settings() for method in self.methods],
            "models": [model.settings() for model in self.models],
            "n_cells": self.n_cells,
            "vocabulary_fitted": self.vocabulary is None,
            "gene_ids": self.gene_ids,
            "few_cells": few_cells,
            "threads": self.threads,
            "cost": COST_NOTE,
        }

    def _draw(
        self,
        number: int,
        method: Method,
        trial: Trial,
        yardstick: Yardstick,
        numbers: Mapping[str, int],
        *,
        rng: np.random.SeedSequence,
    ) -> Cells | None:
        """Draw a method's cells; ``None`` where it fails, which is recorded."""
        try:
            drawn, cost = draw_with_cost(method, trial, numbers, rng=rng, threads=self.threads, memory=number == 0)
            cells = yardstick.cells(drawn)
        except Exception as error:  # a method of a third party may raise anything
            self.tally.fail(number, method.shown, "generate", error)
            return None
        self.tally.add(number, method.shown, "generator", (Score(name, MACRO, value) for name, value in cost.items()))
        return cells

    def _curve(
        self,
        number: int,
        trial: Trial,
        yardstick: Yardstick,
        made: Mapping[str, Cells],
        *,
        rng: np.random.SeedSequence,
        draw_rng: np.random.SeedSequence,
        advance: Callable[[], None],
    ) -> pd.DataFrame:
        """Draw the few-cells curve of a seed; a method that fails without a fold's cells is recorded and left out."""
        labels = yardstick.space.labels
        fold = trial.folds(FOLDS, key=key_from_rng(rng))
        parts = [trial.without(np.flatnonzero(fold == held)) for held in range(fold.max() + 1)]
        synthetic: dict[str, Augmentation] = {}
        for method in self.methods:
            if method.shown not in made:
                continue
            try:
                drawn = [
                    draw_cells(method, part, part.numbers(self.n_cells), rng=draw_rng, threads=self.threads)
                    for part in parts
                ]
                features = tuple(Features.of(yardstick.cells(cells), labels) for cells in drawn)
            except Exception as error:  # a method of a third party may raise anything
                self.tally.fail(number, method.shown, "few cells", error)
                continue
            synthetic[method.shown] = Augmentation(Features.of(made[method.shown], labels), features)
        return few_cells_curve(
            Features.of(yardstick.training, labels),
            Features.of(yardstick.test, labels),
            synthetic,
            fold,
            sizes=self.few_cells,
            rng=rng,
            advance=advance,
        )
