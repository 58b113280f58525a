"""The parts: which runs they ask for, and what they share."""

from __future__ import annotations

from collections import Counter

import pytest

from bulkgen.errors import StudyConfigError
from bulkgen.study.data import StudyData
from bulkgen.study.parts import ALL_REAL, FLOOR, PARTS
from bulkgen.study.parts.mixing import REPEATED
from bulkgen.study.run import RealCells
from study_twin import ALL_PARTS, GENERATORS, small_twin, study_of


@pytest.fixture(scope="module")
def cells():
    return small_twin()


@pytest.fixture(scope="module")
def facts(cells, tmp_path_factory):
    return StudyData.open(study_of(cells, tmp_path_factory.mktemp("facts"))).facts


@pytest.fixture
def points(cells, facts, tmp_path):
    def expand(part: str, settings: dict | None = None, **tables: object) -> list:
        study = study_of(cells, tmp_path, parts={part: settings or {}}, **tables)
        return study.points(facts)

    return expand


def series(points) -> dict[str, int]:
    return dict(Counter(point.series for point in points))


def test_parts_are_in_the_order_of_their_letters():
    assert tuple(PARTS) == ALL_PARTS
    assert [part.letter for part in PARTS.values()] == list("ABCDEFGHI")
    assert all(part.title and part.question.endswith("?") for part in PARTS.values())


def test_bulkiness_has_every_k_strategy_and_validation_and_the_ceiling(points):
    found = points("bulkiness", {"k": [1, 10], "strategies": ["mean", "sum"]})
    assert len(found) == (1 + 2 * 2 * 2) * 2  # two seeds
    assert {point.run.validation for point in found if point.x is not None} == {"same", "mixed"}
    assert {point.x for point in found} == {None, 1, 10}
    assert series(found)[ALL_REAL] == 2


def test_synthetic_has_two_label_problems_and_all_labels(points):
    found = points("synthetic", {"balance": ["natural"]})
    assert list(dict.fromkeys(point.problem for point in found)) == [
        *(f"Untreated or {drug}" for drug in ("BMS", "Dex", "Nutlin", "SAHA")),
        "5 labels",
    ]
    assert series(found) == dict.fromkeys([ALL_REAL, *GENERATORS], 5 * 2)
    assert {point.run.labels for point in found if point.problem == "Untreated or BMS"} == {("BMS", "Untreated")}


def test_without_a_control_there_are_no_pairs(cells, tmp_path):
    study = study_of(cells, tmp_path, parts={"synthetic": {"balance": ["natural"]}})
    study = study.model_copy(update={"data": study.data.model_copy(update={"control": None})})
    assert {point.problem for point in study.points(StudyData.open(study).facts)} == {"5 labels"}


@pytest.mark.parametrize("part", ["synthetic", "ladder"])
def test_unequal_classes_are_also_made_equal(part, points, facts):
    """Real cells and every generator have as many cells of each class as the rarest class has real ones."""
    train = facts.parts["train"]
    for point in points(part):
        (cells,) = point.run.training
        rarest = min(train[label] for label in point.run.labels or train)
        assert cells.per_class == (rarest if point.problem.endswith(", equal classes") else None)


def test_classes_are_left_as_they_are_where_they_are_nearly_equal(cells, facts, tmp_path):
    def problems(largest: int, **settings: object) -> set[str]:
        parts = {**facts.parts, "train": {**dict.fromkeys(facts.labels, 100), "Dex": largest}}
        study = study_of(cells, tmp_path, parts={"ladder": settings})
        return {point.problem for point in study.points(facts.model_copy(update={"parts": parts}))}

    assert problems(150) == {"5 labels"}
    assert problems(151) == {"5 labels", "5 labels, equal classes"}
    assert problems(150, balance=["equal"]) == {"5 labels, equal classes"}


def test_only_pseudo_bulk_chooses_an_epoch(cells, facts, tmp_path):
    for point in study_of(cells, tmp_path).points(facts):
        pseudobulk = point.part in ("bulkiness", "thinning") and point.series != ALL_REAL
        assert (point.run.validation == "none") != pseudobulk, point


def test_mixing_adds_the_rarest_label_and_the_control_in_five_trials(points):
    found = points("mixing")
    assert series(found) == dict.fromkeys([ALL_REAL, REPEATED, *(f"+ {name}" for name in GENERATORS)], 5)
    mixed = next(point for point in found if point.series == "+ donor_shift").run.training
    assert mixed[0].kind == "real"
    assert mixed[1].labels == ("BMS", "Untreated")


