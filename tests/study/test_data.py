"""The data of a study: the frozen split, the vocabulary, the facts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.aggregate import pseudobulk
from bulkgen.errors import LabelError
from bulkgen.profiles import bulk_profiles
from bulkgen.splits import split_benchmark
from bulkgen.study import StudyConfig
from bulkgen.study.data import DataFacts, StudyData
from bulkgen.synthesis import synthesize
from bulkgen.thinning import thin
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
        StudyData.open(study_of(cells, tmp_path, data=settings, generators={}, parts={"ladder": {}}))


def opened(cells, tmp_path, **settings) -> StudyData:
    given = table(path=str(tmp_path / "cells.h5ad"), **settings)
    return StudyData.open(study_of(cells, tmp_path, data=given, generators={}, parts={"ladder": {}}))


def test_a_control_without_a_dose_has_dose_zero(cells, tmp_path):
    without = cells.copy()
    without.obs.loc[without.obs["treated_label"] == "Untreated", "dose"] = np.nan
    assert opened(without, tmp_path).facts.doses == (0.0, 1.0, 10.0)
    # of other cells nobody knows
    without.obs["dose"] = np.nan
    with pytest.raises(LabelError, match=r"such as 'nan'; only the control's may be missing"):
        opened(without, tmp_path)


@pytest.mark.parametrize("name", ["length", "counts", "cell_id", "input_ids"])
def test_a_label_that_tokens_would_hide_is_refused(name, cells, tmp_path):
    renamed = cells.copy()
    renamed.obs = renamed.obs.rename(columns={"treated_label": name})
    with pytest.raises(LabelError, match=f"tokens have a column '{name}' of their own; rename"):
        opened(renamed, tmp_path, label=name)


def test_labels_with_few_cells_are_left_out_when_asked(cells, tmp_path):
    counts = cells.obs["treated_label"].astype(str).value_counts()
    fewest = int(counts.min())
    facts = opened(cells, tmp_path, min_cells=fewest + 1).facts
    assert facts.labels == {name: n for name, n in sorted(counts.items()) if n > fewest}
    with pytest.raises(LabelError, match="min_cells: the control 'Untreated' has"):
        opened(cells, tmp_path, min_cells=cells.n_obs)


def measured(cells):
    """The cells, as if they had been measured."""
    real = cells.copy()
    del real.uns["bulkgen"]
    return real


def synthetic(cells):
    profiles = bulk_profiles(cells, by="treated_label")
    return synthesize(profiles, reference=cells, method="truncated_gaussian", n_cells=60, rng=0)


def sums(cells):
    return pseudobulk(cells, by="treated_label", k=2, strategy="sum", rng=0)


@pytest.mark.parametrize(
    ("make", "origin"),
    [
        (measured, "real"),
        (lambda cells: thin(measured(cells), library_size=500, rng=0), "real"),
        (lambda cells: split_benchmark(measured(cells), label="treated_label", rng=0).train, "real"),
        (lambda cells: synthetic(measured(cells)), "computed"),
        (lambda cells: sums(measured(cells)), "computed"),
        (lambda cells: thin(sums(measured(cells)), library_size=500, rng=0), "computed"),
        (lambda cells: cells, "simulated"),
        (synthetic, "simulated"),
    ],
)
def test_facts_say_where_cells_are_from(make, origin, cells, tmp_path):
    facts = opened(make(cells), tmp_path, control=None, dose=None).facts
    assert (facts.origin, facts.simulated) == (origin, origin != "real")


def test_keys_hold_the_weights_of_a_local_checkpoint(cells, tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"one")
    tables = {"models": {"mine": {"checkpoint": str(folder)}}, "seeds": [0], "parts": {"ladder": {}}}
    config = study_of(cells, tmp_path, **tables)
    before = StudyData.open(config).facts
    (folder / "training.log").write_text("noise")
    assert StudyData.open(config).facts == before
    (folder / "model.safetensors").write_bytes(b"two")
    after = StudyData.open(config).facts
    assert after.context == before.context
    assert keys(config, before).isdisjoint(keys(config, after))
    # known from the facts alone, when the checkpoint is gone
    (folder / "model.safetensors").unlink()
    assert len(keys(config, after)) == len(keys(config, before)) > 0


def keys(config: StudyConfig, facts: DataFacts) -> set[str]:
    return {point.run.key for point in config.points(facts)}


def test_keys_hold_the_device_that_was_found(cells, tmp_path):
    pytest.importorskip("torch")
    tables = {"models": {"tiny": {}}, "seeds": [0], "parts": {"ladder": {}}}
    config = study_of(cells, tmp_path, **tables)
    facts = StudyData.open(config).facts
    options = config.points(facts)[0].run.model.options
    assert options["device"] in ("cpu", "cuda")
    assert options["precision"] in ("float32", "bf16")
    other = facts.model_copy(update={"models": {"tiny": {"device": "another", "precision": "float32"}}})
    assert keys(config, facts).isdisjoint(keys(config, other))
    # what is said is not searched for
    said = study_of(cells, tmp_path, **{**tables, "models": {"tiny": {"device": "cpu", "precision": "bf16"}}})
    assert StudyData.open(said).facts.models == {}


def test_only_keys_of_a_generator_hold_the_version_of_its_package(cells, tmp_path, monkeypatch):
    config = study_of(cells, tmp_path, seeds=[0], parts={"ladder": {}})
    assert StudyData.open(config).facts.packages == {}
    facts = {}
    for version in ("theirs 1.0", "theirs 1.1"):
        monkeypatch.setattr(
            "bulkgen.study.data.generator_package",
            lambda name, version=version: version if name == "donor_shift" else None,
        )
        facts[version] = StudyData.open(config).facts
    changed = [
        before.series
        for before, after in zip(*(config.points(found) for found in facts.values()), strict=True)
        if before.run.key != after.run.key
    ]
    assert set(changed) == {"donor_shift"}


def test_what_runs_share_is_made_once_and_the_oldest_forgotten(cells, tmp_path):
    data = StudyData.open(study_of(cells, tmp_path))
    made: list[str] = []

    def get(key: str) -> str:
        return data.shared("thing", key, lambda: made.append(key) or key, most=2)

    assert [get(key) for key in "abacb"] == list("abacb")
    assert made == ["a", "b", "c", "b"]
