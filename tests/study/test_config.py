"""The settings of a study: read, checked, spelled out."""

from __future__ import annotations

import tomllib

import pytest

import bulkgen as bg
from bulkgen.errors import StudyConfigError
from bulkgen.generators.registry import make_generator
from bulkgen.study import StudyConfig
from bulkgen.study.config import preset_names, preset_text
from bulkgen.training import LinearConfig
from small_study import SMALL


@pytest.fixture
def small(tmp_path):
    place = tmp_path / "small.toml"
    place.write_text(SMALL, encoding="utf-8")
    return place


def problems_of(place, overrides) -> tuple[str, ...]:
    with pytest.raises(StudyConfigError) as caught:
        StudyConfig.from_toml(place, overrides=overrides)
    assert str(caught.value).startswith(f"{place}:")
    return caught.value.problems


def test_defaults_are_spelled_out(small):
    config = StudyConfig.from_toml(small)
    assert config.models["linear"].options == {
        **LinearConfig(top_k=20).model_dump(mode="json", exclude={"seed", "threads"})
    }
    assert config.generators["multinomial"].method == "multinomial"
    text = config.to_toml()
    assert 'features = "rank"' in text
    assert "cv = 0.1" in text
    assert "threads = 1" in text


@pytest.mark.parametrize("fresh", [False, True])
def test_fresh_cells_are_said_of_models_that_can_train_on_them(small, tmp_path, fresh):
    config = StudyConfig.from_toml(small, overrides={"models.tiny": {"fresh_cells": fresh} if fresh else {}})
    assert config.models["tiny"].fresh_cells is fresh
    table = tomllib.loads(config.to_toml())["models"]
    assert table["tiny"]["fresh_cells"] is fresh
    assert "fresh_cells" not in table["linear"]
    (tmp_path / "again.toml").write_text(config.to_toml(), encoding="utf-8")
    assert StudyConfig.from_toml(tmp_path / "again.toml") == config


@pytest.mark.parametrize("name", ["poster", "beyond", "quick"])
def test_presets_survive_the_way_to_toml_and_back(tmp_path, name):
    config = StudyConfig.preset(name)
    assert config.name == name
    (tmp_path / "again.toml").write_text(config.to_toml(), encoding="utf-8")
    assert StudyConfig.from_toml(tmp_path / "again.toml") == config


def test_presets_ask_the_questions_they_promise():
    parts = {name: [part.letter for part in StudyConfig.preset(name).parts.values()] for name in preset_names()}
    assert parts["poster"] == list("ABC")
    assert parts["beyond"] == list("DEFGHI")
    assert set(parts) == {"poster", "beyond", "quick"}
    for name in preset_names():
        assert preset_text(name).startswith("# ")


def test_small_study_survives_the_way_to_toml_and_back(small, tmp_path):
    config = StudyConfig.from_toml(small, overrides={"data.where": {"batch": ["a b", 'c"d']}, "benchmark": {}})
    (tmp_path / "elsewhere").mkdir()
    again = tmp_path / "elsewhere" / "again.toml"
    again.write_text(config.to_toml(), encoding="utf-8")
    assert StudyConfig.from_toml(again) == config


def test_paths_start_at_the_file(small):
    assert StudyConfig.from_toml(small).data.path == small.parent / "cells.h5ad"


def test_names_of_folders_are_paths_that_start_at_the_file(small):
    for name in ("checkpoint", "words"):
        (small.parent / name).mkdir()
    given = (
        small.read_text(encoding="utf-8") + '[models.mine]\ncheckpoint = "checkpoint"\n[vocabulary]\nname = "words"\n'
    )
    small.write_text(given, encoding="utf-8")
    config = StudyConfig.from_toml(small, overrides={"models.hub": {"checkpoint": "owner/name"}})
    assert config.models["mine"].checkpoint == str(small.parent / "checkpoint")
    assert config.vocabulary.name == str(small.parent / "words")
    assert config.models["hub"].checkpoint == "owner/name"


def test_paths_of_settings_start_here(small, monkeypatch):
    (small.parent / "checkpoint").mkdir()
    monkeypatch.chdir(small.parent)
    config = StudyConfig.from_dict({**read(small), "models": {"mine": {"checkpoint": "checkpoint"}}})
    assert config.models["mine"].checkpoint == str(small.parent / "checkpoint")


def read(place) -> dict[str, object]:
    return tomllib.loads(place.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("given", "label"), [(0, "0"), ("0", "0"), (1.5, "1.5")])
def test_a_control_that_is_a_number_is_a_label(small, given, label):
    assert StudyConfig.from_toml(small, overrides={"data.control": given}).data.control == label