@pytest.mark.parametrize(("ratio", "shares"), [(1.0, [1.0]), (0.25, [0.25]), (2.5, [1.0, 1.0, 0.5])])
def test_the_control_of_mixing_repeats_as_many_real_cells(ratio, shares, points):
    found = next(point for point in points("mixing", {"ratio": ratio}) if point.series == REPEATED)
    assert found.run.training[0] == RealCells()
    assert [cells.share for cells in found.run.training[1:]] == shares
    assert {cells.labels for cells in found.run.training[1:]} == {("BMS", "Untreated")}


def test_thinning_changes_depth_averaging_and_number_one_at_a_time(points):
    found = [point for point in points("thinning", {"k": [1, 10]}) if point.run.seed == 0 and point.x == 10]
    by_series = {point.series: point.run.training[0] for point in found}
    sums, thinned, many, thinned_many, few = by_series.values()
    assert (sums.kind, sums.thin, sums.k) == ("pseudobulk", False, 10)
    assert thinned == sums.model_copy(update={"thin": True})
    assert (many.method, many.parameters) == ("pseudobulk", {"k": 10, "thin": False})
    assert thinned_many.parameters == {"k": 10, "thin": True}
    assert (few.kind, few.share) == ("real", 0.1)


def test_one_cell_is_at_single_cell_depth_without_thinning(points):
    found = {
        point.series: point.run for point in points("thinning", {"k": [1]}) if point.x == 1 and point.run.seed == 0
    }
    assert found["sums"].key == found["sums at single-cell depth"].key


def test_ladder_stands_between_a_ceiling_and_a_floor(points):
    assert list(series(points("ladder"))) == [ALL_REAL, *GENERATORS, FLOOR]


@pytest.mark.parametrize("name", [ALL_REAL, FLOOR])
def test_no_generator_takes_the_name_of_a_series(name, points):
    with pytest.raises(ValueError, match="call it something else"):
        points("ladder", generators={name: {"method": "multinomial"}})


def test_few_cells_have_every_size_alone_and_every_ratio(points, facts):
    found = [point for point in points("few_cells", {"ratios": [1, 10]}) if point.run.seed == 0]
    mean = sum(facts.parts["train"].values()) / 5
    rarest = min(facts.parts["train"].values())
    alone = [point.x for point in found if point.series == ALL_REAL]
    assert alone == [5, 10, rarest, 20, 60, mean]  # without any cell there is nothing to train
    assert [point.x for point in found if point.series == f"{ALL_REAL} + all controls"] == alone[:-1]
    assert [point.x for point in found if point.series == "+ donor_shift 1:1"] == [0, *alone]
    assert [point.x for point in found if point.series == "+ donor_shift 1:10"] == [0, *alone[:-1]]
    assert {point.run.training[0].per_class for point in found if point.x == 0} == {rarest}
    shown = {point.x: point.name for point in found if point.series == ALL_REAL}
    assert shown[rarest] == f"{rarest} real cells per class alone"
    assert shown[mean] == "all real cells, in natural proportions alone"


def test_generators_see_no_cells_that_a_run_of_few_cells_must_not_have(points):
    found = points("few_cells", generators={"pseudobulk": {"reference": "all"}, **GENERATORS})
    assert not any("pseudobulk" in name for name in series(found))
    made = {
        (point.x == 0, cells.reference) for point in found for cells in point.run.training if cells.kind == "synthetic"
    }
    assert made == {(True, "control"), (False, "seen")}


def test_bias_compares_ratios_with_absolute_means_where_a_generator_has_both(points):
    found = [point for point in points("bias") if point.run.seed == 0]
    assert series(found) == {
        ALL_REAL: 1,
        "truncated_gaussian": 4,
        "donor_shift": 4,
        "negative_binomial, ratio means": 4,
        "negative_binomial, absolute means": 4,
    }
    assert {point.run.training[0].parameters["mean"] for point in found if "means" in point.series} == {
        "ratio",
        "absolute",
    }


def test_an_unseen_dose_is_neither_among_the_real_cells_nor_the_reference(points):
    found = points("unseen_dose", {"doses": [10]})
    assert {point.run.test_dose for point in found} == {10}
    for point in found:
        for cells in point.run.training:
            dose = cells.without_dose if cells.kind == "real" else cells.held_dose
            assert dose == (None if point.series == ALL_REAL else 10)


