"""Training sets: what is in them, and what never is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bulkgen.study import generation as generation_module
from bulkgen.study.data import StudyData
from bulkgen.study.generation import Generation
from bulkgen.study.run import PseudobulkCells, RealCells, SyntheticCells
from bulkgen.study.selection import Selection, held_out_of, n_held_out
from bulkgen.study.training_sets import make_training_set
from study_twin import ALL_PARTS, poisoned, run_of, small_twin, study_of

DONORS = SyntheticCells(method="donor_shift")


@pytest.fixture(scope="module")
def cells():
    return small_twin()


@pytest.fixture(scope="module")
def data(cells, tmp_path_factory):
    return StudyData.open(study_of(cells, tmp_path_factory.mktemp("data")))


def made(data: StudyData, *training: object, **settings: object):
    return make_training_set(run_of(data, *training, **settings), data)


def ids(tokens) -> list[str]:
    return tokens.column("cell_id").tolist()


def counts(tokens) -> dict[str, int]:
    return dict(Counter(tokens.label_values.tolist()))


def texts(tokens) -> Counter[bytes]:
    """The tokens of each cell, without order."""
    return Counter(np.asarray(tokens.input_ids(i)).tobytes() for i in range(len(tokens)))


def same(one, other) -> bool:
    held = [training.held_out for training in (one, other)]
    return (
        one.tokens.table.equals(other.tokens.table)
        and (held == [None, None] or held[0].tokens.table.equals(held[1].tokens.table))
        and (one.sample.X != other.sample.X).nnz == 0
    )


@pytest.mark.slow
def test_no_test_or_validation_cell_has_a_part_in_any_training_set(cells, data, tmp_path):
    """The counts of all of them are replaced, and no training set of any part changes in a bit."""
    names = data.split["cell"][data.split["part"] != "train"].to_numpy()
    other = StudyData.open(study_of(poisoned(cells, names), tmp_path))
    parts = {name: {"seeds": [0]} for name in ALL_PARTS}
    parts["bulkiness"] |= {"k": [5]}
    parts["thinning"] |= {"k": [5]}
    parts["few_cells"] |= {"sizes": [0, 10], "ratios": [2]}
    parts["bias"] |= {"sd": [0.7]}
    parts["ablations"] |= {"donors": [30]}
    study = study_of(cells, tmp_path, parts=parts)
    runs = {point.run.training_key: point.run for point in study.points(data.facts)}
    assert len(runs) > 40
    train = set(data.train.obs_names)
    for run in runs.values():
        clean = make_training_set(run, data)
        changed = make_training_set(run.model_copy(update={"context": other.facts.context}), other)
        assert same(clean, changed), run
        real = {name.split("+")[0] for name in ids(clean.tokens) if not name.startswith("synthetic-")}
        assert real <= train


def test_real_cells_of_a_smaller_number_are_among_those_of_a_larger(data):
    sets = [set(ids(made(data, RealCells(per_class=n), validation="same").tokens)) for n in (3, 5, 10, 20, 60)] + [
        set(ids(made(data, RealCells(), validation="same").tokens))
    ]
    # up to ten cells the last is held out, which a larger number trains on
    assert all(small < large for small, large in zip(sets[2:], sets[3:], strict=False))
    alone = [set(ids(made(data, RealCells(per_class=n)).tokens)) for n in (3, 5, 10, 20, 60)]
    assert all(small < large for small, large in zip(alone, alone[1:], strict=False))


def test_the_seed_and_not_the_problem_chooses_real_cells(data):
    few = RealCells(per_class=5)
    five = set(ids(made(data, few).tokens))
    two = set(ids(made(data, few, labels=("Nutlin", "Untreated")).tokens))
    assert two < five
    assert set(ids(made(data, few, seed=1).tokens)) != five


def test_numbers_per_class(data):
    train = data.facts.parts["train"]
    assert counts(made(data, RealCells()).tokens) == train
    assert counts(made(data, RealCells(share=0.5)).tokens) == {label: round(n / 2) for label, n in train.items()}
    assert counts(made(data, DONORS).tokens) == train
    assert counts(made(data, DONORS.model_copy(update={"per_class": 7})).tokens) == dict.fromkeys(train, 7)
    thrice = DONORS.model_copy(update={"ratio": 3.0})
    assert counts(made(data, RealCells(per_class=5), thrice).tokens) == dict.fromkeys(train, 20)
    mixed = DONORS.model_copy(update={"ratio": 1.0, "labels": ("BMS", "Untreated")})
    twice = {label: n * (2 if label in mixed.labels else 1) for label, n in train.items()}
    assert counts(made(data, RealCells(), mixed).tokens) == twice


def test_fewer_synthetic_cells_are_the_first_of_more(data):
    few, many = (
        made(data, DONORS.model_copy(update={"per_class": n}), labels=("Nutlin", "Untreated")) for n in (5, 20)
    )
    assert texts(few.tokens) <= texts(many.tokens)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 20, 101])
def test_a_tenth_is_held_out(n):
    held = held_out_of(np.array(["a"] * n + ["b"], dtype=object))
    assert held[:n].sum() == n_held_out(n) == (n // 10 if n >= 10 else min(1, n - 1))
    assert not held[-1]


def test_no_cell_is_behind_pseudo_bulk_on_both_sides(data):
    """Sums over all samples of both sides give back the sums over all training cells, so each cell was used once."""
    selection = Selection(run_of(data, RealCells(), validation="same"), data)
    train, held = selection.divided(np.concatenate([selection.order(label) for label in selection.labels]))
    assert sorted([*train, *held]) == list(range(data.train.n_obs))
    training = made(data, PseudobulkCells(k=5, strategy="sum"), validation="same")
    assert training.sample.X.sum() == data.train.X[np.sort(train)].sum()


def test_regrouped_cells_are_those_trained_on(data):
    """Groups of one cell, as many as cells, are the cells themselves, on both sides."""
    once = made(data, PseudobulkCells(k=1, strategy="sum"), validation="same")
    regrouped = SyntheticCells(method="pseudobulk", parameters={"k": 1}, reference="all")
    again = made(data, regrouped, validation="same")
    assert texts(again.tokens) == texts(once.tokens)
    assert texts(again.held_out.tokens) == texts(once.held_out.tokens)


def test_a_label_at_a_dose_with_fewer_cells_than_k_gives_one_sample(data):
    training = made(data, PseudobulkCells(k=100))
    one = {"BMS": 2, "Dex": 2, "Nutlin": 2, "SAHA": 2}  # at two doses each
    assert counts(training.tokens) == {**one, "Untreated": data.facts.parts["train"]["Untreated"] // 100}


def test_small_labels_leave_the_groups_of_large_ones_alone(data):
    """Leftover cells of a label with enough of them join the group before, whatever other labels have."""
    training = made(data, PseudobulkCells(k=30, strategy="sum", cv=0.0))
    sizes = training.sample.obs
    untreated = data.facts.parts["train"]["Untreated"]
    assert counts(training.tokens)["Untreated"] == untreated // 30
    assert len(sizes) == len(training.tokens)


def test_held_out_samples_say_how_many_cells_are_behind_them(data):
    """Of the tenth that is held out no class has 30 cells, and those at two doses have a sample for each."""
    held = {label: n_held_out(n) for label, n in data.facts.parts["train"].items()}
    found = made(data, PseudobulkCells(k=30), validation="same").held_out
    assert found.cells.sum() == sum(held.values())
    assert dict(zip(found.tokens.label_values, found.cells, strict=True))["Untreated"] == held["Untreated"]
    assert found.small == (found.cells < 15).sum() == len(found.tokens)
    cells = made(data, RealCells(), validation="same").held_out
    assert (cells.cells == 1).all()
    assert cells.small == 0


def test_a_held_out_sample_of_less_than_half_is_left_out_beside_larger_ones(data):
    """Groups vary so much that some have fewer than k/2 cells."""
    found = made(data, PseudobulkCells(k=4, cv=0.9), validation="same").held_out
    groups = {}
    for label, n in zip(found.tokens.label_values, found.cells, strict=True):
        groups.setdefault(label, []).append(n)
    assert min(groups["Untreated"]) >= 2
    held = {label: n_held_out(n) for label, n in data.facts.parts["train"].items()}
    assert set(groups) == set(held)
    assert found.cells.sum() < sum(held.values())


def test_regrouped_samples_count_different_cells(data):
    regrouped = SyntheticCells(method="pseudobulk", parameters={"k": 50}, reference="all")
    found = made(data, regrouped, validation="same").held_out
    held = {label: n_held_out(n) for label, n in data.facts.parts["train"].items()}
    assert dict(zip(found.tokens.label_values, found.cells, strict=True)) == held


def test_real_cells_of_some_labels_once_more(data):
    training = made(data, RealCells(), RealCells(labels=("BMS",)), RealCells(labels=("BMS",), share=0.5))
    train = data.facts.parts["train"]
    assert counts(training.tokens) == {**train, "BMS": 2 * train["BMS"] + round(train["BMS"] / 2)}
    assert set(Counter(ids(training.tokens)).values()) == {1, 2, 3}


def test_shuffled_labels_keep_cells_and_numbers(data):
    plain, shuffled = made(data, RealCells()), made(data, RealCells(), ablation="shuffled_labels")
    assert texts(shuffled.tokens) == texts(plain.tokens)
    assert counts(shuffled.tokens) == counts(plain.tokens)
    changed = shuffled.tokens.label_values != plain.tokens.label_values
    assert 0.4 < changed.mean() < 0.9


def test_permuted_genes_are_one_renaming_of_all_cells(data):
    plain, renamed = made(data, RealCells()), made(data, RealCells(), ablation="permuted_genes")
    (old, offsets), (new, same_offsets) = plain.tokens.flat(), renamed.tokens.flat()
    assert np.array_equal(offsets, same_offsets)
    pairs = set(zip(old.tolist(), new.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert np.mean([a == b for a, b in pairs]) < 0.01
    assert plain.tokens.label_values.tolist() == renamed.tokens.label_values.tolist()


def test_equal_library_sizes_are_those_of_tested_cells_too(data):
    size = data.equal_size
    for cells in (
        made(data, RealCells(), ablation="equal_library_sizes").sample,
        made(data, DONORS, ablation="equal_library_sizes").sample,
        data.real("test", equal=True).cells,
    ):
        sums = np.asarray(cells.X.sum(axis=1)).ravel()
        # binomial around the size, with a variance below it; some cells have fewer counts than that
        assert sums.max() < size + 6 * np.sqrt(size)
        assert abs(np.median(sums) - size) < 2 * np.sqrt(size)


def test_platform_bias_is_one_factor_per_gene_for_all_profiles(data):
    def shares(sd: float) -> np.ndarray:
        settings = SyntheticCells(method="donor_shift", bias_sd=sd, bulk_reads=20_000_000)
        bulk = Generation(Selection(run_of(data, settings), data), settings)._bulk("all")
        return np.asarray(bulk.X, dtype=float) / np.asarray(bulk.X).sum(axis=1, keepdims=True)

    plain, biased, less = shares(0.0), shares(0.7), shares(0.35)
    seen = (plain > 2e-5).all(axis=0)
    factors = np.log(biased[:, seen] / plain[:, seen])
    assert seen.sum() > 500
    assert np.std(factors, axis=1) == pytest.approx(0.7, rel=0.15)
    assert np.corrcoef(factors).min() > 0.99
    # the same factors at every size, so that curves over it differ in nothing else
    assert np.corrcoef(factors[0], np.log(less[0, seen] / plain[0, seen]))[0, 1] > 0.99


@pytest.fixture
def fitted_to(monkeypatch):
    """What generators were fitted to: (bulk, reference)."""
    seen = []
    fit = generation_module.fit_generator

    def watch(bulk, *, reference, **settings):
        seen.append((bulk, reference))
        return fit(bulk, reference=reference, **settings)

    monkeypatch.setattr(generation_module, "fit_generator", watch)
    return seen


def test_a_held_dose_is_there_as_bulk_alone(cells, tmp_path, fitted_to):
    data = StudyData.open(study_of(cells, tmp_path))
    seen = RealCells(without_dose=10)
    for method, reference in (("donor_shift", "control"), ("truncated_gaussian", "all")):
        training = made(data, seen, SyntheticCells(method=method, reference=reference, held_dose=10), test_dose=10)
        bulk, single = fitted_to.pop()
        assert set(bulk.obs["dose"]) == {0.0, 10.0}
        assert set(single.obs["dose"]) == ({0.0} if reference == "control" else {0.0, 1.0})
        real = [name for name in ids(training.tokens) if not name.startswith("synthetic-")]
        assert set(cells.obs.loc[real, "dose"]) == {0.0, 1.0}


def test_donors_are_nested_and_as_many_as_asked_for(cells, tmp_path, fitted_to):
    data = StudyData.open(study_of(cells, tmp_path))
    references = []
    for donors in (10, 30):
        made(data, DONORS.model_copy(update={"donors": donors}))
        _, single = fitted_to.pop()
        assert single.n_obs == donors
        assert set(single.obs["treated_label"]) == {"Untreated"}
        references.append(set(single.obs_names))
    assert references[0] < references[1]


def test_generators_see_the_control_and_the_real_cells_of_the_run(cells, tmp_path, fitted_to):
    data = StudyData.open(study_of(cells, tmp_path))
    seen = SyntheticCells(method="negative_binomial", reference="seen", ratio=2.0)
    controls = data.train.obs_names[data.train.obs["treated_label"] == "Untreated"]
    references = []
    for n in (5, 10):
        training = made(data, RealCells(per_class=n), seen)
        _, single = fitted_to.pop()
        own = {name for name in ids(training.tokens) if not name.startswith("synthetic-")}
        assert set(single.obs_names) == own | set(controls)
        references.append(single.n_obs)
    assert references[1] == references[0] + 4 * 5


def test_the_fit_to_what_a_run_sees_is_that_of_its_seed(cells, tmp_path, fitted_to):
    data = StudyData.open(study_of(cells, tmp_path))
    for seed in (0, 1):
        for ratio in (1.0, 3.0):
            seen = SyntheticCells(method="multinomial", reference="seen", ratio=ratio)
            made(data, RealCells(per_class=5), seen, seed=seed)
    assert len(fitted_to) == 2
    assert set(fitted_to[0][1].obs_names) != set(fitted_to[1][1].obs_names)


def test_a_fit_is_made_once_for_all_numbers_of_cells(cells, tmp_path, fitted_to):
    data = StudyData.open(study_of(cells, tmp_path))
    for n in (5, 10, 20):
        made(data, RealCells(per_class=n), DONORS.model_copy(update={"ratio": 1.0}))
    assert len(fitted_to) == 1


def test_a_generator_of_another_package_is_used_by_its_name(data, monkeypatch):
    from bulkgen.generators import registry
    from bulkgen.generators.multinomial import Multinomial

    class Entry:
        value = "someone:Theirs"

        def load(self):
            return type("Theirs", (Multinomial,), {"__module__": __name__})

    monkeypatch.setattr(registry, "_third_party", lambda: {"theirs": Entry()})
    theirs, ours = (made(data, SyntheticCells(method=name)) for name in ("theirs", "multinomial"))
    assert texts(theirs.tokens) == texts(ours.tokens)


def test_a_control_that_is_missing_is_asked_for(cells, tmp_path):
    study = study_of(cells, tmp_path)
    study = study.model_copy(update={"data": study.data.model_copy(update={"control": None})})
    data = StudyData.open(study)
    with pytest.raises(ValueError, match="name it with control="):
        made(data, DONORS)
