"""The benchmark of generators: every method beside ceiling and floor, and test cells that have no say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import bulkgen
from bulkgen.errors import OutputExistsError
from bulkgen.fidelity import METRICS, drawing
from bulkgen.fidelity.methods import Method
from bulkgen.fidelity.results import COLUMNS, BenchmarkResults
from bulkgen.fidelity.tasks import LabelControlTask
from fidelity.drug_cells import LABELS, made_up_cells, poisoned

BROKEN = {"name": "truncated_gaussian", "parameters": {"variance_from": "stratum"}, "as_": "broken"}
MASKED = {"name": "truncated_gaussian", "parameters": {"round": True, "zero_mask": True}, "as_": "masked"}


def run(cells, **options):
    given = {"label": "drug", "control": "none", "methods": [MASKED, BROKEN], "seeds": 1, "threads": 1}
    # two of the quick groups; all of them in test_score.py
    given |= {"metrics": ["tokens", "cells"]} | options
    return bulkgen.benchmark_generators(cells, **given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmark") / "out"


@pytest.fixture(scope="module")
def results(folder):
    return run(made_up_cells(), seeds=2, few_cells=[0, 4, "all"], out=folder, command="bulkgen benchmark ...")


def test_every_method_stands_beside_ceiling_and_floor_in_every_seed(results):
    table = results.results
    assert tuple(table.columns) == COLUMNS
    accuracy = table[(table["metric"] == "tstr_balanced_accuracy") & (table["model"] == "linear")]
    assert accuracy.groupby("method")["seed"].nunique().to_dict() == {
        "real": 2,
        "truncated_gaussian": 2,
        "masked": 2,
        "poisson_floor": 2,
    }
    roles = table.groupby("method")["role"].unique().map(list).to_dict()
    assert roles["real"] == ["ceiling"]
    assert roles["poisson_floor"] == ["floor"]
    assert roles["majority"] == ["majority"]
    assert results.methods == ("real", "truncated_gaussian", "masked", "broken", "poisson_floor")


def test_every_metric_is_there_per_class_and_as_a_mean(results):
    table = results.results[results.results["method"] == "masked"]
    wanted = {name for name, metric in METRICS.items() if metric.group in ("utility", "tokens", "cells", "cost")}
    assert set(table["metric"]) | {"tstr_gap_closed"} == wanted
    ks = table[(table["metric"] == "library_size_ks") & (table["seed"] == 0)]
    assert set(ks["label"]) == {*LABELS, ""}
    each = ks[ks["label"] != ""]["value"]
    assert ks.loc[ks["label"] == "", "value"].item() == pytest.approx(each.mean())
    recall = table[(table["metric"] == "tstr_recall") & (table["seed"] == 0)].set_index("label")["value"]
    total = table[(table["metric"] == "tstr_balanced_accuracy") & (table["seed"] == 0)]["value"].item()
    assert recall[list(LABELS)].mean() == pytest.approx(total)


def test_a_method_that_fails_is_listed_with_its_reason_and_stops_no_other(results):
    assert [(failure["seed"], failure["method"], failure["stage"]) for failure in results.failures] == [
        (0, "broken", "generate"),
        (1, "broken", "generate"),
    ]
    assert "the reference has no cells of stratum" in results.failures[0]["reason"]
    assert "broken" not in set(results.results["method"])


def test_share_of_the_gap_is_0_for_the_truncated_gaussian_and_1_for_real_cells(results):
    table = results.results
    share = table[table["metric"] == "tstr_gap_closed"].set_index(["seed", "method"])["value"]
    score = table[(table["metric"] == "tstr_balanced_accuracy") & (table["role"] != "majority")]
    score = score.set_index(["seed", "method"])["value"]
    for seed in range(2):
        low, high, own = (score[seed, name] for name in ("truncated_gaussian", "real", "masked"))
        if high - low < 0.02:
            assert (seed, "real") not in share.index
            continue
        assert share[seed, "truncated_gaussian"] == 0
        assert share[seed, "real"] == 1
        assert share[seed, "masked"] == pytest.approx((own - low) / (high - low))


def test_models_learn_what_can_be_learnt_and_the_majority_nothing(results):
    assert results.value("real", "tstr_balanced_accuracy", model="linear")[0] > 0.8
    assert results.value("majority", "tstr_balanced_accuracy")[0] == pytest.approx(1 / 3)
    assert results.value("real", "token_count_wasserstein")[0] < results.value("masked", "token_count_wasserstein")[0]


def test_methods_generate_as_many_cells_of_each_class_as_there_are_training_cells(results):
    for trial in results.settings["trials"]:
        assert trial["generated"] == trial["train"]
        assert sum(trial["train"].values()) + sum(trial["test"].values()) == 180
        assert trial["parameters_used"]["masked"] == {
            "control": "none",
            "variance_from": "control",
            "round": True,
            "zero_mask": True,
        }


def test_cost_is_measured(results):
    assert results.value("masked", "seconds_per_10000_cells")[0] > 0
    assert results.value("masked", "fit_seconds")[0] > 0
    # 126 cells x 80 genes of float32 at least
    assert results.value("masked", "peak_memory")[0] >= 126 * 80 * 4 / 1e6


def test_few_cells_curve_has_real_cells_alone_and_with_each_method(results):
    table = results.few_cells
    assert len(table) == 2 * 3 * 3
    assert set(table["synthetic"]) == {"", "truncated_gaussian", "masked"}
    alone = table[(table["synthetic"] == "") & (table["size"] == 0)]
    np.testing.assert_allclose(alone["balanced_accuracy"], 1 / 3)
    everything = table[table["all"] & (table["synthetic"] == "")].set_index("seed")["balanced_accuracy"]
    ceiling = results.results[(results.results["method"] == "real") & (results.results["model"] == "linear")]
    ceiling = ceiling[ceiling["metric"] == "tstr_balanced_accuracy"].set_index("seed")["value"]
    # all real cells alone are the ceiling; the order of the cells moves a cell at most
    np.testing.assert_allclose(everything, ceiling, atol=1 / 18 / 3 + 1e-9)


def test_folder_is_complete_and_gives_the_results_back(results, folder):
    names = {path.name for path in folder.iterdir()}
    assert {"results.parquet", "results.csv", "summary.csv", "settings.json", "few_cells.parquet"} <= names
    again = BenchmarkResults.load(folder)
    for name in ("results", "few_cells", "genes", "projection"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(results, name))
    assert again.methods == results.methods
    assert again.failures == results.failures
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["command"] == "bulkgen benchmark ..."
    assert settings["rng"] == 0
    assert len(settings["input"]["hash"]) == 32
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_test_cells_change_no_synthetic_cell_no_vocabulary_and_no_choice(monkeypatch):
    cells = made_up_cells(2)
    trial = LabelControlTask("drug", control="none").trial(
        cells, rng=np.random.SeedSequence(bulkgen.rng.key_from_rng(7)).spawn(1)[0].spawn(5)[0]
    )
    drawn = []
    draw = drawing.synthesize

    def remember(**arguments):
        drawn[-1].append(draw(**arguments))
        return drawn[-1][-1]

    monkeypatch.setattr(drawing, "synthesize", remember)
    found = []
    for input_cells in (cells, poisoned(cells, trial.test.obs_names)):
        drawn.append([])
        found.append(run(input_cells, rng=7, methods=[MASKED], few_cells=[4]))
    for one, other in zip(*drawn, strict=True):
        np.testing.assert_array_equal(one.X, other.X)
    plain, changed = found
    assert plain.settings["trials"][0]["vocabulary"] == changed.settings["trials"][0]["vocabulary"]
    np.testing.assert_array_equal(plain.few_cells["weight"], changed.few_cells["weight"])
    # and the poison was where it should be: the scores differ
    assert (
        plain.value("real", "tstr_balanced_accuracy", model="linear")[0]
        > changed.value("real", "tstr_balanced_accuracy", model="linear")[0]
    )


def test_same_seed_gives_the_same_results(results):
    again = run(made_up_cells(), seeds=1, methods=[MASKED])
    one, other = (
        table[(table["group"] != "cost") & (table["method"].isin(["real", "masked"])) & (table["seed"] == 0)]
        for table in (results.results, again.results)
    )
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"methods": ["nothing"]}, "method must be one of"),
        ({"methods": [{"name": "truncated_gaussian", "parameters": {"bogus": 1}}]}, "'bogus' of method"),
        ({"methods": [MASKED, MASKED]}, "two methods are called 'masked'"),
        ({"methods": [{"name": "truncated_gaussian", "as_": "real"}]}, "names a row of the results"),
        ({"models": ["linear", "linear"]}, "models must be called differently"),
        ({"metrics": ["beauty"]}, "metrics must be among"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"n_cells": 0}, "n_cells must be at least 1"),
        ({"task": LabelControlTask("drug", control="none")}, "is a setting of the task"),
        ({"label": None}, "name the column of the labels"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(options, message):
    with pytest.raises(ValueError, match=message):
        run(made_up_cells(), **options)


def test_unknown_group_of_metrics_is_refused_before_any_work_and_the_groups_named():
    steps = []
    with pytest.raises(ValueError, match=r"metrics must be among 'tokens', 'cells', .*'copying', got 'beauty'"):
        run(made_up_cells(), metrics=["cells", "beauty"], on_step=steps.append)
    assert steps == []


def test_ceiling_has_as_many_cells_of_each_class_as_the_generators_make(results):
    # 42 training cells of each class
    few = run(made_up_cells(), n_cells=20, methods=[MASKED])
    trial = few.settings["trials"][0]
    assert set(trial["train"].values()) == {42}
    assert trial["ceiling"] == trial["generated"] == dict.fromkeys(LABELS, 20)
    # fewer real cells say less
    assert few.value("real", "gene_ks")[0] > run(made_up_cells(), methods=[MASKED]).value("real", "gene_ks")[0]
    for trial in results.settings["trials"]:
        assert trial["ceiling"] == trial["train"]


def test_ceiling_of_fewer_real_cells_than_are_generated_is_told():
    with pytest.warns(UserWarning, match="the ceiling has 126 real training cells, all there are, .* make 180 cells"):
        many = run(made_up_cells(), n_cells=60, methods=[MASKED])
    trial = many.settings["trials"][0]
    assert trial["ceiling"] == trial["train"] == dict.fromkeys(LABELS, 42)
    assert trial["generated"] == dict.fromkeys(LABELS, 60)


def test_folder_that_exists_is_refused_before_any_work(tmp_path):
    steps = []
    with pytest.raises(OutputExistsError):
        run(made_up_cells(), out=tmp_path, on_step=steps.append)
    assert steps == []


def test_pseudobulk_learns_from_all_training_cells_and_others_from_the_control_alone():
    pseudobulk = {"name": "pseudobulk", "parameters": {"k": 3, "thin": True}, "as_": "k3"}
    found = run(made_up_cells(), methods=[pseudobulk, "donor_shift"], metrics=["copying"])
    assert found.failures == []
    assert Method.of(pseudobulk).reference == "training"
    assert Method.of("donor_shift").reference == "task"
    # donors are rows of the reference, the controls alone; by their names they are found among the training cells
    controls = found.results[(found.results["method"] == "donor_shift") & (found.results["label"] == "none")]
    assert controls.set_index("metric")["value"]["nearest_is_donor"] == 1