def test_generators_made_of_every_label_s_cells_take_no_part_in_unseen_doses(points):
    found = points("unseen_dose", generators={"pseudobulk": {"reference": "all"}, **GENERATORS})
    assert not any("pseudobulk" in name for name in series(found))


def test_ablations_leave_out_more_donors_than_there_are(points, facts):
    found = [point for point in points("ablations") if point.run.seed == 0]
    assert series(found)[ALL_REAL] == 4
    donors = [point.x for point in found if point.series == "donor_shift, few reference cells"]
    assert donors == [n for n in (10, 30, 100, 300, 1000) if n <= facts.parts["train"]["Untreated"]]


def test_parts_share_runs(cells, facts, tmp_path):
    """The ceiling is one run per problem, model and seed; a generator alone is the same run in B, E, F and I."""
    found = study_of(cells, tmp_path, parts={name: {"seeds": [0]} for name in ALL_PARTS}).points(facts)
    where: dict[str, set[str]] = {}
    for point in found:
        where.setdefault(point.run.key, set()).add(point.part)
    shared = {frozenset(parts) for parts in where.values() if len(parts) > 1}
    assert {"bulkiness", "thinning"} in shared  # sums
    assert {"synthetic", "ladder", "ablations"} in shared
    assert {"synthetic", "ladder", "few_cells"} in shared  # of equal classes
    assert any({"bulkiness", "mixing", "few_cells", "bias"} <= parts for parts in shared)


@pytest.mark.parametrize("seeds", [[0, 0], [-1], []])
@pytest.mark.parametrize("part", ["ladder", "mixing"])
def test_seeds_of_a_part_are_seeds_and_each_there_once(part, seeds, points):
    with pytest.raises(StudyConfigError, match=f"parts.{part}. seeds"):
        points(part, {"seeds": seeds})


def test_a_part_takes_its_own_models_generators_and_seeds(points):
    settings = {"models": ["tiny"], "generators": ["donor_shift"], "seeds": [7]}
    found = points("ladder", settings, models={"linear": {}, "tiny": {}})
    assert list(series(found)) == [ALL_REAL, "donor_shift", FLOOR]
    assert {(point.run.model.name, point.run.seed) for point in found} == {("tiny", 7)}


@pytest.mark.parametrize(
    ("part", "data", "message"),
    [
        ("unseen_dose", {"dose": None}, "needs doses and a control"),
        ("unseen_dose", {"doses": [0.0, 10.0]}, "two doses above 0"),
    ],
)
def test_a_part_says_what_the_data_lacks(part, data, message, cells, tmp_path):
    settings = study_of(cells, tmp_path, parts={part: {}})
    table = settings.data.model_copy(update=data)
    study = settings.model_copy(update={"data": table})
    with pytest.raises(ValueError, match=message):
        study.points(StudyData.open(study).facts)


def test_a_generator_of_another_package_joins_every_part_by_its_name(cells, facts, tmp_path, monkeypatch):
    from bulkgen.generators import registry
    from bulkgen.generators.multinomial import Multinomial

    class Entry:
        value = "someone:Theirs"

        def load(self):
            return type("Theirs", (Multinomial,), {"__module__": __name__})

    monkeypatch.setattr(registry, "_third_party", lambda: {"theirs": Entry()})
    parts = [name for name in ALL_PARTS if name not in ("bulkiness", "thinning")]
    study = study_of(
        cells, tmp_path, generators={"theirs": {"reference": "control"}}, parts={name: {} for name in parts}
    )
    made = {point.part for point in study.points(facts) if "theirs" in point.series}
    assert made == set(parts)


def test_a_generator_of_another_package_says_that_it_is_made_of_cells(cells, facts, tmp_path, monkeypatch):
    from bulkgen.generators import registry
    from bulkgen.generators.multinomial import Multinomial

    class Entry:
        value = "someone:Theirs"

        def load(self):
            return type("Theirs", (Multinomial,), {"__module__": __name__, "from_cells": True})

    monkeypatch.setattr(registry, "_third_party", lambda: {"theirs": Entry()})
    study = study_of(
        cells, tmp_path, generators={"theirs": {}}, parts={name: {} for name in ("few_cells", "unseen_dose", "ladder")}
    )
    assert {point.part for point in study.points(facts) if "theirs" in point.series} == {"ladder"}
