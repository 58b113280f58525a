"""Fresh cells in studies: other cells in every epoch, and in all else a run like the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("torch")
pytest.importorskip("transformers")

from bulkgen.study import StudyConfig, run_study
from bulkgen.study.data import StudyData
from bulkgen.study.execution import execute
from bulkgen.study.run import ModelSettings, PseudobulkCells, RealCells, SyntheticCells
from bulkgen.study.training_sets import make_training_set
from small_study import SMALL, results_of_runs, study_command, tables, write_small_study
from study_twin import run_of, small_twin, study_of

OPTIONS = {"epochs": 2, "batch_size": 16, "context": 64, "layers": 1, "hidden_size": 16, "feed_forward_size": 16}
STORED = ModelSettings(name="tiny", options=OPTIONS)
FRESH = STORED.model_copy(update={"fresh_cells": True})
TEN = SyntheticCells(method="donor_shift", per_class=10)
#: Generators whose cells depend on the control, on all single cells, on groups of them, and on a third party.
GENERATORS = [
    TEN,
    SyntheticCells(method="truncated_gaussian", reference="all"),
    SyntheticCells(method="pseudobulk", parameters={"k": 3}, reference="all", per_class=20),
    SyntheticCells(method="theirs", per_class=10),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return StudyData.open(study_of(small_twin(), tmp_path_factory.mktemp("data")))


@pytest.fixture(autouse=True)
def _third_party(monkeypatch):
    """A generator of another package."""
    from bulkgen.generators import registry
    from bulkgen.generators.multinomial import Multinomial

    class Entry:
        value = "someone:Theirs"

        def load(self):
            return type("Theirs", (Multinomial,), {"__module__": __name__})

    monkeypatch.setattr(registry, "_third_party", lambda: {"theirs": Entry()})


def texts(tokens) -> Counter[tuple[bytes, str]]:
    """Tokens and label of each cell, without order."""
    labels = tokens.label_values
    return Counter((np.asarray(tokens.input_ids(i)).tobytes(), labels[i]) for i in range(len(tokens)))


def untreated(cells: Counter[tuple[bytes, str]]) -> set[bytes]:
    """Cells of the label with most of them: groups of three of a few cells soon come again."""
    return {ids for ids, label in cells if label == "Untreated"}


def of_epochs(fresh, epochs: range) -> Counter[tuple[bytes, str]]:
    return sum((texts(fresh.materialize(epoch)) for epoch in epochs), Counter())


def text(result: dict) -> str:
    return json.dumps(result, allow_nan=False, sort_keys=True)


@pytest.fixture
def trained_on(monkeypatch):
    """The cells of all training batches."""
    from bulkgen.training import batches, synthetic_tokens, transformer

    seen: Counter[tuple[bytes, int]] = Counter()

    def watched(cells, **options):
        # cells to predict have no class
        seen.update((cell["input_ids"].tobytes(), cell["label"]) for cell in cells if cell["label"] >= 0)
        return batches.collate(cells, **options)

    monkeypatch.setattr(synthetic_tokens, "collate", watched)
    monkeypatch.setattr(transformer, "collate", watched)
    return seen


@pytest.mark.parametrize("cells", GENERATORS, ids=lambda cells: cells.method)
def test_the_first_epoch_has_the_cells_of_a_run_without_fresh_cells_and_no_other_has_any_of_them(data, cells):
    stored, fresh = (make_training_set(run_of(data, cells, model=model), data) for model in (STORED, FRESH))
    assert texts(fresh.tokens) == texts(stored.tokens) == of_epochs(fresh.fresh, range(1))
    assert (fresh.sample.X != stored.sample.X).nnz == 0
    assert untreated(texts(stored.tokens)).isdisjoint(untreated(of_epochs(fresh.fresh, range(1, 4))))
    assert stored.fresh is None


def test_epochs_of_fresh_cells_are_one_epoch_of_as_many_stored_cells(tmp_path, trained_on):
    """Each cell once: with n of each class in an epoch, three epochs are the first 3n."""
    # one stratum for each class, so that thrice the cells of a class are thrice those of its strata
    table = {"source": "file", "path": str(tmp_path / "cells.h5ad"), "label": "treated_label", "control": "Untreated"}
    data = StudyData.open(study_of(small_twin(), tmp_path, data=table))
    model = FRESH.model_copy(update={"options": {**OPTIONS, "epochs": 3}})
    result = execute(run_of(data, TEN, model=model), data)
    three_epochs = trained_on.copy()
    assert result["training_set"]["cells"] * 3 == three_epochs.total() == len(three_epochs)
    trained_on.clear()
    model = STORED.model_copy(update={"options": {**OPTIONS, "epochs": 1}})
    execute(run_of(data, TEN.model_copy(update={"per_class": 30}), model=model), data)
    assert three_epochs == trained_on


def test_real_cells_and_pseudobulk_are_beside_fresh_cells_in_every_epoch(data):
    stored = [RealCells(per_class=5), PseudobulkCells(k=5)]
    beside = texts(make_training_set(run_of(data, *stored, model=STORED), data).tokens)
    ratio = TEN.model_copy(update={"per_class": None, "ratio": 2.0})
    training = make_training_set(run_of(data, stored[0], ratio, stored[1], model=FRESH), data)
    epochs = [of_epochs(training.fresh, range(e, e + 1)) for e in range(3)]
    assert all(beside <= epoch and epoch.total() == beside.total() + 2 * 5 * 5 for epoch in epochs)
    assert not (epochs[0] - beside) & (epochs[1] - beside)


@pytest.mark.parametrize("cells", GENERATORS, ids=lambda cells: cells.method)
def test_no_epoch_comes_to_the_cells_that_are_held_out(data, cells):
    stored, training = (
        make_training_set(run_of(data, cells, model=model, validation="same"), data) for model in (STORED, FRESH)
    )
    assert len(training.tokens) == len(stored.tokens) == training.fresh.cells
    assert Counter(training.held_out.tokens.label_values) == Counter(stored.held_out.tokens.label_values)
    # so many epochs that the cells held out of a run without fresh cells have come
    epochs = of_epochs(training.fresh, range(3))
    assert len(training.held_out.tokens) >= 5
    assert untreated(epochs).isdisjoint(untreated(texts(training.held_out.tokens)))
    if cells.method != "pseudobulk":
        assert epochs & texts(stored.held_out.tokens)


def test_a_class_of_one_cell_holds_none_out(data):
    run = run_of(data, TEN.model_copy(update={"per_class": 1}), model=FRESH, validation="same")
    assert make_training_set(run, data).held_out is None
    assert execute(run, data)["validation"] is None


@pytest.mark.parametrize("validation", ["none", "mixed"])
def test_a_run_of_fresh_cells_gives_the_same_bits_whatever_was_executed_before(data, validation):
    run = run_of(data, RealCells(per_class=5), TEN, model=FRESH, validation=validation)
    other = run_of(data, RealCells(per_class=5), TEN, model=STORED, validation=validation)
    first = execute(run, data)
    stored = execute(other, data)
    assert text(execute(run, replace(data))) == text(first)
    # the model saw other cells from the second epoch on, but is described by those of the first epoch
    assert first["history"] != stored["history"]
    if validation == "none":
        assert first["training_set"] == stored["training_set"]
        assert first["fidelity"] == stored["fidelity"]
    assert first["validation_cells"] == stored["validation_cells"]


SMALL_FRESH = (
    SMALL.partition("[models.linear]")[0].replace("[0, 1]", "[0]")
    + """