def test_a_generator_joins_by_being_named(small):
    given = {"generators.mine": {"method": "donor_shift", "parameters": {"renoise": 0.2}}}
    mine = StudyConfig.from_toml(small, overrides=given).generators["mine"]
    assert mine.parameters == make_generator("donor_shift", {"renoise": 0.2}).model_dump(mode="json")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"seedz": [1]}, "seedz: no such key or table; did you mean 'seeds'?"),
        ({"data.lable": "x"}, "[data] lable: no such key; did you mean 'label'?"),
        ({"parts.bulkiness.kk": [1]}, "[parts.bulkiness] kk: no such key"),
        ({"parts.bulkines": {}}, "[parts.bulkines]: there is no part 'bulkines'; did you mean 'bulkiness'?"),
        ({"parts.bulkiness.k": [1, "x"]}, "[parts.bulkiness] k[1]: Input should be a valid number"),
        ({"parts.bulkiness.models": ["tiny"]}, "[parts.bulkiness] models: 'tiny' has no table [models.tiny]"),
        ({"parts.ladder.generators": ["x"]}, "[parts.ladder] generators: 'x' has no table [generators.x]"),
        ({"models.linear.top_kk": 3}, "[models.linear]: model 'linear' has no option top_kk; it has"),
        ({"models.linear.top_k": 0}, "[models.linear]: top_k must be at least 1, got 0"),
        ({"models.linear.threads": 2}, "[models.linear]: threads: all models of a study train on the same number"),
        ({"models.linear.fresh_cells": True}, "[models.linear]: fresh_cells draws other cells in every epoch, and the"),
        (
            {"models.tiny": {"fresh_cells": True, "sampling": "balanced"}},
            "[models.tiny]: fresh_cells cannot be sampled: leave out one of fresh_cells and sampling = 'balanced'",
        ),
        ({"models.tiny": {"fresh_cells": "x"}}, "[models.tiny] fresh_cells: Input should be a valid boolean"),
        ({"models.other.epochs": 2}, "[models.other]: model 'other' needs checkpoint="),
        ({"models.linear": 3}, "[models] linear: no such key; a table [models.linear] is what can stand here"),
        ({"generators.x": {}}, "[generators.x]: method must be one of"),
        ({"generators.multinomial.parameters": {"y": 1}}, "[generators.multinomial]: 'y' of method 'multinomial'"),
        ({"generators.multinomial.reference": "some"}, "[generators.multinomial] reference: Input should be 'control'"),
        ({"seeds": [0, 0]}, "seeds: at least one, and each once, got [0, 0]"),
        ({"seeds": []}, "seeds: at least one, and each once, got []"),
        ({"seeds": [-1]}, "seeds[0]: Input should be greater than or equal to 0, got -1"),
        ({"parts.ladder.seeds": [0, 0]}, "[parts.ladder] seeds: at least one, and each once, got [0, 0]"),
        ({"parts.ladder.seeds": [-1]}, "[parts.ladder] seeds[0]: Input should be greater than or equal to 0, got -1"),
        ({"parts.ladder.seeds": []}, "[parts.ladder] seeds: at least one, and each once, got []"),
        ({"data.control": None}, '[generators.multinomial] reference: "control" needs [data] control'),
        ({"data.source": "sciplex2_twin"}, "[data]: the simulated twin has no path"),
        ({"data.path": None}, "[data]: source 'file' needs the file"),
        ({"split.test_fraction": 1.5}, "[split] test_fraction: Input should be less than 1, got 1.5"),
        ({"benchmark": {"models": ["tiny"]}}, "[benchmark] models: 'tiny' has no table [models.tiny]"),
        ({"benchmark": {"metrics": ["x"]}}, "[benchmark] metrics[0]: Input should be"),
    ],
)
def test_what_is_wrong_is_named_with_table_and_key(small, overrides, said):
    problems = problems_of(small, overrides)
    assert any(problem.startswith(said) for problem in problems), problems


def test_all_that_is_wrong_is_named_at_once(small):
    assert len(problems_of(small, {"seedz": 1, "data.lable": 1, "parts.bulkiness.kk": 1, "models.linear.x": 1})) == 4


def test_no_toml_is_refused_with_its_line(small):
    small.write_text("name = \n", encoding="utf-8")
    (problem,) = problems_of(small, {})
    assert "it is no TOML" in problem
    assert "line 1" in problem


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(FileNotFoundError, match="the presets are beyond, poster, quick"):
        StudyConfig.from_toml("postr")
    with pytest.raises(ValueError, match="there is no preset 'postr'; there are beyond, poster, quick"):
        StudyConfig.preset("postr")


def test_public_names():
    assert bg.StudyConfig is StudyConfig
    assert {"run_study", "StudyResults", "StudyConfig"} <= set(bg.__all__)
