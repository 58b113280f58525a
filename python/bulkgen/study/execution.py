"""One run: make the training set, train, test on the frozen cells, and describe what was trained on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bulkgen.errors import LabelError
from bulkgen.fidelity import MACRO, Cells, Space, measure
from bulkgen.io import canonical_counts, library_sizes
from bulkgen.rng import Purpose, key_from_rng
from bulkgen.splits import shuffled
from bulkgen.study.run import PseudobulkCells, SyntheticCells, digest
from bulkgen.study.selection import Selection, run_rng
from bulkgen.study.training_sets import HeldOut, make_training_set
from bulkgen.training import finetune
from bulkgen.training.evaluation import evaluate_and_predict

if TYPE_CHECKING:
    from anndata import AnnData

    from bulkgen.study.data import LabelledCells, StudyData
    from bulkgen.study.run import Run
    from bulkgen.study.training_sets import TrainingSet
    from bulkgen.tokens import TokenDataset

__all__ = ["execute"]

_QUANTILES = np.linspace(0.0, 1.0, 101)
#: What a result says of fidelity: its name there, and the metric's.
_FIDELITY = {
    "token_ks": "token_count_ks",
    "token_wasserstein": "token_count_wasserstein",
    "token_top_overlap": "token_top_overlap",
    "token_rank_displacement": "token_rank_displacement",
    "fold_change_slope": "fold_change_slope",
    "fold_change_correlation": "fold_change_correlation",
    "fold_change_direction": "fold_change_direction",
}
#: Spaces that a process keeps: one per problem.
_KEPT_SPACES = 2


def execute(run: Run, data: StudyData) -> dict[str, Any]:
    """Execute a run.

    The same run on the same data gives the same dictionary, whatever was executed before and in whichever process.

    Parameters
    ----------
    run
        The run.
    data
        The study's data, whose facts are the run's context.

    Returns
    -------
    dict
        Plain data for JSON. ``test``: scores on the frozen test cells; ``test_true`` and ``test_predictions``: the
        class of each of them, as a place in the labels of ``test``, in the same order in all runs of a problem.
        ``validation``: scores of the same weights on the cells that chose the epoch, ``None`` without such cells;
        ``validation_cells``: their number; ``validation_samples``: the ``cells`` behind each of them (``fewest``,
        ``mean``, ``most``), and how many are ``small``, of fewer than k/2. ``validation_real``: scores on the real
        validation cells, whatever chose the epoch. ``history``: per epoch. ``training_set``: its cells, and quantiles
        (0 to 100 %) of tokens, counts and genes per cell. ``fidelity``: the training set against the real *test* cells,
        a mean over classes (``None`` where it has no value); for the report, it decides nothing.

    Raises
    ------
    ValueError
        If the run belongs to other data.
    LabelError
        If a class has no cells to train on.
    """
    if run.context != data.facts.context:
        raise ValueError("the run belongs to other data, another split or another vocabulary than these")
    # one thread of BLAS: the bits of estimates then do not depend on the number of cores
    with threadpool_limits(limits=1):
        training = make_training_set(run, data)
    test = _real_tokens(run, data, "test")
    assert test is not None
    real = _real_tokens(run, data, "validation")
    validation = _validation(run, data, training)
    options = dict(run.model.options)
    if validation is None and options.get("patience") is not None:
        # with no cells to wait for, all epochs are trained
        options["patience"] = None
    trained = finetune(
        training.tokens if training.fresh is None else training.fresh,
        validation=None if validation is None else validation.tokens,
        model=run.model.source,
        subfolder=run.model.subfolder,
        rng=run_rng(run, "MODEL"),
        threads=data.facts.threads,
        **options,
    )
    scores, predictions = evaluate_and_predict(trained.run, test)
    place = {label: number for number, label in enumerate(scores.labels)}
    return {
        "test": scores.to_dict(),
        "test_true": [place[label] for label in test.label_values.tolist()],
        "test_predictions": predictions.classes.tolist(),
        "validation": None if trained.validation is None else trained.validation.to_dict(),
        "validation_cells": None if validation is None else len(validation.tokens),
        "validation_samples": None if validation is None else _samples(validation),
        "validation_real": None if real is None else trained.evaluate(real).to_dict(),
        "history": [dict(epoch) for epoch in trained.history],
        "training_set": _described(training, data),
        "fidelity": _fidelity(run, data, training),
    }


def _held_doses(run: Run) -> set[float]:
    """Return the doses whose single cells the run must not see."""
    held = (
        cells.held_dose if isinstance(cells, SyntheticCells) else cells.without_dose
        for cells in run.training
        if not isinstance(cells, PseudobulkCells)
    )
    return {dose for dose in held if dose is not None}


def _real_rows(run: Run, data: StudyData, name: str) -> tuple[LabelledCells, np.ndarray] | None:
    """Return the real cells of a part and the rows that the run's problem is about."""
    part = data.real(name, equal=run.ablation == "equal_library_sizes")
    if part is None:
        return None
    if name == "test":
        return part, part.rows(Selection(run, data).labels, dose=run.test_dose, control=data.facts.control)
    return part, part.rows(Selection(run, data).labels, without_doses=_held_doses(run))