[models.tiny]
fresh_cells = true
epochs = 2
context = 32
layers = 1
hidden_size = 16
feed_forward_size = 16
device = "cpu"

[generators.multinomial]

[generators.donor_shift]
reference = "control"

[parts.ladder]
balance = ["natural"]
generators = ["multinomial", "donor_shift"]
"""
)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_study_of_fresh_cells_that_is_killed_and_run_again_has_the_table_of_one_that_was_not(tmp_path):
    study, out = write_small_study(tmp_path, SMALL_FRESH), tmp_path / "killed"
    whole = run_study(study, tmp_path / "whole", report=False)
    assert len(whole.runs) == 4
    assert not whole.failed
    command = study_command("run", study, "--out", out, "--no-report")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    # the real cells, and a generator's
    while len(list(out.glob("runs/*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert len(list(out.glob("runs/*.json"))) < 4
    run_study(study, out, report=False)
    assert tables(out) == tables(whole.folder)
    assert results_of_runs(out) == results_of_runs(whole.folder)


def keys_of(study: StudyConfig, data: StudyData) -> dict[str, str]:
    """Key of each run of one seed, by where it stands."""
    return {
        f"{point.part}, {point.series}, {point.name}, {point.problem}, {point.x}": point.run.key
        for point in study.points(data.facts)
        if point.run.seed == 0
    }


def test_only_runs_with_a_generator_and_nothing_taken_away_are_others(data):
    parts = {"bulkiness": {"k": [5]}, "ladder": {}, "mixing": {}, "ablations": {"donors": [30]}}
    tables = {"label": "treated_label", "control": "Untreated", "dose": "dose"}

    def study(**settings: object) -> StudyConfig:
        table = {"source": "file", "path": "cells.h5ad", **tables}
        generators = {"donor_shift": {"reference": "control"}}
        models = {"tiny": {**OPTIONS, **settings}}
        return StudyConfig.from_dict(
            {"name": "keys", "data": table, "models": models, "generators": generators, "parts": parts}
        )

    absent, off, on = (keys_of(study(**more), data) for more in ({}, {"fresh_cells": False}, {"fresh_cells": True}))
    assert absent == off
    changed = {where for where in on if on[where] != off[where]}
    generated = {where for where in on if "donor_shift" in where or "Poisson floor" in where}
    taken = {where for where in on if any(what in where for what in ("shuffled", "permuted", "equal library"))}
    assert changed == generated - taken
    assert taken & generated


def test_models_with_and_without_fresh_cells_have_training_sets_of_their_own(data):
    stored, fresh = (run_of(data, TEN, model=model) for model in (STORED, FRESH))
    assert fresh.training_key != stored.training_key
    assert "fresh_cells" not in stored.model_dump_json()
    assert type(fresh).model_validate_json(fresh.model_dump_json()) == fresh


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: ModelSettings(name="linear", fresh_cells=True), "the linear model has no epochs"),
        (lambda data: run_of(data, RealCells(), model=FRESH), "the training set has 0"),
        (lambda data: run_of(data, TEN, TEN, model=FRESH), "the training set has 2"),
        (lambda data: run_of(data, TEN, model=FRESH, ablation="permuted_genes"), "cannot be of fresh cells"),
    ],
)
def test_what_makes_no_sense_is_refused(data, make, message):
    with pytest.raises(ValidationError, match=message):
        make(data)
