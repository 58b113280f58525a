"""The data of a study: the frozen split, the vocabulary, the facts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.errors import LabelError
from bulkgen.study.data import DataFacts, StudyData
from study_twin import poisoned, small_twin, study_of


@pytest.fixture(scope="module")
def cells():
    return small_twin()


@pytest.fixture(scope="module")
def data(cells, tmp_path_factory):
    return StudyData.open(study_of(cells, tmp_path_factory.mktemp("data")))


def test_the_split_is_one_whatever_the_seeds_of_runs(cells, data, tmp_path):
    other = StudyData.open(study_of(cells, tmp_path, seeds=[5]))
    assert other.facts == data.facts
    assert other.split.equals(data.split)


def test_another_split_or_other_cells_change_every_key(cells, data, tmp_path):
    context = data.facts.context
    split = StudyData.open(study_of(cells, tmp_path, split={"rng": 1})).facts.context
    assert (split.data, split.split == context.split) == (context.data, False)
    changed = cells.copy()
    changed.X.data[0] += 1
    assert StudyData.open(study_of(changed, tmp_path)).facts.context.data != context.data


def test_every_label_dose_and_replicate_gives_its_tenth(cells, data):
    assert data.facts.stratified_by == ("dose", "replicate")
    test = data.test.obs.groupby(["treated_label", "dose"], observed=True).size()
    whole = cells.obs.groupby(["treated_label", "dose"], observed=True).size()
    assert np.abs(test.reindex(whole.index, fill_value=0) - whole / 10).max() <= 1
    assert set(data.train.obs_names).isdisjoint(data.test.obs_names)
    assert set(data.split["cell"]) == set(cells.obs_names)


def test_test_and_validation_cells_decide_no_vocabulary(cells, data, tmp_path):
    names = data.split["cell"][data.split["part"] != "train"].to_numpy()
    other = StudyData.open(study_of(poisoned(cells, names), tmp_path))
    assert other.facts.sha256["counts"] != data.facts.sha256["counts"]
    assert other.facts.split_sha256 == data.facts.split_sha256
    assert other.vocabulary.fingerprint == data.vocabulary.fingerprint
    assert other.equal_size == data.equal_size


def test_hashes_are_of_the_content_and_not_of_its_storage(cells, data, tmp_path):
    stored = cells.copy()
    stored.X = sp.csc_matrix(cells.X.astype(np.float64))
    assert StudyData.open(study_of(stored, tmp_path)).facts.sha256 == data.facts.sha256


def test_facts_survive_json(data):
    assert DataFacts.model_validate(json.loads(data.facts.model_dump_json())) == data.facts


def test_the_twin_says_that_it_is_simulated(data):
    assert data.facts.simulated
    assert "simulated" in data.facts.note


def table(**changes: object) -> dict[str, object]:
    usual = {"source": "file", "path": "cells.h5ad", "label": "treated_label", "control": "Untreated", "dose": "dose"}
    return {**usual, **changes}


def test_cells_are_chosen_by_values_read_as_text_or_number(cells, tmp_path):
    texts = cells.copy()
    texts.obs["dose"] = texts.obs["dose"].astype(str)
    for settings in ({"where": {"dose": [0, 10]}}, {"where": {"dose": ["0.0", "10.0"]}}, {"doses": [0.0, 10.0]}):
        study = study_of(
            texts, tmp_path, data=table(path=str(tmp_path / "cells.h5ad"), **settings), parts={"ladder": {}}
        )
        facts = StudyData.open(study).facts
        assert facts.doses == (0.0, 10.0)
        assert facts.n_cells == int((cells.obs["dose"] != 1.0).sum())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "drogue"}, "no column 'drogue'"),
        ({"control": "DMSO"}, "'DMSO' is not among the labels"),
        ({"where": {"plate": 3}}, "no column 'plate'"),
        ({"where": {"drug": "Aspirin"}}, "no cell is left"),
        ({"dose": "replicate"}, "have no number in 'replicate'"),
        ({"where": {"drug": "Dex"}, "control": None}, "two labels or more"),
        ({"dose": None, "doses": [1.0]}, "name the column of doses"),
    ],
)
def test_settings_that_do_not_fit_the_cells_are_named(settings, message, cells, tmp_path):
    settings = {name: value for name, value in table(path=str(tmp_path / "cells.h5ad"), **settings).items() if value}
    with pytest.raises(LabelError, match=message):
        StudyData.open(study_of(cells, tmp_path, data=settings, parts={"ladder": {}}))


def test_what_runs_share_is_made_once_and_the_oldest_forgotten(cells, tmp_path):
    data = StudyData.open(study_of(cells, tmp_path))
    made: list[str] = []

    def get(key: str) -> str:
        return data.shared("thing", key, lambda: made.append(key) or key, most=2)

    assert [get(key) for key in "abacb"] == list("abacb")
    assert made == ["a", "b", "c", "b"]