def _real_tokens(run: Run, data: StudyData, name: str) -> TokenDataset | None:
    found = _real_rows(run, data, name)
    if found is None or not found[1].size:
        if name == "test":
            raise LabelError(f"no test cell has the dose {run.test_dose} or is a control")
        return None
    return found[0].tokens_of(found[1])


def _validation(run: Run, data: StudyData, training: TrainingSet) -> HeldOut | None:
    """Return what chooses the epoch, or ``None``: also where the training set is too small to hold anything out."""
    if run.validation == "real":
        real = _real_tokens(run, data, "validation")
        return None if real is None else HeldOut.of_cells(real)
    if training.held_out is None or not len(training.held_out.tokens):
        return None
    return training.held_out if run.validation == "same" else _mixed(run, data, training.held_out)


def _mixed(run: Run, data: StudyData, held_out: HeldOut) -> HeldOut:
    """Put as many real validation cells of each class beside those held out of the training set."""
    found = _real_rows(run, data, "validation")
    if found is None:
        return held_out
    part, rows = found
    key = key_from_rng(run_rng(run, "VALIDATION"))
    wanted = Counter(held_out.tokens.label_values.tolist())
    chosen = [
        shuffled(rows[part.labels[rows] == label], key=key, purpose=Purpose.SPLIT, stratum=number)[: wanted[label]]
        for number, label in enumerate(data.facts.labels)
    ]
    return HeldOut.joined([held_out, HeldOut.of_cells(part.tokens_of(np.sort(np.concatenate(chosen))))])


def _samples(validation: HeldOut) -> dict[str, Any]:
    cells = validation.cells
    behind = {"fewest": int(cells.min()), "mean": float(cells.mean()), "most": int(cells.max())}
    return {"cells": behind, "small": validation.small}


def _described(training: TrainingSet, data: StudyData) -> dict[str, Any]:
    counts = canonical_counts(training.sample.X, require_integers=False)
    labels = Counter(training.tokens.label_values.tolist())
    return {
        "cells": len(training.tokens),
        "label_counts": {label: labels[label] for label in sorted(labels)},
        "token_lengths": _quantiles(training.tokens.lengths),
        "library_sizes": _quantiles(library_sizes(counts)),
        "expressed_genes": _quantiles(np.diff(counts.indptr)),
    }


def _quantiles(values: np.ndarray) -> dict[str, list[float]]:
    return {"quantiles": [float(value) for value in np.quantile(values, _QUANTILES)]}


def _fidelity(run: Run, data: StudyData, training: TrainingSet) -> dict[str, float | None]:
    """Compare the sample of a training set with the real test cells."""
    equal = run.ablation == "equal_library_sizes"
    labels = Selection(run, data).labels
    key = digest([labels, run.test_dose, equal])
    space = data.shared("space", key, lambda: _space(run, data, labels, equal=equal), most=_KEPT_SPACES)
    made = _cells(training.sample, data)
    table = measure(space, made, groups=("tokens", "effect"))
    means = table[table["label"] == MACRO].set_index("metric")["value"]
    values = {name: float(means[metric]) for name, metric in _FIDELITY.items()}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def _space(run: Run, data: StudyData, labels: tuple[str, ...], *, equal: bool) -> Space:
    """Learn what real cells are compared by from the training cells of a problem."""
    control = data.facts.control if data.facts.control in labels else None
    sides = []
    for name in ("train", "test"):
        part = data.real(name, equal=equal)
        assert part is not None
        sides.append(_cells(part.cells[part.rows(labels, dose=run.test_dose, control=data.facts.control)], data))
    return Space.fit(sides[0], sides[1], control=control, key=0)


def _cells(cells: AnnData, data: StudyData) -> Cells:
    return Cells.from_anndata(cells, label=data.label, tokens=data.tokens_of(cells, keep_empty=True))
