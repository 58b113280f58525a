"""The table of a study, and the keys that it stands on."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest

from bulkgen.study import StudyConfig, StudyResults, run_study
from bulkgen.study.data import DataFacts
from small_study import SMALL, write_small_study

FACTS = DataFacts(
    name="cells",
    simulated=False,
    n_cells=90,
    n_genes=60,
    labels={"A": 40, "B": 30, "C": 20},
    parts={part: {"A": 10, "B": 10, "C": 5} for part in ("train", "validation", "test")},
    control="A",
    sha256={"counts": "0", "genes": "1", "labels": "2"},
    split_sha256="3",
    vocabulary={"name": "fitted", "fingerprint": "4", "genes": 60, "context": 2048},
    threads=1,
    stream_version=1,
    result_version=2,
)

#: Keys of the first seed of the small study. They are names of files in people's studies: another one means that all
#: of their runs are done again.
GOLDEN = {
    "real cells, real cells": "49e3c4bb66a844e470ba",
    "mean, validated on pseudo-bulk, pseudo-bulk k = 1": "9ab3c444c4bce9703daa",
    "mean, validated on pseudo-bulk, pseudo-bulk k = 2": "92f790eda1678926664d",
    "mean, validated on pseudo-bulk, pseudo-bulk k = 3": "fc47a0a948a9dec4690c",
    "sum, validated on pseudo-bulk, pseudo-bulk k = 1": "280bdc7b90bd99b5bfe0",
    "sum, validated on pseudo-bulk, pseudo-bulk k = 2": "a81ab20005a5b4115e7d",
    "sum, validated on pseudo-bulk, pseudo-bulk k = 3": "b5ad0db378a566fec585",
    "multinomial, multinomial": "25960279995b5fcb4e65",
    "Poisson floor, Poisson floor": "a8a86d36b438aeb19345",
}


def read(tmp_path, **overrides) -> StudyConfig:
    (tmp_path / "study.toml").write_text(SMALL, encoding="utf-8")
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return StudyConfig.from_toml(tmp_path / "study.toml", overrides=dotted)


def keys(config: StudyConfig, **facts) -> list[str]:
    return [point.run.key for point in config.points(FACTS.model_copy(update=facts))]


def test_keys_are_what_they_were(tmp_path):
    points = read(tmp_path, seeds=[0]).points(FACTS)
    assert {f"{point.series}, {point.name}": point.run.key for point in points} == GOLDEN


@pytest.mark.parametrize(
    "facts",
    [
        {"sha256": {"counts": "x", "genes": "1", "labels": "2"}},
        {"sha256": {"counts": "0", "genes": "x", "labels": "2"}},
        {"sha256": {"counts": "0", "genes": "1", "labels": "x"}},
        {"split_sha256": "x"},
        {"control": "B"},
        {"vocabulary": {**FACTS.vocabulary, "fingerprint": "x"}},
        {"threads": 2},
        {"stream_version": 2},
        {"result_version": 3},
    ],
)
def test_every_key_changes_with_what_all_runs_depend_on(tmp_path, facts):
    config = read(tmp_path)
    assert set(keys(config)).isdisjoint(keys(config, **facts))


def test_every_key_changes_with_an_option_of_the_model(tmp_path):
    assert set(keys(read(tmp_path))).isdisjoint(keys(read(tmp_path, models__linear__top_k=21)))


def test_every_key_changes_with_the_seed(tmp_path):
    assert set(keys(read(tmp_path, seeds=[0]))).isdisjoint(keys(read(tmp_path, seeds=[1])))


def test_only_the_keys_of_a_generator_change_with_it(tmp_path):
    one = read(tmp_path, generators__multinomial__reference="control").points(FACTS)
    two = read(tmp_path, generators__multinomial__reference="all").points(FACTS)
    changed = [before.series for before, after in zip(one, two, strict=True) if before.run.key != after.run.key]
    assert set(changed) == {"multinomial"}


def test_every_setting_of_pseudobulk_has_a_key_of_its_own(tmp_path):
    parts = [
        read(tmp_path, seeds=[0], parts__ladder={}, **change).points(FACTS)
        for change in (
            {"parts__bulkiness__k": [2], "parts__bulkiness__strategies": ["mean"]},
            {"parts__bulkiness__k": [3], "parts__bulkiness__strategies": ["mean"]},
            {"parts__bulkiness__k": [2], "parts__bulkiness__strategies": ["sum"]},
            {"parts__bulkiness__k": [2], "parts__bulkiness__strategies": ["mean"], "parts__bulkiness__cv": 0.2},
            {
                "parts__bulkiness__k": [2],
                "parts__bulkiness__strategies": ["mean"],
                "parts__bulkiness__validation": ["mixed"],
            },
        )
    ]
    found = [point.run.key for points in parts for point in points if point.x is not None]
    assert len(found) == len(set(found)) == 5


def test_keys_do_not_depend_on_where_a_run_stands(tmp_path):
    config = read(tmp_path)
    expected = set(keys(config))
    table = {
        "name": "another name",
        "seeds": [1, 0],
        "data": config.data.model_dump() | {"path": tmp_path / "moved.h5ad"},
        "split": config.split.model_dump(),
        "models": {"linear": {"top_k": 20}},
        "generators": {"renamed": {"method": "multinomial", "reference": "control"}},
        "parts": {
            "ladder": {"balance": ["natural"]},
            "bulkiness": {"strategies": ["sum", "mean"], "k": [3, 2, 1], "validation": ["same"]},
        },
    }
    other = StudyConfig.from_dict(table)
    assert set(keys(other)) == expected
    assert keys(other) != keys(config)


def test_a_run_that_two_parts_need_is_one_run(tmp_path):
    points = read(tmp_path, seeds=[0]).points(FACTS)
    real = [point for point in points if point.series == "real cells"]
    assert {point.part for point in real} == {"bulkiness", "ladder"}
    assert len({point.run.key for point in real}) == 1


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> StudyResults:
    place = tmp_path_factory.mktemp("results")
    return run_study(write_small_study(place), place / "out", report=False)


def test_the_table_follows_the_settings(results):
    table = results.table
    assert list(dict.fromkeys(table["part"])) == ["bulkiness", "ladder"]
    assert list(table["key"]) == [point.run.key for point in results.points]
    assert list(table.columns[:9]) == ["part", "problem", "series", "name", "x", "model", "seed", "key", "status"]


def test_the_table_says_what_the_records_say(results):
    for row in results.table.to_dict("records"):
        found = results.runs[row["key"]]["result"]
        test = found["test"]
        said = {
            "accuracy": test["accuracy"],
            "recall_B": test["per_class"]["B"]["recall"],
            "majority_accuracy": test["majority"]["accuracy"],
            "chance": test["chance"],
            "validation_macro_f1": (found["validation"] or {}).get("macro_f1"),
            "validation_real_balanced_accuracy": found["validation_real"]["balanced_accuracy"],
            "cells": found["training_set"]["cells"],
            "token_ks": found["fidelity"]["token_ks"],
        }
        assert {name: None if pd.isna(row[name]) else row[name] for name in said} == said
    assert results.table["validation_macro_f1"].notna().any()
    assert results.table["token_ks"].notna().any()


def test_parquet_and_csv_hold_the_same_table(results):
    parquet = pd.read_parquet(results.folder / "results.parquet")
    pd.testing.assert_frame_equal(parquet, results.table)
    csv = pd.read_csv(results.folder / "results.csv", float_precision="round_trip")
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)


def test_times_are_in_a_table_of_their_own(results):
    assert not {"seconds", "peak_memory"} & set(results.table.columns)
    cost = pd.read_csv(results.folder / "cost.csv")
    assert set(cost["key"]) == set(results.runs)
    assert (cost["seconds"] > 0).all()


def test_every_cell_is_in_one_part_of_the_split(results):
    split = pd.read_parquet(results.folder / "split.parquet")
    assert split["cell"].is_unique
    assert set(split["part"]) == {"train", "validation", "test"}
    assert len(split) == results.data.n_cells


def test_what_is_loaded_is_what_was_returned(results):
    again = StudyResults.load(results.folder)
    assert again.config == results.config
    assert again.data == results.data
    assert again.runs == results.runs
    pd.testing.assert_frame_equal(again.table, results.table)


def test_the_settings_are_echoed_with_every_default(results):
    echoed = StudyConfig.from_toml(results.folder / "study.toml")
    assert echoed == results.config
    assert "cv = 0.1" in (results.folder / "study.toml").read_text(encoding="utf-8")


def test_pseudobulk_of_one_cell_scores_as_the_real_cells_would(results):
    # one strategy or another: means and sums of one cell are that cell
    ones = results.table[(results.table["name"] == "pseudo-bulk k = 1") & (results.table["seed"] == 0)]
    scores = ones[["accuracy", "macro_f1", "validation_accuracy"]].to_numpy()
    assert all((before == after).all() for before, after in pairwise(scores))


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no study; make one with: bulkgen study run"):
        StudyResults.load(tmp_path)
