"""Runs executed: the same result always, and chance where there is nothing to learn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bulkgen.study.data import StudyData
from bulkgen.study.execution import execute
from bulkgen.study.run import ModelSettings, PseudobulkCells, RealCells, SyntheticCells
from study_twin import run_of, small_twin, study_of

DONORS = SyntheticCells(method="donor_shift")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of(small_twin(), tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def data(study):
    return StudyData.open(study)


@pytest.fixture(scope="module")
def larger_test(tmp_path_factory):
    """A third of the cells to test on, for scores that are not all noise."""
    folder = tmp_path_factory.mktemp("larger")
    return StudyData.open(study_of(small_twin(), folder, split={"test_fraction": 0.34}))


def text(result: dict) -> str:
    return json.dumps(result, allow_nan=False, sort_keys=True)


def test_a_result_does_not_depend_on_what_was_executed_before(study, data):
    runs = [
        run_of(data, RealCells()),
        run_of(data, RealCells(per_class=10), DONORS.model_copy(update={"ratio": 2.0})),
        run_of(data, PseudobulkCells(k=5, thin=True, strategy="sum"), validation="mixed"),
        run_of(data, DONORS, ablation="equal_library_sizes"),
        run_of(data, DONORS, labels=("Dex", "Untreated"), seed=1),
    ]
    forth = [text(execute(run, data)) for run in runs]
    fresh = StudyData.open(study)
    back = [text(execute(run, fresh)) for run in reversed(runs)]
    assert forth == back[::-1]


def test_seeds_change_the_training_set_and_never_the_test_set(data):
    results = [execute(run_of(data, RealCells(per_class=20), seed=seed), data) for seed in (0, 1)]
    assert results[0]["test"]["confusion"] != results[1]["test"]["confusion"]
    supports = [{label: each["support"] for label, each in result["test"]["per_class"].items()} for result in results]
    assert supports[0] == supports[1] == data.facts.parts["test"]


def test_a_problem_is_tested_on_its_labels_and_dose_alone(data):
    two = execute(run_of(data, RealCells(), labels=("Nutlin", "Untreated")), data)
    test = data.facts.parts["test"]
    assert two["test"]["n"] == test["Nutlin"] + test["Untreated"]
    dose = execute(run_of(data, RealCells(without_dose=10), test_dose=10), data)
    obs = data.test.obs
    assert dose["test"]["n"] == ((obs["dose"] == 10) | (obs["treated_label"] == "Untreated")).sum()
    # cells of the unseen dose are no validation cells either
    assert dose["validation_real"]["n"] == (data.validation.obs["dose"] != 10).sum()


def test_labels_of_one_dose_are_not_asked_for_another(tmp_path):
    """BMS is there at the unseen dose alone, and SAHA at the other one: neither can be compared."""
    cells = small_twin()
    label, dose = cells.obs["treated_label"].astype(str), cells.obs["dose"]
    gone = ((label == "BMS") & (dose == 1)) | ((label == "SAHA") & (dose == 10))
    data = StudyData.open(study_of(cells[~gone.to_numpy()].copy(), tmp_path))
    made = DONORS.model_copy(update={"held_dose": 10.0})
    for training in ([RealCells()], [RealCells(without_dose=10)], [made], [RealCells(without_dose=10), made]):
        found = execute(run_of(data, *training, test_dose=10), data)
        assert found["test"]["labels"] == ["Dex", "Nutlin", "Untreated"]
        assert set(found["training_set"]["label_counts"]) == {"Dex", "Nutlin", "Untreated"}


def test_predictions_are_those_that_were_scored(data):
    found = execute(run_of(data, RealCells()), data)
    confusion = np.zeros((5, 5), dtype=int)
    np.add.at(confusion, (found["test_true"], found["test_predictions"]), 1)
    assert confusion.tolist() == found["test"]["confusion"]
    other = execute(run_of(data, DONORS, seed=1), data)
    assert other["test_true"] == found["test_true"]
    names = [found["test"]["labels"][place] for place in found["test_true"]]
    assert names == data.test.obs["treated_label"].astype(str).tolist()


def test_validation_is_of_the_training_set_of_real_cells_or_half_and_half(data):
    cells = PseudobulkCells(k=2)
    found = {kind: execute(run_of(data, cells, validation=kind), data) for kind in ("same", "mixed", "real")}
    real = data.validation.n_obs
    assert found["real"]["validation"]["n"] == real
    assert found["mixed"]["validation"]["n"] == 2 * found["same"]["validation"]["n"] < real
    assert {result["validation_real"]["n"] for result in found.values()} == {real}
    assert {kind: result["validation_cells"] for kind, result in found.items()} == {
        kind: result["validation"]["n"] for kind, result in found.items()
    }
    assert found["real"]["validation_samples"] == {"cells": {"fewest": 1, "mean": 1.0, "most": 1}, "small": 0}
    assert found["same"]["validation_samples"]["cells"]["most"] >= 2
    # the linear model chooses nothing by validation cells
    assert found["same"]["test"] == found["mixed"]["test"]


def test_classes_of_one_sample_each_are_trained_on_without_validation(data):
    found = execute(run_of(data, RealCells(per_class=1), validation="same"), data)
    assert found["training_set"]["cells"] == len(data.facts.labels)
    assert found["validation"] is None
    assert found["test"]["n"] == data.test.n_obs


def test_a_training_set_is_described(data):
    result = execute(run_of(data, RealCells()), data)
    described = result["training_set"]
    assert described["label_counts"] == data.facts.parts["train"]
    assert described["cells"] == data.train.n_obs
    sizes = np.asarray(data.train.X.sum(axis=1)).ravel()
    for name in ("token_lengths", "library_sizes", "expressed_genes"):
        assert len(described[name]["quantiles"]) == 101
    assert described["library_sizes"]["quantiles"][50] == np.median(sizes)
    assert described["library_sizes"]["quantiles"][100] == sizes.max()


def test_fidelity_tells_cells_from_poisson_and_effects_from_none(larger_test):
    def fidelity(*training: object) -> dict:
        return execute(run_of(larger_test, *training), larger_test)["fidelity"]

    real, floor = fidelity(RealCells()), fidelity(SyntheticCells(method="poisson"))
    still = fidelity(SyntheticCells(method="donor_shift", parameters={"dose": 0.0}))
    assert real["token_wasserstein"] < floor["token_wasserstein"]
    assert real["fold_change_slope"] > 0.5 > abs(still["fold_change_slope"])


def test_nothing_is_learned_from_shuffled_labels_or_permuted_genes(larger_test):
    """Then predictions do not depend on the true label, and the mean of two recalls is 1/2 give or take their noise.

    A recall of n cells has a standard deviation of at most 1 / (2 √n), so that of their mean is at most
    √(1/n₁ + 1/n₂) / 4, and the mean over s seeds deviates by more than three times that / √s rarely (once in 370
    where the seeds' models are independent).
    """
    labels, seeds = ("Nutlin", "Untreated"), range(6)
    sizes = [larger_test.facts.parts["test"][label] for label in labels]
    bound = 3 * np.sqrt(sum(1 / n for n in sizes)) / 4 / np.sqrt(len(seeds))

    def score(ablation: str) -> float:
        runs = [run_of(larger_test, RealCells(), labels=labels, ablation=ablation, seed=seed) for seed in seeds]
        return float(np.mean([execute(run, larger_test)["test"]["balanced_accuracy"] for run in runs]))

    assert score("none") > 0.5 + bound
    assert abs(score("shuffled_labels") - 0.5) < bound
    assert abs(score("permuted_genes") - 0.5) < bound


def test_cells_that_bulkgen_did_not_make_are_studied_too(tmp_path):
    cells = small_twin()
    cells.uns.clear()
    data = StudyData.open(study_of(cells, tmp_path))
    assert not data.facts.simulated
    for training in ([RealCells()], [RealCells(), DONORS], [PseudobulkCells(k=3)]):
        assert execute(run_of(data, *training), data)["fidelity"]["token_ks"] is not None


def test_a_transformer_runs_with_its_history(data):
    tiny = ModelSettings(name="tiny", options={"epochs": 2, "context": 64, "layers": 1, "hidden_size": 16})
    run = run_of(data, RealCells(per_class=10), validation="same", model=tiny)
    result = execute(run, data)
    assert [epoch["epoch"] for epoch in result["history"]] == [1, 2]
    assert text(execute(run, data)) == text(result)


def test_without_validation_the_last_weights_are_kept_and_all_epochs_trained(data):
    options = {"epochs": 3, "patience": 1, "context": 64, "layers": 1, "hidden_size": 16}
    tiny = ModelSettings(name="tiny", options=options)
    result = execute(run_of(data, RealCells(per_class=5), model=tiny), data)
    assert len(result["history"]) == 3
    assert result["validation"] is result["validation_cells"] is result["validation_samples"] is None
    assert result["validation_real"]["n"] == data.validation.n_obs


def test_a_set_too_small_to_hold_anything_out_is_trained_on(data):
    result = execute(run_of(data, RealCells(share=0.001), validation="same"), data)
    assert result["training_set"]["cells"] == 5
    assert result["validation"] is None


def test_a_run_of_other_data_is_refused(data):
    other = data.facts.model_copy(update={"split_sha256": "0"})
    run = run_of(data, RealCells()).model_copy(update={"context": other.context})
    with pytest.raises(ValueError, match="other data, another split"):
        execute(run, data)
